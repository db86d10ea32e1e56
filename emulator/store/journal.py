"""The journal: what was asked and what was answered, as long as there is room."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from emulator.store.exchange import Entry, Exchange


class Journal:
    """The last exchanges of all sessions, bounded by their number and by the bytes of their bodies.

    The server's thread adds while others read, wait and remove.
    """

    def __init__(self, most_exchanges: int, most_bytes: int) -> None:
        self._exchanges: deque[Entry] = deque()
        self._most_exchanges = most_exchanges
        self._most_bytes = most_bytes
        self._bytes = 0
        self._number = 0
        self._added = 0
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting = 0

    def __iter__(self) -> Iterator[Exchange]:
        """The requests to the emulated endpoints, the oldest first, as they are now."""
        return (entry for entry in self.entries if isinstance(entry, Exchange))

    @property
    def entries(self) -> Sequence[Entry]:
        """Those, and the token requests among them."""
        with self._lock:
            return tuple(self._exchanges)

    def next_number(self) -> int:
        """The number of the next exchange, from 1."""
        self._number += 1
        return self._number

    def add(self, exchange: Entry) -> None:
        """Keep an exchange; the oldest leave when there is no room."""
        with self._lock:
            self._added = exchange.position = self._added + 1
            exchanges = self._exchanges
            exchanges.append(exchange)
            self._bytes += exchange.size
            while len(exchanges) > self._most_exchanges or self._bytes > self._most_bytes:
                self._bytes -= exchanges.popleft().size
            if self._waiting:
                self._changed.notify_all()

    @property
    def position(self) -> int:
        """How many exchanges were put into it so far."""
        return self._added

    def replace(self, entries: Sequence[tuple[int, Entry]], first: int, *, anew: bool) -> None:
        """Take over new exchanges, with their positions, from a journal that this one is a replica of.

        Those before the position `first` are forgotten, and `anew` all that were there.
        """
        for position, exchange in entries:
            exchange.position = position
        with self._lock:
            kept = [] if anew else [exchange for exchange in self._exchanges if exchange.position >= first]
            self._exchanges = deque([*kept, *(exchange for _, exchange in entries)])
            self._bytes = sum(exchange.size for exchange in self._exchanges)
            self._added = self._exchanges[-1].position if self._exchanges else 0

    def remove(self, unwanted: Callable[[Entry], bool]) -> None:
        """Forget some exchanges."""
        with self._lock:
            kept = [exchange for exchange in self._exchanges if not unwanted(exchange)]
            self._exchanges = deque(kept)
            self._bytes = sum(exchange.size for exchange in kept)

    def wait_until(self, holds: Callable[[], bool], timeout: float) -> bool:
        """Wait until something holds, asked anew for each exchange that is added; False if it does not after `timeout` seconds."""
        end = time.monotonic() + timeout
        with self._lock:
            self._waiting += 1
        try:
            while True:
                with self._lock:
                    seen = self._added
                # Asked without the lock, for it reads the journal.
                if holds():
                    return True
                with self._changed:
                    if not self._changed.wait_for(lambda: self._added != seen, end - time.monotonic()):  # noqa: B023  # called at once
                        return False
        finally:
            with self._lock:
                self._waiting -= 1
