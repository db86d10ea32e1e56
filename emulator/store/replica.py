"""The store of one worker among several: a replica, and a channel to the process that they have in common."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from emulator.engine.matching.choose import Chosen
from emulator.engine.quota import Limits, QuotaDemand, QuotaRefusal
from emulator.store.exchange import Entry
from emulator.store.interface import PushedScenario, read_pushed_scenario
from emulator.store.journal import Journal
from emulator.store.memory import QueueFutures
from emulator.store.records import pack, unpack
from emulator.store.sessions import Session, Sessions
from emulator.store.shared import Past, Snapshot


class Channel(Protocol):
    """The way to a `Shared`: messages arrive in the order in which they are sent, and notes are found by whoever looks."""

    worker: int
    """Which of the workers this is."""
    counters: memoryview
    """Counters of this worker's own, of which the `Shared` has to be told by `name` what they are for, the first one first."""

    def next_number(self) -> int:
        """A number that nobody else gets."""
        ...

    @property
    def changes(self) -> int:
        """The number of the last change that all must know; cheap to ask."""
        ...

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call a method and return what it does."""
        ...

    def notify(self, method: str, *arguments: Any) -> None:
        """Call a method; the call is under way when this returns, whatever becomes of this process."""
        ...

    def note(self, parts: Sequence[bytes]) -> None:
        """Note an exchange that has ended; it is there when this returns, whatever becomes of this process."""
        ...


class ReplicaStore:
    """A `Store` behind a channel."""

    def __init__(
        self,
        sessions: Sessions,
        journal: Journal,
        channel: Channel,
        reread: Callable[[], object],
        reloads: int = 0,
    ) -> None:
        """`reread` has the worker read the server's scenarios again; `reloads` is how often it has done so."""
        self._sessions = sessions
        self._journal = journal
        self._channel = channel
        self._reread = reread
        self._queue = QueueFutures()
        self._reloads = reloads
        self._epoch = -1
        self._counters: dict[tuple[str, str], int] = {}
        """Which counter is that of a rule in a session."""
        self.next_number = channel.next_number
        self.turn = self._queue.get
        self.come = self._queue.resolve
        """Is called with the ticket of somebody in a queue for whom it is worth asking again."""

    def is_stale(self, session: Session) -> bool:
        """Whether the shared state has changed since this session was refreshed."""
        return session.seen != self._channel.changes

    async def refresh(self, project: str, session: Session) -> None:
        """Refresh one session."""
        self._take(project, session, await self._channel.call("look", project))

    async def refresh_all(self) -> None:
        """Refresh all sessions and the journal."""
        past: Past = await self._channel.call("look_back", self._epoch, self._journal.position)
        for project, session in self._sessions.all():
            if project not in past.sessions:
                self._take(project, session, Snapshot(changes=self._channel.changes, reloads=self._reloads))
        for project, snapshot in past.sessions.items():
            self._take(project, self._sessions.find(project), snapshot)
        entries = [(position, unpack(record)) for position, record in past.records]
        self._journal.replace(entries, past.first, anew=past.epoch != self._epoch)
        self._epoch = past.epoch

    def note_use(self, project: str, _session: Session, chosen: Chosen) -> bool:
        """Count the use of a rule in memory that the supervisor looks at; False if there is no counter left."""
        key = project, chosen.rule.key
        counter = self._counters.get(key)
        if counter is None:
            counter = len(self._counters)
            if counter == len(self._channel.counters):
                return False
            self._counters[key] = counter
            self._channel.notify("name", self._channel.worker, *key)
        self._channel.counters[counter] += 1
        return True

    async def use(self, project: str, session: Session, chosen: Chosen | None) -> int | None:
        """Record the use of the chosen rule, unless the replica is stale."""
        if chosen is None:
            # What is used up stays so, but flags may have been set or cleared.
            before = session.flags
            await self.refresh(project, session)
            return 0 if before == session.flags else None
        rule = chosen.rule
        seen, flags = session.flags, rule.flags
        # Whoever is answered meanwhile counts on from here.
        session.record_use(chosen)
        change = (flags.set_, flags.cleared) if flags is not None else None
        use, now = await self._channel.call("use", project, rule.key, rule.limit, seen, change)
        if use is None:
            await self.refresh(project, session)
            return None
        session.uses[rule.key] = max(session.uses.get(rule.key, 0), use)
        session.flags = now
        number: int = use
        return number

    async def count(self, project: str, key: str) -> int:
        """Increment a session's counter that belongs to no rule, and return its value."""
        number: int = await self._channel.call("count", project, key)
        return number

    async def recall(self, project: str, prefixes: Sequence[bytes]) -> int:
        """Remember the digests of a prompt's prefixes; return how many of them the session had before."""
        known: int = await self._channel.call("recall", project, prefixes)
        return known

    async def enter(
        self, quota_ticket: int, demands: Sequence[QuotaDemand], tokens: int, now: float, *, wait: bool
    ) -> QuotaRefusal | float:
        """Ask for admission by quotas."""
        self._queue.discard(quota_ticket)
        # Expected from now on: it may come before the answer is read.
        self._queue.get(quota_ticket)
        entered: QuotaRefusal | float = await self._channel.call(
            "enter", (self._channel.worker, quota_ticket), demands, tokens, now, wait
        )
        if not isinstance(entered, QuotaRefusal) or entered.queue_timeout is None:
            self._queue.discard(quota_ticket)
        return entered

    def leave(self, quota_ticket: int, more: int, now: float) -> None:
        """End an admission."""
        self._queue.discard(quota_ticket)
        self._channel.notify("leave", quota_ticket, more, now)

    async def show_buckets(self, limits: Sequence[Limits], session: str, now: float) -> list[list[dict[str, Any]]]:
        """The state of the token buckets."""
        shown: list[list[dict[str, Any]]] = await self._channel.call("show", limits, session, now)
        return shown

    async def push(self, project: str, pushed: PushedScenario | None) -> None:
        """Set a session's own scenario, or remove it."""
        await self._channel.call("push", project, pushed.text if pushed else None)

    async def reset(self, project: str | None) -> None:
        """Delete sessions, token buckets and exchanges of one project, or of all."""
        await self._channel.call("reset", project)

    async def reload(self) -> None:
        """Let the others read the server's scenarios again; this one has done so."""
        self._reloads = await self._channel.call("reload")

    def keep(self, entry: Entry) -> None:
        """Put an exchange into the journal."""
        self._channel.note(pack(entry))

    def flush(self) -> None:
        """All that was told is kept already."""

    def _take(self, project: str, session: Session, snapshot: Snapshot) -> None:
        """Copy a snapshot into the replica."""
        if snapshot.reloads != self._reloads:
            self._reloads = snapshot.reloads
            self._reread()
        if snapshot.text != session.text:
            pushed = None if snapshot.text is None else read_pushed_scenario(project, snapshot.text)
            session.replace_scenario(pushed.ruleset if pushed else None, snapshot.text)
        session.uses, session.flags = snapshot.uses, snapshot.flags
        session.seen = snapshot.changes
