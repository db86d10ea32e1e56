"""Quotas of a server: what is left for each session, model or the whole server, who is in hand and who waits."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Any, NamedTuple

from emulator.engine.facts import Facts
from emulator.engine.quota import (
    CompiledQuota,
    Levels,
    Shortage,
    fill,
    find_shortage,
    may_wait,
    refill,
    settle,
    take,
)
from emulator.engine.refusing import refuse, values_for
from emulator.scenario.rules import Traffic
from emulator.wire.refusals import Refusal
from emulator.wire.usage import Usage

MOST_ACCOUNTS = 10_000
"""Sessions, models and servers whose levels are kept; the one unused for longest is full again."""


class Owner(NamedTuple):
    """Who has an account: a quota, and of it a session and a model, each empty where they share."""

    quota: str
    session: str
    model: str


@dataclass(slots=True, eq=False)
class Turn:
    """A place in the queue for one of the `concurrent` requests."""

    account: "Account"
    patience: float
    """Seconds that it lasts at most."""
    woken: asyncio.Future[None] | None = None


@dataclass(slots=True)
class Account:
    """What one owner has left, in hand and waiting."""

    levels: Levels
    in_hand: int = 0
    waiting: list[Turn] = field(default_factory=list)

    def has_place(self, most: int, turn: Turn | None) -> bool:
        """Whether one more may be in hand: those who wait come first, in the order in which they came."""
        before = self.waiting.index(turn) if turn in self.waiting else len(self.waiting)
        return self.in_hand + before < most

    def wake(self) -> None:
        """Let those who wait ask again, because somebody has left."""
        for turn in self.waiting:
            if turn.woken is not None and not turn.woken.done():
                turn.woken.set_result(None)


@dataclass(slots=True)
class Ticket:
    """What a request has taken of quotas, and how long it waits for it."""

    held: float = 0.0
    """Seconds that its answer is held back."""
    taken: list[tuple[CompiledQuota, Account]] = field(default_factory=list)
    tokens: int = 0
    """What the prompt was estimated to be."""
    turn: Turn | None = None
    """The place in a queue that it may wait in; it was refused for now."""
    waited: Turn | None = None
    """The place in which it has waited."""


class _Lack(NamedTuple):
    """Why a request does not get in: the quota that is too small, in words, and the queue that it may wait in."""

    quota: CompiledQuota
    reason: str
    turn: Turn | None = None


class Quotas:
    """The accounts of a server, as many as there is room for."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[Owner, Account] = OrderedDict()
        # A test resets a session on its own thread while the server answers on another.
        self._lock = threading.Lock()

    def admit(self, quotas: Sequence[CompiledQuota], facts: Facts, ticket: Ticket, now: float) -> Refusal | None:
        """Let a request in, which is written on its ticket, or refuse it, which takes nothing.

        Documented (pages on Provisioned Throughput and Priority PayGo): requests use provisioned throughput where there is some,
        and beyond it are paid as they go; with `X-Vertex-AI-LLM-Request-Type: dedicated` they are refused with 429 instead, with
        `shared` they never touch it. Assumed: what provisioned throughput carries does not count against other quotas, and
        without any such quota there is enough of it.
        """
        concerning = [quota for quota in quotas if quota.concerns(facts)]
        kind = facts.llm_headers.get("x-vertex-ai-llm-request-type", "").lower()
        provisioned = [quota for quota in concerning if quota.is_provisioned]
        if kind == "dedicated":
            lack = self._enter(provisioned, facts, ticket, now)
        else:
            # What can be paid for as it goes does not wait.
            if provisioned and kind != "shared" and self._enter(provisioned, facts, ticket, now, wait=False) is None:
                facts.traffic = _PROVISIONED
                return None
            lack = self._enter([quota for quota in concerning if not quota.is_provisioned], facts, ticket, now)
        if lack is None:
            return None
        ticket.turn = lack.turn
        explanation = f"the quota at {lack.quota.place} {lack.reason}"
        return refuse(lack.quota.error, values_for(facts.target, facts.model), explanation=explanation)

    def _enter(
        self,
        quotas: Sequence[CompiledQuota],
        facts: Facts,
        ticket: Ticket,
        now: float,
        *,
        wait: bool = True,
    ) -> _Lack | None:
        """Take from all quotas, or from none and say which lacks what."""
        tokens = facts.prompt_tokens if any(quota.tokens for quota in quotas) else 0
        found: list[tuple[CompiledQuota, Account, Shortage | None]] = []
        for quota in quotas:
            account = self._find(quota, facts, now)
            if quota.concurrent is not None and not account.has_place(quota.concurrent, ticket.waited):
                return _explain_full(quota, account, _owner(quota, facts), ticket.waited)
            shortage = find_shortage(quota, account.levels, tokens)
            if shortage is not None and not (wait and may_wait(quota, account.levels, shortage)):
                return _Lack(quota, _explain_shortage(quota, shortage, account, _owner(quota, facts)))
            found.append((quota, account, shortage))
        for quota, account, shortage in found:
            account.levels = take(quota, account.levels, tokens, shortage)
            account.in_hand += 1
            ticket.taken.append((quota, account))
            ticket.held = max(ticket.held, shortage.seconds if shortage else 0.0)
        ticket.tokens = tokens
        return None

    def leave(self, ticket: Ticket, usage: Usage | None, now: float) -> None:
        """Give back the places of a request that has ended, and settle the tokens of its answer; a second time is nothing."""
        more = 0 if usage is None else usage.sum - ticket.tokens
        for quota, account in ticket.taken:
            account.levels = settle(quota, refill(quota, account.levels, now), more)
            account.in_hand -= 1
            account.wake()
        ticket.taken.clear()
        ticket.turn = ticket.waited = None

    def _find(self, quota: CompiledQuota, facts: Facts, now: float) -> Account:
        owner = _owner(quota, facts)
        with self._lock:
            account = self._accounts.get(owner)
            if account is None:
                account = self._accounts[owner] = Account(fill(quota, now))
                if len(self._accounts) > MOST_ACCOUNTS:
                    self._accounts.popitem(last=False)
            else:
                self._accounts.move_to_end(owner)
        account.levels = refill(quota, account.levels, now)
        return account

    def reset(self, session: str | None) -> None:
        """Make the accounts of one session full again, or all; what sessions share is left as it is by the first."""
        with self._lock:
            for owner in [owner for owner in self._accounts if session is None or owner.session == session]:
                del self._accounts[owner]

    def show(self, quotas: Sequence[CompiledQuota], session: str, now: float) -> list[dict[str, Any]]:
        """The quotas of a session with their accounts, as the control API shows them."""
        with self._lock:
            accounts = tuple(self._accounts.items())
        return [
            {
                "place": str(quota.place),
                "per": quota.per,
                "requests_per_minute": quota.requests,
                "tokens_per_minute": quota.tokens,
                "concurrent": quota.concurrent,
                "on_excess": quota.error.name,
                "accounts": [
                    _show(quota, owner, account, now)
                    for owner, account in accounts
                    if owner.quota == quota.key and owner.session in {"", session}
                ],
            }
            for quota in quotas
        ]


_LONG = 10.0
"""Seconds beyond which tenths are not shown."""
_PROVISIONED: Traffic = "PROVISIONED_THROUGHPUT"


def _owner(quota: CompiledQuota, facts: Facts) -> Owner:
    session = "" if quota.per == "server" else facts.target.project
    return Owner(quota.key, session, facts.answering_model if quota.per == "model" else "")


def _explain_full(quota: CompiledQuota, account: Account, owner: Owner, turn: Turn | None) -> _Lack:
    reason = f"lets {quota.concurrent} be answered at the same time{_whose(owner)}; {account.in_hand} in hand"
    if not quota.length:
        return _Lack(quota, f"{reason}; the next passes when one of them ends")
    is_waiting = turn in account.waiting
    if not is_waiting and len(account.waiting) >= quota.length:
        return _Lack(quota, f"{reason}, {len(account.waiting)} waiting, which is all that its queue has room for")
    reason = f"{reason}, and no place came free within {quota.patience * 1000:.0f} ms"
    return _Lack(quota, reason, turn if is_waiting else Turn(account, quota.patience))


def _explain_shortage(quota: CompiledQuota, shortage: Shortage, account: Account, owner: Owner) -> str:
    # Rounded to the safe side: less than is left, more than there is to wait.
    left = floor(shortage.left * 10) / 10
    what = shortage.limit if shortage.per_minute > 1 else shortage.limit.removesuffix("s")
    seconds = ceil(shortage.seconds) if shortage.seconds > _LONG else ceil(shortage.seconds * 10) / 10
    reason = (
        f"gives {shortage.per_minute:.0f} {what} per minute{_whose(owner)}; {left:g} left, "
        f"{shortage.needed:.0f} needed; it would pass in {seconds:g} s"
    )
    if not quota.length:
        return reason
    if shortage.seconds > quota.patience:
        return f"{reason}, but none may wait for more than {quota.patience * 1000:.0f} ms"
    return f"{reason}, but {len(account.levels.passing)} wait already, which is all that its queue has room for"


def _whose(owner: Owner) -> str:
    if owner.model:
        return f" of {owner.model} in session {owner.session}"
    return f" in session {owner.session}" if owner.session else ""


def _show(quota: CompiledQuota, owner: Owner, account: Account, now: float) -> dict[str, Any]:
    levels = refill(quota, account.levels, now)
    return {
        "session": owner.session or None,
        "model": owner.model or None,
        "requests_left": round(levels.requests, 3) if quota.requests else None,
        "tokens_left": round(levels.tokens, 3) if quota.tokens else None,
        "in_hand": account.in_hand,
        "waiting": len(account.waiting) + len(levels.passing),
    }
