"""Records that one process writes and another reads, in memory that both have: no system call, and nothing is ever seen half."""

from collections.abc import Iterator, Sequence
from mmap import mmap
from struct import Struct
from threading import Lock
from time import monotonic_ns
from typing import NamedTuple

from emulator.store.shared import Noted

_HEAD = Struct("QQQ")
_CELL = 8
"""The bytes before the halves: the address behind the last record, which a processor writes in one go."""


class Record(NamedTuple):
    """A record as it is read."""

    number: int
    """Which of its tape it is, from 1."""
    moment: int
    """When it was written, on a clock that all processes of a machine have in common."""
    size: int
    """The bytes that it takes."""
    data: bytes
    """What was written; nothing if that is larger than what a tape keeps."""


class Tape:
    """The last records of one process: as many as are wanted or, where these have more bytes, at least as many bytes of them.

    It has two halves that are written by turns, each time from its beginning. Addresses count on from half to half, so each is used
    once, and the one behind the last record tells all that a reader has to know.
    """

    def __init__(self, most_records: int, most_bytes: int) -> None:
        """Keep at least so many records, or so many bytes."""
        self._most_records = most_records
        self._most_bytes = most_bytes
        # Behind the last record of a half stands a head that is empty.
        self._length = max(most_bytes, _HEAD.size) + _HEAD.size
        self._memory = mmap(-1, _CELL + 2 * self._length)
        self._end = memoryview(self._memory)[:_CELL].cast("Q")
        self._gate = Lock()
        self._gate.acquire()
        self._start = self._used = self._records = self._number = 0
        self._place = self._find(0)

    def close(self) -> None:
        """Let go of the memory."""
        self._end.release()
        self._memory.close()

    def append(self, parts: Sequence[bytes]) -> None:
        """Write a record that has several parts."""
        size = _HEAD.size + sum(map(len, parts))
        is_kept = size <= self._most_bytes
        stored = size if is_kept else _HEAD.size
        if self._records == self._most_records or self._used + stored > self._most_bytes:
            self._turn()
        self._number += 1
        self._records += 1
        memory, at = self._memory, self._place + self._used
        for part in (_HEAD.pack(size, self._number, monotonic_ns()), *(parts if is_kept else ())):
            start, at = at, at + len(part)
            memory[start:at] = part
        self._used += stored
        self._fence()
        self._end[0] = self._start + self._used

    def read(self, since: int) -> tuple[int, Sequence[Record]]:
        """The last records from an address on, no more than have to be kept, and the address behind them."""
        while True:
            end = self._end[0]
            self._fence()
            start = end - end % self._length
            places = [*self._walk(max(since, start), end)]
            if since < start:
                places[:0] = self._walk(max(since, start - self._length), start - _HEAD.size)
            records = self._copy(places)
            self._fence()
            # Otherwise, the half before has been written again meanwhile.
            if self._end[0] < start + self._length:
                return end, records

    def _turn(self) -> None:
        """Go on in the other half."""
        _HEAD.pack_into(self._memory, self._place + self._used, 0, 0, 0)
        self._start += self._length
        self._place = self._find(self._start)
        self._used = self._records = 0
        self._fence()
        # First of all, whoever reads what was there has to know.
        self._end[0] = self._start
        self._fence()

    def _walk(self, start: int, end: int) -> Iterator[int]:
        """Where the records between two addresses of a half are; what it reads while that is written may be anything."""
        at = self._find(start)
        end = at + end - start
        while at < end:
            size, number, _ = _HEAD.unpack_from(self._memory, at)
            if not number or size < _HEAD.size:
                return
            yield at
            at += size if size <= self._most_bytes else _HEAD.size

    def _copy(self, places: Sequence[int]) -> Sequence[Record]:
        """The last records of some, as few of them as have to be kept."""
        records: list[Record] = []
        total = 0
        for at in reversed(places):
            if len(records) == self._most_records or total > self._most_bytes:
                break
            size, number, moment = _HEAD.unpack_from(self._memory, at)
            stored = size if size <= self._most_bytes else _HEAD.size
            records.append(Record(number, moment, size, self._memory[at + _HEAD.size : at + stored]))
            total += size
        return records[::-1]

    def _find(self, address: int) -> int:
        """Where an address is in memory."""
        return _CELL + address % (2 * self._length)

    def _fence(self) -> None:
        """See that other processors find what was written before this when they find what is written after it.

        Giving and taking a lock does; some processors need it, and nothing else in Python promises it.
        """
        self._gate.release()
        self._gate.acquire()


MOST_COUNTERS = 1 << 16
"""Counters of a worker, for each rule of each project one; memory is taken by those that are used."""


class Notebook:
    """What one worker writes: the exchanges that have ended on a tape, and counters."""

    def __init__(self, most_exchanges: int, most_bytes: int) -> None:
        self.tape = Tape(most_exchanges, most_bytes)
        self._memory = mmap(-1, 8 * MOST_COUNTERS)
        self.counters = memoryview(self._memory).cast("Q")
        self.address = self.count = 0
        """Up to where the tape was read, and how many exchanges these were."""

    def close(self) -> None:
        """Let go of the memory."""
        self.tape.close()
        self.counters.release()
        self._memory.close()


class Notebooks:
    """Those of all workers, as their supervisor reads them: `Notes`."""

    def __init__(self, most_exchanges: int, most_bytes: int) -> None:
        self._bounds = most_exchanges, most_bytes
        self._open: dict[int, Notebook] = {}
        self._position = 0

    def open(self, worker: int) -> Notebook:
        """A new one, for a worker that is to be forked."""
        notebook = self._open[worker] = Notebook(*self._bounds)
        return notebook

    def close(self, worker: int) -> None:
        """Let go of one."""
        self._open.pop(worker).close()

    def close_others(self, worker: int) -> None:
        """Let go of all but one, in the process of its worker."""
        for other in [other for other in self._open if other != worker]:
            self.close(other)

    def counters(self, worker: int) -> Sequence[int]:
        """The counters of a worker."""
        return self._open[worker].counters

    def read(self) -> Sequence[Noted]:
        """The exchanges that have ended since the last call, in the order in which they did.

        Those missing that were overwritten; each worker has as many later ones as a journal keeps, so all others come behind them.
        """
        records: list[Record] = []
        for notebook in self._open.values():
            notebook.address, found = notebook.tape.read(notebook.address)
            if found:
                self._position += found[-1].number - notebook.count
                notebook.count = found[-1].number
                records += found
        records.sort(key=lambda record: record.moment)
        first = self._position - len(records) + 1
        return [Noted(position, record.size, record.data) for position, record in enumerate(records, first)]
