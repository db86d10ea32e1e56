"""What workers write down by themselves, where their supervisor reads it when somebody wants to know."""

from collections.abc import Sequence
from mmap import mmap

from emulator.server.shared import Noted
from emulator.workers.tape import Record, Tape

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
