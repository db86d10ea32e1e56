"""Accounts of quotas: what is left for each session, model or the whole server, who is in hand and who waits.

Plain data goes in and comes out, so that the workers of a server can share the accounts of one process.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, floor
from typing import Any, NamedTuple

from emulator.engine.quota.limits import Levels, Limits, Shortage, fill, find_shortage, may_wait, refill, settle, take

MOST_ACCOUNTS = 10_000
"""Sessions, models and servers whose levels are kept; the one unused for longest is full again."""
_LONG = 10.0
"""Seconds beyond which tenths are not shown."""


@dataclass(slots=True)
class Ticket:
    """What a request has taken of quotas, and how long it waits for it."""

    number: int
    """That of its exchange."""
    held: float = 0.0
    """Seconds that its answer is held back."""
    tokens: int = 0
    """What the prompt was estimated to be."""
    has_asked: bool = False
    """Whether the accounts may know of it."""
    patience: float | None = None
    """Seconds for which it may stand in a queue; it was refused for now."""


class Owner(NamedTuple):
    """Who has an account: a quota, and of it a session and a model, each empty where they share."""

    quota: str
    session: str
    model: str


class Demand(NamedTuple):
    """A quota that a request must have room in."""

    limits: Limits
    owner: Owner


@dataclass(frozen=True, slots=True)
class Lack:
    """Why a request does not get in."""

    which: int
    """The place, among the demands, of the quota that is too small."""
    reason: str
    patience: float | None = None
    """Seconds for which it stands in a queue now; None if it may not wait."""


@dataclass(slots=True, eq=False)
class Account:
    """What one owner has left, in hand and waiting."""

    levels: Levels
    in_hand: int = 0
    waiting: list[int] = field(default_factory=list)
    """The tickets in its queue."""

    def has_place(self, most: int, ticket: int) -> bool:
        """Whether one more may be in hand: those who wait come first, in the order in which they came."""
        before = self.waiting.index(ticket) if ticket in self.waiting else len(self.waiting)
        return self.in_hand + before < most


@dataclass(slots=True)
class _Holding:
    """What a ticket has taken, and the queue in which it stands."""

    taken: list[tuple[Limits, Account]] = field(default_factory=list)
    queue: Account | None = None


class Accounts:
    """The accounts of a server, as many as there is room for. Each request that asks has a ticket: a number."""

    def __init__(self, wake: Callable[[int], object]) -> None:
        """`wake` is given the ticket of each who waits when it is worth asking again."""
        self._wake = wake
        self._accounts: OrderedDict[Owner, Account] = OrderedDict()
        self._holdings: dict[int, _Holding] = {}
        # A test resets a session on its own thread while the server answers on another.
        self._lock = threading.Lock()

    def enter(
        self, ticket: int, demands: Sequence[Demand], tokens: int, now: float, *, wait: bool = True
    ) -> Lack | float:
        """Take from all accounts, and return for how many seconds to hold the answer back; or take from none, and say why.

        With `wait`, who may wait for a place stands in its queue from then on, and asks again when woken, until it enters or leaves.
        """
        holding = self._holdings.get(ticket) or _Holding()
        found: list[tuple[Limits, Account, Shortage | None]] = []
        for which, (limits, owner) in enumerate(demands):
            account = self._find(limits, owner, now)
            if limits.concurrent is not None and not account.has_place(limits.concurrent, ticket):
                return self._refuse(
                    ticket, holding, account, _explain_full(which, demands[which], account, ticket), wait
                )
            shortage = find_shortage(limits, account.levels, tokens)
            if shortage is not None and not (wait and may_wait(limits, account.levels, shortage)):
                return self._refuse(
                    ticket, holding, None, Lack(which, _explain_shortage(limits, shortage, account, owner)), wait
                )
            found.append((limits, account, shortage))
        for limits, account, shortage in found:
            account.levels = take(limits, account.levels, tokens, shortage)
            account.in_hand += 1
            holding.taken.append((limits, account))
        self._holdings[ticket] = holding
        self._step_out(ticket, holding)
        return max((shortage.seconds for *_, shortage in found if shortage), default=0.0)

    def leave(self, ticket: int, more: int, now: float) -> None:
        """Give back the places of a request that has ended or gone, and settle its answer's tokens; a second time is nothing.

        `more` is how many tokens it took beyond those it entered with.
        """
        holding = self._holdings.pop(ticket, None)
        if holding is None:
            return
        self._step_out(ticket, holding)
        for limits, account in holding.taken:
            account.levels = settle(limits, refill(limits, account.levels, now), more)
            account.in_hand -= 1
            self._wake_all(account)

    def _refuse(
        self, ticket: int, holding: _Holding, full: Account | None, lack: Lack, wait: bool
    ) -> Lack:  # passed on
        """Let it stand in the queue of the account that is full, or in none."""
        if not wait:
            return replace(lack, patience=None)
        queue = None if lack.patience is None else full
        if holding.queue is not queue:
            self._step_out(ticket, holding)
        if queue is not None and holding.queue is None:
            queue.waiting.append(ticket)
            holding.queue = queue
            self._holdings[ticket] = holding
        return lack

    def _step_out(self, ticket: int, holding: _Holding) -> None:
        if holding.queue is not None:
            holding.queue.waiting.remove(ticket)
            # A place that this one did not take may be for the next.
            self._wake_all(holding.queue)
            holding.queue = None

    def _wake_all(self, account: Account) -> None:
        for ticket in account.waiting:
            self._wake(ticket)

    def _find(self, limits: Limits, owner: Owner, now: float) -> Account:
        with self._lock:
            account = self._accounts.get(owner)
            if account is None:
                account = self._accounts[owner] = Account(fill(limits, now))
                if len(self._accounts) > MOST_ACCOUNTS:
                    self._accounts.popitem(last=False)
            else:
                self._accounts.move_to_end(owner)
        account.levels = refill(limits, account.levels, now)
        return account

    def reset(self, session: str | None) -> None:
        """Make the accounts of one session full again, or all; what sessions share is left as it is by the first."""
        with self._lock:
            for owner in [owner for owner in self._accounts if session is None or owner.session == session]:
                del self._accounts[owner]

    def show(self, limits: Sequence[Limits], session: str, now: float) -> list[list[dict[str, Any]]]:
        """The accounts of each of these quotas that concern a session."""
        with self._lock:
            accounts = tuple(self._accounts.items())
        return [
            [
                _show(one, owner, account, now)
                for owner, account in accounts
                if owner.quota == one.key and owner.session in {"", session}
            ]
            for one in limits
        ]


def _explain_full(which: int, demand: Demand, account: Account, ticket: int) -> Lack:
    limits = demand.limits
    reason = f"lets {limits.concurrent} be answered at the same time{_whose(demand.owner)}; {account.in_hand} in hand"
    if not limits.length:
        return Lack(which, f"{reason}; the next passes when one of them ends")
    if ticket not in account.waiting and len(account.waiting) >= limits.length:
        return Lack(which, f"{reason}, {len(account.waiting)} waiting, which is all that its queue has room for")
    return Lack(which, f"{reason}, and no place came free within {limits.patience * 1000:.0f} ms", limits.patience)


def _explain_shortage(limits: Limits, shortage: Shortage, account: Account, owner: Owner) -> str:
    # Rounded to the safe side: less than is left, more than there is to wait.
    left = floor(shortage.left * 10) / 10
    what = shortage.limit if shortage.per_minute > 1 else shortage.limit.removesuffix("s")
    seconds = ceil(shortage.seconds) if shortage.seconds > _LONG else ceil(shortage.seconds * 10) / 10
    reason = (
        f"gives {shortage.per_minute:.0f} {what} per minute{_whose(owner)}; {left:g} left, "
        f"{shortage.needed:.0f} needed; it would pass in {seconds:g} s"
    )
    if not limits.length:
        return reason
    if shortage.seconds > limits.patience:
        return f"{reason}, but none may wait for more than {limits.patience * 1000:.0f} ms"
    return f"{reason}, but {len(account.levels.passing)} wait already, which is all that its queue has room for"


def _whose(owner: Owner) -> str:
    if owner.model:
        return f" of {owner.model} in session {owner.session}"
    return f" in session {owner.session}" if owner.session else ""


def _show(limits: Limits, owner: Owner, account: Account, now: float) -> dict[str, Any]:
    levels = refill(limits, account.levels, now)
    return {
        "session": owner.session or None,
        "model": owner.model or None,
        "requests_left": round(levels.requests, 3) if limits.requests else None,
        "tokens_left": round(levels.tokens, 3) if limits.tokens else None,
        "in_hand": account.in_hand,
        "waiting": len(account.waiting) + len(levels.passing),
    }
