"""Numbers that processes share: one that is counted up by all, and some that are read all the time."""

import fcntl
import mmap
from tempfile import TemporaryFile

_CHANGES, _NUMBER, _LOADS = 0, 1, 2
MOST_WORKERS = mmap.PAGESIZE // 8 - _LOADS


class Cells:
    """Numbers in memory that forked processes share."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        # The system takes the lock from a process that dies; a semaphore would stay taken.
        self._lock = TemporaryFile(prefix="vertex-emulator-")  # noqa: SIM115  # as long as the server
        self._numbers = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")

    def next_number(self) -> int:
        """The next number, from 1; nobody gets it twice."""
        lock = self._lock.fileno()
        fcntl.lockf(lock, fcntl.LOCK_EX)
        try:
            number = self._numbers[_NUMBER] = self._numbers[_NUMBER] + 1
        finally:
            fcntl.lockf(lock, fcntl.LOCK_UN)
        return number

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
