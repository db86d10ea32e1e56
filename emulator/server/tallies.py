"""What workers count by themselves, each in a row of counters of its own."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class _Counter:
    """One counter of a worker."""

    worker: int
    row: Sequence[int]
    index: int
    seen: int = 0

    def take(self) -> int:
        """What was counted since the last time."""
        before, self.seen = self.seen, self.row[self.index]
        return self.seen - before


class Tallies:
    """The counters of all workers. A worker says what a counter is for before it counts, the first one first."""

    def __init__(self, row_of: Callable[[int], Sequence[int]]) -> None:
        """`row_of` gives the counters of a worker."""
        self._row_of = row_of
        self._named: dict[int, int] = {}
        """How many counters of each worker have something to count."""
        self._counters: dict[str, dict[str, list[_Counter]]] = {}
        """By project and key."""

    @property
    def projects(self) -> Sequence[str]:
        """The projects for which something may have been counted."""
        return tuple(self._counters)

    def name(self, worker: int, project: str, key: str) -> None:
        """Know what the next counter of a worker is for."""
        index = self._named[worker] = self._named.get(worker, -1) + 1
        counter = _Counter(worker, self._row_of(worker), index)
        self._counters.setdefault(project, {}).setdefault(key, []).append(counter)

    def take(self, project: str, key: str | None = None) -> Iterator[tuple[str, int]]:
        """What was counted for a project since the last time, or for one of its keys: each key with how much."""
        keys = self._counters.get(project, {})
        for one in keys if key is None else keys.keys() & {key}:
            more = sum([counter.take() for counter in keys[one]])
            if more:
                yield one, more

    def forget(self, worker: int) -> None:
        """Let go of the counters of a worker that is no more."""
        self._named.pop(worker, None)
        left = {
            project: {key: [one for one in counters if one.worker != worker] for key, counters in keys.items()}
            for project, keys in self._counters.items()
        }
        self._counters = {project: keys for project, keys in left.items() if any(keys.values())}
