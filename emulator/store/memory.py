"""The store of a server with one process: sessions, journal and token buckets in its own memory."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from emulator.engine.matching.choose import Chosen
from emulator.engine.quota import Limits, QuotaDemand, QuotaRefusal, TokenBuckets
from emulator.engine.session import State
from emulator.store.interface import PushedScenario
from emulator.store.journal import Journal
from emulator.store.sessions import Session, Sessions


class QueueFutures:
    """Futures of queued requests, by quota ticket."""

    def __init__(self) -> None:
        self._futures: dict[int, asyncio.Future[None]] = {}

    def get(self, quota_ticket: int) -> "asyncio.Future[None]":
        """Return the future of a ticket, the same one until it is discarded."""
        future = self._futures.get(quota_ticket)
        if future is None:
            future = self._futures[quota_ticket] = asyncio.get_running_loop().create_future()
        return future

    def resolve(self, quota_ticket: int) -> None:
        """Resolve the future of a ticket, if there is one."""
        future = self._futures.get(quota_ticket)
        if future is not None and not future.done():
            future.set_result(None)

    def discard(self, quota_ticket: int) -> None:
        """Drop the future of a ticket, if there is one."""
        self._futures.pop(quota_ticket, None)


class MemoryStore:
    """A `Store` for a single process: the sessions and the journal of the service are the only copy."""

    def __init__(
        self, sessions: Sessions, journal: Journal, read_counters: Callable[[], Mapping[str, int]] = dict
    ) -> None:
        """`read_counters` returns the counters of this process."""
        self._sessions = sessions
        self._journal = journal
        self._read_counters = read_counters
        self._queue = QueueFutures()
        self._buckets = TokenBuckets(self._queue.resolve)
        self.next_number = journal.next_number
        self.keep = journal.add

    async def open(self) -> None:
        """Do nothing: there is nothing to connect to."""

    async def close(self) -> None:
        """Do nothing: there is nothing to disconnect from."""

    async def check(self) -> None:
        """Do nothing: memory can always be reached."""

    def is_stale(self, _session: Session) -> bool:
        """Always False: there is no other process."""
        return False

    async def refresh(self, project: str, session: Session) -> None:
        """Do nothing: there is no other process."""

    async def refresh_all(self) -> None:
        """Do nothing: there is no other process."""

    async def refresh_journal(self) -> None:
        """Do nothing: there is no other process."""

    def note_use(self, _project: str, session: Session, chosen: Chosen) -> bool:
        """Count the use of a rule."""
        session.record_use(chosen)
        return True

    async def use(self, _project: str, session: Session, chosen: Chosen | None, state: State) -> int | None:
        """Record the use of the chosen rule and return its number, unless others were answered meanwhile and it may be another rule."""
        if session.uses is not state.uses:
            # The scenario was replaced; this is an answer of the one before.
            return 0 if chosen is None else chosen.use
        if session.flags != state.flags:
            return None
        if chosen is None:
            return 0
        limit = chosen.rule.limit
        if limit is not None and session.uses.get(chosen.rule.key, 0) >= limit:
            return None
        return session.record_use(chosen)

    async def count(self, project: str, key: str) -> int:
        """Increment a session's counter that belongs to no rule, and return its value."""
        uses = self._sessions.find(project).uses
        uses[key] = number = uses.get(key, 0) + 1
        return number

    async def recall(self, project: str, prefixes: Sequence[bytes]) -> int:
        """Remember the digests of a prompt's prefixes; return how many of them the session had before."""
        return self._sessions.find(project).prefixes.recall(prefixes)

    async def enter(
        self, quota_ticket: int, demands: Sequence[QuotaDemand], tokens: int, now: float, *, wait: bool
    ) -> QuotaRefusal | float:
        """Ask for admission by quotas."""
        self._queue.discard(quota_ticket)
        return self._buckets.enter(quota_ticket, demands, tokens, now, wait=wait)

    def leave(self, quota_ticket: int, more: int, now: float) -> None:
        """End an admission."""
        self._queue.discard(quota_ticket)
        self._buckets.leave(quota_ticket, more, now)

    def turn(self, quota_ticket: int) -> "asyncio.Future[None]":
        """Future that resolves when a queued request may retry."""
        return self._queue.get(quota_ticket)

    async def show_buckets(self, limits: Sequence[Limits], session: str, now: float) -> list[list[dict[str, Any]]]:
        """The state of the token buckets."""
        return self._buckets.show(limits, session, now)

    async def push(self, project: str, pushed: PushedScenario | None) -> None:
        """Set a session's own scenario, or remove it; reset its counters, flags and quotas."""
        self._sessions.find(project).replace_scenario(
            pushed.ruleset if pushed else None, pushed.text if pushed else None
        )
        self._buckets.reset(project)

    async def reset(self, project: str | None) -> None:
        """Delete sessions, token buckets and exchanges of one project, or of all."""
        self._sessions.reset(project)
        self._buckets.reset(project)
        self._journal.remove(lambda exchange: project is None or exchange.session == project)

    async def reload(self) -> None:
        """Do nothing: there is no other process."""

    async def sum_counters(self) -> Mapping[str, int]:
        """The counters of this process."""
        return self._read_counters()

    def flush(self) -> None:
        """Do nothing: memory needs no flush."""
