"""The store of one worker among several: a replica, and a channel to the process that they have in common."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from emulator.engine.choosing import Chosen
from emulator.engine.quota import Limits
from emulator.server.accounts import Demand, Lack
from emulator.server.exchanges import Entry
from emulator.server.journal import Journal
from emulator.server.records import pack, unpack
from emulator.server.sessions import Session, Sessions
from emulator.server.shared import Past, Snapshot
from emulator.server.store import Pushed, Turns, read_pushed


class Channel(Protocol):
    """The way to a `Shared`: messages arrive in the order in which they are sent."""

    worker: int
    """Which of the workers this is."""

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

    def tell(self, messages: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        """Call methods with their arguments; they are under way when this returns, whatever becomes of this process."""
        ...


class Link:
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
        self._turns = Turns()
        self._reloads = reloads
        self._epoch = -1
        self._records: list[bytes] = []
        self._uses: Counter[tuple[str, str]] = Counter()
        self._left: list[tuple[str, tuple[Any, ...]]] = []
        self._is_due = False
        self.next_number = channel.next_number
        self.turn = self._turns.expect
        self.come = self._turns.come
        """Is called with the ticket of somebody in a queue for whom it is worth asking again."""

    def is_behind(self, session: Session) -> bool:
        """Whether something has changed since a session was looked at."""
        return session.seen != self._channel.changes

    async def catch_up(self, project: str, session: Session) -> None:
        """Look at a session."""
        self._take(project, session, await self._call("look", project))

    async def catch_up_all(self) -> None:
        """Look at all of them, and at the journal."""
        past: Past = await self._call("look_back", self._epoch, self._journal.position)
        for project, session in self._sessions.all():
            if project not in past.sessions:
                self._take(project, session, Snapshot(changes=self._channel.changes, reloads=self._reloads))
        for project, snapshot in past.sessions.items():
            self._take(project, self._sessions.find(project), snapshot)
        entries = [(position, unpack(record)) for position, record in past.records]
        self._journal.replace(entries, past.first, anew=past.epoch != self._epoch)
        self._epoch = past.epoch

    async def use(self, project: str, session: Session, chosen: Chosen | None, *, is_calm: bool) -> int | None:
        """Bring a session forward, if it is as its replica says or that plays no part."""
        if chosen is None:
            # What is used up stays so, but flags may have been set or cleared.
            before = session.flags
            await self.catch_up(project, session)
            return 0 if before == session.flags else None
        rule = chosen.rule
        if is_calm and not chosen.counts:
            self._uses[project, rule.key] += 1
            self._flush_soon()
            return chosen.use
        seen, flags = session.flags, rule.flags
        # Whoever is answered meanwhile counts on from here.
        session.bring_forward(chosen)
        change = (flags.set_, flags.cleared) if flags is not None else None
        use, now = await self._call("use", project, rule.key, rule.limit, seen, change)
        if use is None:
            await self.catch_up(project, session)
            return None
        session.uses[rule.key] = max(session.uses.get(rule.key, 0), use)
        session.flags = now
        number: int = use
        return number

    async def count(self, project: str, key: str) -> int:
        """Count a use."""
        number: int = await self._call("count", project, key)
        return number

    async def enter(
        self, ticket: int, demands: Sequence[Demand], tokens: int, now: float, *, wait: bool
    ) -> Lack | float:
        """Ask for room in quotas."""
        self._turns.forget(ticket)
        # Expected from now on: it may come before the answer is read.
        self._turns.expect(ticket)
        entered: Lack | float = await self._call("enter", (self._channel.worker, ticket), demands, tokens, now, wait)
        if not isinstance(entered, Lack) or entered.patience is None:
            self._turns.forget(ticket)
        return entered

    def leave(self, ticket: int, more: int, now: float) -> None:
        """Give it back."""
        self._turns.forget(ticket)
        self._left.append(("leave", (ticket, more, now)))
        self._flush_soon()

    async def show_accounts(self, limits: Sequence[Limits], session: str, now: float) -> list[list[dict[str, Any]]]:
        """The accounts of quotas."""
        shown: list[list[dict[str, Any]]] = await self._call("show", limits, session, now)
        return shown

    async def push(self, project: str, pushed: Pushed | None) -> None:
        """Give a session a scenario of its own, or take it away."""
        await self._call("push", project, pushed.text if pushed else None)

    async def reset(self, project: str | None) -> None:
        """Forget what belongs to one project, or to all."""
        await self._call("reset", project)

    async def reload(self) -> None:
        """Let the others read the server's scenarios again; this one has done so."""
        self._reloads = await self._call("reload")

    def keep(self, entry: Entry) -> None:
        """Put an exchange into the journal."""
        self._records.append(pack(entry))
        self._flush_soon()

    def _flush_soon(self) -> None:
        """An answer flushes before it leaves; where nothing leaves any more, the next round of the loop does."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send what the others are to keep."""
        self._is_due = False
        if not (self._records or self._uses or self._left):
            return
        messages: list[tuple[str, tuple[Any, ...]]] = []
        if self._uses:
            messages.append(("add", (dict(self._uses),)))
            self._uses.clear()
        if self._records:
            messages.append(("keep", (self._records,)))
            self._records = []
        if self._left:
            messages += self._left
            self._left = []
        self._channel.tell(messages)

    async def _call(self, method: str, *arguments: Any) -> Any:
        self.flush()
        return await self._channel.call(method, *arguments)

    def _take(self, project: str, session: Session, snapshot: Snapshot) -> None:
        """Make the replica what the session is."""
        if snapshot.reloads != self._reloads:
            self._reloads = snapshot.reloads
            self._reread()
        if snapshot.text != session.text:
            pushed = None if snapshot.text is None else read_pushed(project, snapshot.text)
            session.adopt(pushed.ruleset if pushed else None, snapshot.text)
        session.uses, session.flags = snapshot.uses, snapshot.flags
        session.seen = snapshot.changes
