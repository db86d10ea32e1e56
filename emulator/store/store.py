"""What the workers of a server remember together, behind one interface; and the store of a server that has one worker."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from emulator.engine.answer import Outcome
from emulator.engine.matching.choose import Chosen
from emulator.engine.quota import Limits, QuotaDemand, QuotaRefusal, TokenBuckets
from emulator.engine.ruleset import Ruleset, compile_rules
from emulator.engine.session import State
from emulator.scenario.loading import read_text
from emulator.store.exchange import Entry
from emulator.store.journal import Journal
from emulator.store.sessions import Session, Sessions

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Pushed:
    """A session's own scenario: its text, and the rules that were made of it."""

    text: str
    ruleset: Ruleset


def read_pushed(project: str, text: str) -> Pushed:
    """Read the scenario that a session is given. Raises ScenarioError."""
    return Pushed(text, compile_rules(read_text(text, f"<pushed for {project}>").scenarios))


class Store(Protocol):
    """What the workers of a server remember together, as one of them sees it.

    A worker has a replica: the sessions and the journal of its service. The store brings it up to date before it is relied on, and makes
    changes that all have to know. Coroutines may ask another process or machine; the others must not wait, and what they are told
    is kept by others before the answer it belongs to leaves (`flush`), so that it outlives the worker.
    """

    def next_number(self) -> int:
        """The number of the next exchange, from 1: no two workers get the same."""
        ...

    def is_behind(self, session: Session) -> bool:
        """Whether scenarios were pushed, read again or forgotten since the replica of a session was brought up to date."""
        ...

    async def catch_up(self, project: str, session: Session) -> None:
        """Bring the replica of a session up to date, and the server's rules with it."""
        ...

    async def catch_up_all(self) -> None:
        """Bring all sessions and the journal up to date, for those who look at the past."""
        ...

    def note_use(self, project: str, session: Session, chosen: Chosen) -> bool:
        """Count the use of a rule where nothing that came before plays a part; False if that takes asking others, by `use`."""
        ...

    async def use(self, project: str, session: Session, chosen: Chosen | None) -> int | None:
        """Bring a session forward with what was chosen in it, and return the number of the rule's use, which may be another.

        None if the session was not what its replica said, so that another rule may be the one; choose again. A miss has no use to
        count: 0.
        """
        ...

    async def count(self, project: str, key: str) -> int:
        """Count a use in a session that is no rule's, and return which it is, from 1."""
        ...

    async def enter(
        self, quota_ticket: int, demands: Sequence[QuotaDemand], tokens: int, now: float, *, wait: bool
    ) -> QuotaRefusal | float:
        """Ask for room in quotas: `Accounts.enter`."""
        ...

    def leave(self, quota_ticket: int, more: int, now: float) -> None:
        """Give it back: `Accounts.leave`."""
        ...

    def turn(self, quota_ticket: int) -> "asyncio.Future[None]":
        """What is done when it is worth asking again for who stands in a queue."""
        ...

    async def show_buckets(self, limits: Sequence[Limits], session: str, now: float) -> list[list[dict[str, Any]]]:
        """The accounts of quotas: `Accounts.show`."""
        ...

    async def push(self, project: str, pushed: Pushed | None) -> None:
        """Give a session a scenario of its own, or take it away; either way its counters, flags and quotas begin anew."""
        ...

    async def reset(self, project: str | None) -> None:
        """Forget sessions, accounts and exchanges of one project, or of all."""
        ...

    async def reload(self) -> None:
        """Let the other workers read the server's scenarios again; this one has done so."""
        ...

    def keep(self, entry: Entry) -> None:
        """Put an exchange that has ended into the journal."""
        ...

    def flush(self) -> None:
        """See that what was told is kept; called before answers leave."""
        ...


async def agree(
    store: Store, session: Session, outcome: Outcome, choose: Callable[[State], Outcome], project: str
) -> Outcome:
    """The outcome of a request in the session as all workers know it; `choose` makes it from what is remembered, as it has once."""
    state = session.state
    while (use := await store.use(project, session, outcome.chosen)) is None:
        state = session.state
        outcome = choose(state)
    chosen = outcome.chosen
    # Others have used the rule meanwhile.
    return outcome if chosen is None or use == chosen.use else choose(state.before(chosen.rule.key, use))


class QueueFutures:
    """The futures of those who stand in queues, by their tickets."""

    def __init__(self) -> None:
        self._futures: dict[int, asyncio.Future[None]] = {}

    def expect(self, quota_ticket: int) -> "asyncio.Future[None]":
        """The future of a ticket, the same one until it is forgotten."""
        future = self._futures.get(quota_ticket)
        if future is None:
            future = self._futures[quota_ticket] = asyncio.get_running_loop().create_future()
        return future

    def come(self, quota_ticket: int) -> None:
        """Let a ticket go on, if somebody waits with it."""
        future = self._futures.get(quota_ticket)
        if future is not None:
            release(future)

    def forget(self, quota_ticket: int) -> None:
        """Let go of a ticket."""
        self._futures.pop(quota_ticket, None)


class MemoryStore:
    """The store of a single worker: the replica is all there is."""

    def __init__(self, sessions: Sessions, journal: Journal) -> None:
        self._sessions = sessions
        self._journal = journal
        self._turns = QueueFutures()
        self._accounts = TokenBuckets(self._turns.come)
        self.next_number = journal.next_number
        self.keep = journal.add

    def is_behind(self, _session: Session) -> bool:
        """Never."""
        return False

    async def catch_up(self, project: str, session: Session) -> None:
        """There is nobody to catch up with."""

    async def catch_up_all(self) -> None:
        """Nor here."""

    def note_use(self, _project: str, session: Session, chosen: Chosen) -> bool:
        """Count the use of a rule."""
        session.bring_forward(chosen)
        return True

    async def use(self, _project: str, session: Session, chosen: Chosen | None) -> int | None:
        """Bring a session forward."""
        if chosen is None:
            return 0
        session.bring_forward(chosen)
        return chosen.use

    async def count(self, project: str, key: str) -> int:
        """Count a use."""
        uses = self._sessions.find(project).uses
        uses[key] = number = uses.get(key, 0) + 1
        return number

    async def enter(
        self, quota_ticket: int, demands: Sequence[QuotaDemand], tokens: int, now: float, *, wait: bool
    ) -> QuotaRefusal | float:
        """Ask for room in quotas."""
        self._turns.forget(quota_ticket)
        return self._accounts.enter(quota_ticket, demands, tokens, now, wait=wait)

    def leave(self, quota_ticket: int, more: int, now: float) -> None:
        """Give it back."""
        self._turns.forget(quota_ticket)
        self._accounts.leave(quota_ticket, more, now)

    def turn(self, quota_ticket: int) -> "asyncio.Future[None]":
        """What is done when it is worth asking again."""
        return self._turns.expect(quota_ticket)

    async def show_buckets(self, limits: Sequence[Limits], session: str, now: float) -> list[list[dict[str, Any]]]:
        """The accounts of quotas."""
        return self._accounts.show(limits, session, now)

    async def push(self, project: str, pushed: Pushed | None) -> None:
        """Give a session a scenario of its own, or take it away."""
        self._sessions.find(project).adopt(pushed.ruleset if pushed else None, pushed.text if pushed else None)
        self._accounts.reset(project)

    async def reset(self, project: str | None) -> None:
        """Forget what belongs to one project, or to all."""
        self._sessions.reset(project)
        self._accounts.reset(project)
        self._journal.remove(lambda exchange: project is None or exchange.session == project)

    async def reload(self) -> None:
        """There are no others."""

    def flush(self) -> None:
        """There is nobody to tell."""


def run_without_waiting(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that never waits, as those of a service with one worker. Raises RuntimeError if it does."""
    try:
        work.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    work.close()
    raise RuntimeError("this would have to wait for another process")


def release(waiter: "asyncio.Future[None]") -> None:
    """Let whoever awaits a future go on."""
    if not waiter.done():
        waiter.set_result(None)
