"""The `Store` interface: session state, token buckets and journal, in one process or shared by several."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from emulator.engine.answer import Outcome
from emulator.engine.matching.choose import Chosen
from emulator.engine.quota import Limits, QuotaDemand, QuotaRefusal
from emulator.engine.ruleset import Ruleset, compile_rules
from emulator.engine.session import State
from emulator.errors import EmulatorError
from emulator.redaction import clean_line
from emulator.scenario.loading import read_text
from emulator.store.exchange import Entry
from emulator.store.sessions import Session

Result = TypeVar("Result")


OPEN_STREAMS = '["open_streams"]'
"""The counter of answers that are being sent, which goes down too."""


class StoreUnreachableError(EmulatorError):
    """The store that processes share does not answer."""


@dataclass(frozen=True, slots=True)
class PushedScenario:
    """A session's own scenario: its text and its compiled rules."""

    text: str
    ruleset: Ruleset
    file: str = ""
    """The file it came from, as whoever pushed it named that; empty if it did not."""


MAX_FILE_NAME = 200
"""Characters of the name of the file that a pushed scenario came from."""


def read_pushed_scenario(project: str, text: str, file: str = "") -> PushedScenario:
    """Load and compile a scenario pushed for one project; problems and rules name `file`. Raises ScenarioError."""
    file = clean_line(file, MAX_FILE_NAME)
    reading = read_text(text, file or f"<pushed for {project}>")
    return PushedScenario(text, compile_rules(reading.scenarios, reading.warnings), file)


class Store(Protocol):
    """State that all processes of a server share, as one of them sees it.

    Each process has a replica: the sessions and the journal of its service. The store refreshes the replica before it is read and
    makes the changes that every process must see. Coroutines may talk to another process or machine, and raise StoreUnreachableError if it
    does not answer. The other methods must not block; what they record leaves the process before the answer does (`flush`), so that it
    survives the process.
    """

    async def open(self) -> None:
        """Connect. Raises StartError."""
        ...

    async def close(self) -> None:
        """Hand over what is left, and disconnect."""
        ...

    async def check(self) -> None:
        """Return if the store can be reached. Raises StoreUnreachableError."""
        ...

    def next_number(self) -> int:
        """Return the number of the next exchange, from 1, unique across processes."""
        ...

    def is_stale(self, session: Session) -> bool:
        """Whether a scenario was pushed, reloaded or reset since this session's replica was last refreshed."""
        ...

    async def refresh(self, project: str, session: Session) -> None:
        """Refresh the replica of a session, and the server's rules if they were reloaded."""
        ...

    async def refresh_all(self) -> None:
        """Refresh all sessions and the journal, before they are reported."""
        ...

    async def refresh_journal(self) -> None:
        """Refresh the journal, before it is reported."""
        ...

    def note_use(self, project: str, session: Session, chosen: Chosen) -> bool:
        """Count the use of a rule whose answer does not depend on session state; return False if the caller must await `use` instead."""
        ...

    async def use(self, project: str, session: Session, chosen: Chosen | None, state: State) -> int | None:
        """Record the use of the chosen rule (None for a miss) in a session and return its number, from 1; 0 for a miss.

        `state` is what the rule was chosen from. The number differs from `chosen.use` if another request has used the rule meanwhile.
        None means that the state has changed, so that another rule may match: choose again.
        """
        ...

    async def count(self, project: str, key: str) -> int:
        """Increment a session's counter that belongs to no rule, and return its value."""
        ...

    async def recall(self, project: str, prefixes: Sequence[bytes]) -> int:
        """Remember the digests of a prompt's prefixes in a session; return how many of them, from the first, it had before."""
        ...

    async def enter(
        self, quota_ticket: int, demands: Sequence[QuotaDemand], tokens: int, now: float, *, wait: bool
    ) -> QuotaRefusal | float:
        """Ask for admission by quotas: `TokenBuckets.enter`."""
        ...

    def leave(self, quota_ticket: int, more: int, now: float) -> None:
        """End an admission: `TokenBuckets.leave`."""
        ...

    def turn(self, quota_ticket: int) -> "asyncio.Future[None]":
        """Future that resolves when a queued request may retry."""
        ...

    async def show_buckets(self, limits: Sequence[Limits], session: str, now: float) -> list[list[dict[str, Any]]]:
        """The state of the token buckets: `TokenBuckets.show`."""
        ...

    async def push(self, project: str, pushed: PushedScenario | None) -> None:
        """Set a session's own scenario, or remove it (None); either way reset its counters, flags and quotas."""
        ...

    async def reset(self, project: str | None) -> None:
        """Delete sessions, token buckets and exchanges of one project, or of all (None)."""
        ...

    async def reload(self) -> None:
        """Make the other workers reload the server's scenarios, as this one has done."""
        ...

    async def sum_counters(self) -> Mapping[str, int]:
        """The counters of all processes that share the store, those of metrics, by name."""
        ...

    def keep(self, entry: Entry) -> None:
        """Add an exchange that has ended to the journal."""
        ...

    def flush(self) -> None:
        """Make everything recorded so far durable; called before answers are sent."""
        ...


async def commit_outcome(
    store: Store,
    session: Session,
    outcome: Outcome,
    choose: Callable[[State], Awaitable[Outcome]],
    *,
    project: str,
    state: State,
) -> Outcome:
    """Record an outcome's rule use in the store and return the outcome that holds.

    `state` is what its rule was chosen from. If other requests have changed the session meanwhile, `choose` makes the outcome again
    from the current state.
    """
    while (use := await store.use(project, session, outcome.chosen, state)) is None:
        state = session.state
        outcome = await choose(state)
    chosen = outcome.chosen
    # Another request may have used the rule meanwhile.
    return outcome if chosen is None or use == chosen.use else await choose(state.before(chosen.rule.key, use))


def run_synchronously(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that never suspends, as with `MemoryStore`, and return its result. Raises RuntimeError if it suspends."""
    try:
        work.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    work.close()
    raise RuntimeError("this would have to wait for another process")
