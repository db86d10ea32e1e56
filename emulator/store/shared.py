"""State shared by the workers of one machine, kept as plain data by their supervisor process."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from emulator.engine.quota import Limits, QuotaDemand, QuotaRefusal, TokenBuckets
from emulator.store.records import unpack
from emulator.store.sessions import MAX_SESSIONS, KnownPrefixes


@dataclass(slots=True)
class _Counter:
    """One counter of a worker."""

    worker: int
    row: Sequence[int]
    index: int
    seen: int = 0

    def take(self) -> int:
        """Return the count added since the last call."""
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
        """Drop the counters of a worker that has ended."""
        self._named.pop(worker, None)
        left = {
            project: {key: [one for one in counters if one.worker != worker] for key, counters in keys.items()}
            for project, keys in self._counters.items()
        }
        self._counters = {project: keys for project, keys in left.items() if any(keys.values())}


class Snapshot(NamedTuple):
    """A session as it is at a moment."""

    changes: int = 0
    """The server's changes up to now."""
    reloads: int = 0
    """How often its scenarios were read again."""
    uses: dict[str, int] = {}  # noqa: RUF012  # never changed: a session that has uses gets a dict of its own
    flags: frozenset[str] = frozenset()
    text: str | None = None
    """Its own scenario."""


class Past(NamedTuple):
    """What a replica lacks of the journal, and all sessions."""

    sessions: Mapping[str, Snapshot]
    epoch: int
    """Another one whenever exchanges were removed before their time."""
    first: int
    """The position of the oldest exchange that is kept."""
    records: Sequence[tuple[int, bytes]]
    """The exchanges that the replica has not, with their positions."""


class Noted(NamedTuple):
    """An exchange that has ended, as its worker has noted it."""

    position: int
    """Its place, from 1, in the order in which exchanges ended."""
    size: int
    """The bytes that the record takes."""
    record: bytes
    """What was made of it; nothing if that is larger than a journal may be."""


class Notes(Protocol):
    """What the workers note by themselves: they tell nobody, so it has to be looked up."""

    def read(self) -> Sequence[Noted]:
        """The exchanges since the last time, in their order; those may be missing for which a journal has no room beside the others."""
        ...

    def counters(self, worker: int) -> Sequence[int]:
        """The counters of a worker."""
        ...


class Shared:
    """Sessions, accounts and journal of a server with several workers. Its methods are what a `Link` calls.

    Each use of a rule is counted here before it is answered, where it matters which it is, so that none is given twice.
    """

    def __init__(
        self,
        max_exchanges: int,
        max_bytes: int,
        notes: Notes,
        *,
        announce: Callable[[int], object],
        wake: Callable[[int, int], object],
    ) -> None:
        """`announce` is given the number of each change that all must know before their next answer; `wake` a worker and a ticket."""
        self._max_exchanges = max_exchanges
        self._max_bytes = max_bytes
        self._notes = notes
        self._tallies = Tallies(notes.counters)
        self._announce = announce
        self._sessions: OrderedDict[str, Snapshot] = OrderedDict()
        self._prefixes: OrderedDict[str, KnownPrefixes] = OrderedDict()
        self._buckets = TokenBuckets(lambda quota_ticket: wake(self._workers[quota_ticket], quota_ticket))
        self._workers: dict[int, int] = {}
        """Whose the tickets are."""
        self._journal: deque[Noted] = deque()
        """The exchanges that are kept, as far as somebody has asked for them."""
        self._bytes = self._position = self._epoch = 0
        self._changes = 0
        self.reloads = 0

    def look(self, project: str) -> Snapshot:
        """A session as it is now."""
        self._count_up(project)
        found = self._sessions.get(project, Snapshot())
        return found._replace(uses=dict(found.uses), changes=self._changes, reloads=self.reloads)

    def look_back(self, epoch: int, position: int) -> Past:
        """All sessions, and the exchanges after a position; all of them if the epoch is another one."""
        self._catch_up()
        known = position if epoch == self._epoch else 0
        records = [(noted.position, noted.record) for noted in self._journal if noted.position > known]
        first = self._journal[0].position if self._journal else self._position + 1
        return Past({project: self.look(project) for project in self._sessions}, self._epoch, first, records)

    def use(
        self,
        project: str,
        key: str,
        limit: int | None,
        seen: frozenset[str],
        change: tuple[frozenset[str], frozenset[str]] | None,
    ) -> tuple[int | None, frozenset[str]]:
        """Count a use of a rule, set and clear flags, and return which use it is, with the flags that are set then.

        None if the rule has answered as often as its `limit` says, or if other flags are set than those `seen` when it was chosen.
        """
        self._count_up(project, key)
        found = self._find(project)
        use = found.uses.get(key, 0) + 1
        if found.flags != seen or (limit is not None and use > limit):
            return None, found.flags
        found.uses[key] = use
        if change is not None:
            found = self._sessions[project] = found._replace(flags=found.flags - change[1] | change[0])
        return use, found.flags

    def count(self, project: str, key: str) -> int:
        """Count a use and return which it is."""
        uses = self._find(project).uses
        uses[key] = use = uses.get(key, 0) + 1
        return use

    def recall(self, project: str, prefixes: Sequence[bytes]) -> int:
        """Remember the digests of a prompt's prefixes; return how many of them the session had before."""
        known = self._prefixes.setdefault(project, KnownPrefixes())
        self._prefixes.move_to_end(project)
        if len(self._prefixes) > MAX_SESSIONS:
            self._prefixes.popitem(last=False)
        return known.recall(prefixes)

    def name(self, worker: int, project: str, key: str) -> None:
        """Know what the next counter of a worker is for: uses of a rule that play no part in what is chosen."""
        self._tallies.name(worker, project, key)

    def push(self, project: str, text: str | None) -> None:
        """Set a session's own scenario or remove it; reset its state."""
        self._count_up(project)
        self._sessions.pop(project, None)
        self._prefixes.pop(project, None)
        self._find(project, text)
        self._buckets.reset(project)
        self._change()

    def reset(self, project: str | None) -> None:
        """Delete sessions, token buckets and exchanges of one project, or of all."""
        self._catch_up()
        for one in list(self._sessions) if project is None else [project]:
            self._sessions.pop(one, None)
        for one in list(self._prefixes) if project is None else [project]:
            self._prefixes.pop(one, None)
        self._buckets.reset(project)
        kept = [] if project is None else [one for one in self._journal if unpack(one.record).session != project]
        self._journal = deque(kept)
        self._bytes = sum(noted.size for noted in kept)
        self._epoch += 1
        self._change()

    def reload(self) -> int:
        """Let all read the server's scenarios again; how often they were."""
        self.reloads += 1
        self._change()
        return self.reloads

    def enter(
        self, who: tuple[int, int], demands: Sequence[QuotaDemand], tokens: int, now: float, wait: bool
    ) -> QuotaRefusal | float:
        """Ask for admission by quotas; `who` is the worker and its ticket."""
        worker, quota_ticket = who
        self._workers[quota_ticket] = worker
        return self._buckets.enter(quota_ticket, demands, tokens, now, wait=wait)

    def leave(self, quota_ticket: int, more: int, now: float) -> None:
        """End an admission."""
        if quota_ticket in self._workers:
            self._buckets.leave(quota_ticket, more, now)
            del self._workers[quota_ticket]

    def drop_worker(self, worker: int, now: float) -> None:
        """Release the quota tickets of a worker that has ended, and read its last notes."""
        self._catch_up()
        self._tallies.forget(worker)
        for quota_ticket in [quota_ticket for quota_ticket, owner in self._workers.items() if owner == worker]:
            self.leave(quota_ticket, 0, now)

    def show(self, limits: Sequence[Limits], session: str, now: float) -> list[list[dict[str, Any]]]:
        """The state of the token buckets."""
        return self._buckets.show(limits, session, now)

    def _catch_up(self) -> None:
        """Take what the workers have noted; the oldest exchanges leave when there is no room."""
        for project in self._tallies.projects:
            self._count_up(project)
        for noted in self._notes.read():
            self._position = noted.position
            self._journal.append(noted)
            self._bytes += noted.size
        while self._journal and (len(self._journal) > self._max_exchanges or self._bytes > self._max_bytes):
            self._bytes -= self._journal.popleft().size

    def _count_up(self, project: str, key: str | None = None) -> None:
        """Add what the workers have counted of a session, or of one rule in it."""
        for rule, more in self._tallies.take(project, key):
            uses = self._find(project).uses
            uses[rule] = uses.get(rule, 0) + more

    def _find(self, project: str, text: str | None = None) -> Snapshot:
        """A session, a new one with a scenario if need be."""
        found = self._sessions.get(project)
        if found is None:
            found = self._sessions[project] = Snapshot(uses={}, text=text)
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        else:
            self._sessions.move_to_end(project)
        return found

    def _change(self) -> None:
        self._changes += 1
        self._announce(self._changes)
