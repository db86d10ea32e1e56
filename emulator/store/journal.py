"""The journal: recorded exchanges, bounded in number and bytes."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from emulator.store.exchange import Entry, Exchange, UnroutedRequest

_MUCH_MEMORY = 16 * 1024 * 1024
"""Bytes of removed exchanges from which their memory is given back to the system."""


def _give_memory_back() -> None:
    """Give free memory back to the system, in a thread; glibc keeps much of it for later, other C libraries have no such call."""

    def trim() -> None:
        import ctypes  # noqa: PLC0415  # hardly ever needed

        with suppress(AttributeError, OSError, TypeError):
            ctypes.CDLL(None).malloc_trim(0)

    threading.Thread(target=trim, name="vertex-emulator-memory", daemon=True).start()


SETTLING = 0.25
"""Seconds that a reader waits at most for exchanges that are open; a server that is not busy notices within milliseconds who has left."""


class Journal:
    """The last exchanges of all sessions, bounded by their number and by the bytes that they take, estimated.

    Thread-safe: the server's thread adds while others read, wait and remove.
    """

    def __init__(self, max_exchanges: int, max_bytes: int) -> None:
        self._exchanges: deque[Entry] = deque()
        self._sizes: deque[int] = deque()
        """The bytes of each."""
        self.max_exchanges = max_exchanges
        self.max_bytes = max_bytes
        self._bytes = 0
        self.open: Mapping[int, Exchange] = {}
        """The exchanges whose answers are being sent, by number."""
        self._number = 0
        self._added = 0
        self._writer = 0
        """The thread that adds."""
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting = 0

    def __iter__(self) -> Iterator[Exchange]:
        """Iterate over the current exchanges with the emulated endpoints, oldest first."""
        return (entry for entry in self.entries if isinstance(entry, Exchange))

    @property
    def entries(self) -> Sequence[Entry]:
        """All current entries, oldest first: exchanges, token requests and unrouted requests."""
        with self._lock:
            return tuple(self._exchanges)

    @property
    def unrouted(self) -> Sequence[UnroutedRequest]:
        """The current requests that nothing routes, oldest first."""
        return [entry for entry in self.entries if isinstance(entry, UnroutedRequest)]

    def next_number(self) -> int:
        """The number of the next exchange, from 1."""
        self._number += 1
        return self._number

    def add(self, exchange: Entry) -> None:
        """Append an entry and set its position; the oldest are evicted when the bounds are exceeded."""
        with self._lock:
            self._writer = threading.get_ident()
            self._added = exchange.position = self._added + 1
            exchanges, size = self._exchanges, exchange.size
            exchanges.append(exchange)
            self._sizes.append(size)
            self._bytes += size
            while len(exchanges) > self.max_exchanges or self._bytes > self.max_bytes:
                exchanges.popleft()
                self._bytes -= self._sizes.popleft()
            if self._waiting:
                self._changed.notify_all()

    @property
    def position(self) -> int:
        """Position of the newest entry: how many were added so far."""
        return self._added

    def replace(self, entries: Sequence[tuple[int, Entry]], first: int, *, anew: bool) -> None:
        """Update this replica: append new entries with their positions.

        Entries before the position `first` are removed; with `anew`, all previous entries are.
        """
        for position, exchange in entries:
            exchange.position = position
        with self._lock:
            kept = [] if anew else [exchange for exchange in self._exchanges if exchange.position >= first]
            before = self._keep([*kept, *(exchange for _, exchange in entries)])
            self._added = self._exchanges[-1].position if self._exchanges else 0
        if before - self._bytes >= _MUCH_MEMORY:
            _give_memory_back()

    def remove(self, unwanted: Callable[[Entry], bool]) -> None:
        """Remove the entries for which `unwanted` is true, and give their memory back."""
        with self._lock:
            before = self._keep([exchange for exchange in self._exchanges if not unwanted(exchange)])
        if before - self._bytes >= _MUCH_MEMORY:
            _give_memory_back()

    def _keep(self, entries: Sequence[Entry]) -> int:
        """Replace all entries by these; return the bytes that those before took."""
        before = self._bytes
        self._exchanges, self._sizes = deque(entries), deque([entry.size for entry in entries])
        self._bytes = sum(self._sizes)
        return before

    def settle(self, session: str | None) -> None:
        """Wait a moment for the exchanges of a session (None: of all) whose clients may have left, which the server is about to notice.

        Returns at once if nothing is being sent, and on the server's own thread.
        """
        pending = {number for number, one in list(self.open.items()) if session in {None, one.session}}
        if pending and threading.get_ident() != self._writer:
            self.wait_until(lambda: pending.issubset([one.number for one in self.entries]), SETTLING)

    def wait_until(self, holds: Callable[[], bool], timeout: float) -> bool:
        """Wait until `holds` returns true, checking it after each added entry; return False after `timeout` seconds."""
        end = time.monotonic() + timeout
        with self._lock:
            self._waiting += 1
        try:
            while True:
                with self._lock:
                    seen = self._added
                # Called without the lock, because it reads the journal.
                if holds():
                    return True
                with self._changed:
                    if not self._changed.wait_for(lambda: self._added != seen, end - time.monotonic()):  # noqa: B023  # called at once
                        return False
        finally:
            with self._lock:
                self._waiting -= 1
