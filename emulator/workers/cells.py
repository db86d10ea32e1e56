"""Numbers that processes share: one that is counted up by all, and some that are read all the time."""

import mmap
import os
from tempfile import TemporaryFile

_CHANGES, _LOADS = 0, 1
MOST_WORKERS = mmap.PAGESIZE // 8 - _LOADS


class Cells:
    """Numbers in memory that forked processes share."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        # Nothing is written into it: what counts is the position in it, which forked processes share.
        self._file = TemporaryFile(prefix="vertex-emulator-")  # noqa: SIM115  # as long as the server
        self._numbers = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")

    def next_number(self) -> int:
        """The next number, from 1; nobody gets it twice."""
        # One step of the system's, so nobody comes between and there is no lock that a process could die with.
        return os.lseek(self._file.fileno(), 1, os.SEEK_CUR)

    @property
    def changes(self) -> int:
        """The number of the last change."""
        return self._numbers[_CHANGES]

    def announce(self, change: int) -> None:
        """Let everybody know the number of a change."""
        self._numbers[_CHANGES] = change

    def is_next(self, worker: int, load: int) -> bool:
        """Whether a worker with so many connections is to take the next one, because none has fewer."""
        self._numbers[_LOADS + worker] = load
        return load <= min(self._numbers[_LOADS : _LOADS + self._workers])
