"""Accounts of quotas: what is left for each session, model or the whole server, who is in hand and who waits.

Plain data goes in and comes out, so that the workers of a server can share the accounts of one process.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, floor
from typing import Any, Literal, NamedTuple, Protocol

from emulator.catalogue.errors import CatalogueError, entry, find
from emulator.engine.matching.conditions import Condition, compile_when, matches
from emulator.engine.refusals import refuse, values_for
from emulator.engine.request.facts import Facts
from emulator.scenario.loading import ScenarioFile
from emulator.scenario.quota import PROVISIONED, list_quotas
from emulator.scenario.rules import Traffic
from emulator.scenario.when import When
from emulator.wire.errors import Refusal

_MINUTE = 60.0
# What is waited for must have come when the wait is over, although floats round.
_ENOUGH = 1e-6


@dataclass(frozen=True, slots=True)
class Limits:
    """What a quota gives, as plain data: it may be counted in another process."""

    place: str
    key: str
    """What its levels are kept under; it survives a reload."""
    per: Literal["session", "model", "server"]
    requests: float | None
    """In a minute."""
    tokens: float | None
    """In a minute."""
    concurrent: int | None
    length: int = 0
    """How many requests may wait at the same time."""
    patience: float = 0.0
    """Seconds that a request waits at most."""


@dataclass(frozen=True, slots=True)
class CompiledQuota:
    """A quota ready to be asked."""

    limits: Limits
    conditions: tuple[Condition, ...]
    """Which models it is about."""
    error: CatalogueError

    @property
    def is_provisioned(self) -> bool:
        """Whether it is one of provisioned throughput."""
        return self.error.name == PROVISIONED

    def concerns(self, facts: Facts) -> bool:
        """Whether it is about the request's model."""
        return matches(self.conditions, facts)


@dataclass(frozen=True, slots=True)
class Levels:
    """What is left of a minute at a moment (seconds, on any clock that never goes back); below zero what was taken in advance."""

    moment: float
    requests: float = 0.0
    tokens: float = 0.0
    passing: tuple[float, ...] = ()
    """When the requests that wait will pass."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """What there is too little of, and for how many seconds."""

    limit: Literal["requests", "tokens"]
    per_minute: float
    left: float
    needed: float
    seconds: float


def compile_quotas(files: Sequence[ScenarioFile]) -> tuple[CompiledQuota, ...]:
    """The quotas of scenarios in order; all that concern a request must have room for it."""
    return tuple(
        CompiledQuota(
            Limits(
                place=str(file.place(loc)),
                key=f"{file.file}:quota {number}",
                per=quota.per,
                requests=quota.requests_per_minute,
                tokens=quota.tokens_per_minute,
                concurrent=quota.concurrent,
                length=quota.queue.length if quota.queue else 0,
                patience=quota.queue.wait_ms / 1000 if quota.queue else 0.0,
            ),
            compile_when(When(model=quota.model)),
            find(quota.on_excess) or entry("resource_exhausted"),
        )
        for file in files
        for number, (loc, quota) in enumerate(list_quotas(file.scenario.quota), start=1)
    )


def fill(limits: Limits, now: float) -> Levels:
    """The levels before any request: a full minute."""
    return Levels(now, limits.requests or 0.0, limits.tokens or 0.0)


def refill(limits: Limits, levels: Levels, now: float) -> Levels:
    """The levels at a later moment: what the time since gives, up to a full minute."""
    minutes = max(0.0, now - levels.moment) / _MINUTE
    return Levels(
        max(now, levels.moment),
        _rise(levels.requests, limits.requests, minutes),
        _rise(levels.tokens, limits.tokens, minutes),
        tuple(moment for moment in levels.passing if moment > now),
    )


def _rise(level: float, limit: float | None, minutes: float) -> float:
    return 0.0 if limit is None else min(limit, level + limit * minutes)


def find_shortage(limits: Limits, levels: Levels, tokens: int) -> Shortage | None:
    """What a request of so many tokens lacks for longest, at the moment of the levels; None if it fits.

    A request larger than a whole minute fits when the minute is full, for otherwise it never would.
    """
    asked = (
        ("requests", limits.requests, levels.requests, 1.0),
        ("tokens", limits.tokens, levels.tokens, float(tokens)),
    )
    found: Shortage | None = None
    for limit, per_minute, left, needed in asked:
        if per_minute is None:
            continue
        missing = min(needed, per_minute) - left
        seconds = missing / per_minute * _MINUTE
        if seconds > _ENOUGH and (found is None or seconds > found.seconds):
            found = Shortage("requests" if limit == "requests" else "tokens", per_minute, left, needed, seconds)
    return found


def may_wait(limits: Limits, levels: Levels, shortage: Shortage) -> bool:
    """Whether a request may wait until it fits."""
    return shortage.seconds <= limits.patience + _ENOUGH and len(levels.passing) < limits.length


def take(limits: Limits, levels: Levels, tokens: int, shortage: Shortage | None = None) -> Levels:
    """The levels after a request is let in; one that waits takes its part now, so the next one waits for longer."""
    return replace(
        levels,
        requests=0.0 if limits.requests is None else levels.requests - 1,
        tokens=0.0 if limits.tokens is None else levels.tokens - tokens,
        passing=(*levels.passing, levels.moment + shortage.seconds) if shortage else levels.passing,
    )


def settle(limits: Limits, levels: Levels, more: int) -> Levels:
    """The levels once an answer's tokens are known: `more` than estimated are taken too, fewer are given back.

    Documented for provisioned throughput: estimated first, reconciled when the answer is there. Assumed for other quotas.
    """
    if limits.tokens is None:
        return levels
    return replace(levels, tokens=min(limits.tokens, levels.tokens - more))


MOST_BUCKETS = 10_000
"""Sessions, models and servers whose levels are kept; the one unused for longest is full again."""
_LONG = 10.0
"""Seconds beyond which tenths are not shown."""


@dataclass(slots=True)
class QuotaTicket:
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


class BucketKey(NamedTuple):
    """Who has an account: a quota, and of it a session and a model, each empty where they share."""

    quota: str
    session: str
    model: str


class QuotaDemand(NamedTuple):
    """A quota that a request must have room in."""

    limits: Limits
    owner: BucketKey


@dataclass(frozen=True, slots=True)
class QuotaRefusal:
    """Why a request does not get in."""

    which: int
    """The place, among the demands, of the quota that is too small."""
    reason: str
    patience: float | None = None
    """Seconds for which it stands in a queue now; None if it may not wait."""


@dataclass(slots=True, eq=False)
class TokenBucket:
    """What one owner has left, in hand and waiting."""

    levels: Levels
    in_hand: int = 0
    waiting: list[int] = field(default_factory=list)
    """The tickets in its queue."""

    def has_place(self, most: int, quota_ticket: int) -> bool:
        """Whether one more may be in hand: those who wait come first, in the order in which they came."""
        before = self.waiting.index(quota_ticket) if quota_ticket in self.waiting else len(self.waiting)
        return self.in_hand + before < most


@dataclass(slots=True)
class _Holding:
    """What a ticket has taken, and the queue in which it stands."""

    taken: list[tuple[Limits, TokenBucket]] = field(default_factory=list)
    queue: TokenBucket | None = None


class TokenBuckets:
    """The accounts of a server, as many as there is room for. Each request that asks has a ticket: a number."""

    def __init__(self, wake: Callable[[int], object]) -> None:
        """`wake` is given the ticket of each who waits when it is worth asking again."""
        self._wake = wake
        self._accounts: OrderedDict[BucketKey, TokenBucket] = OrderedDict()
        self._holdings: dict[int, _Holding] = {}
        # A test resets a session on its own thread while the server answers on another.
        self._lock = threading.Lock()

    def enter(
        self, quota_ticket: int, demands: Sequence[QuotaDemand], tokens: int, now: float, *, wait: bool = True
    ) -> QuotaRefusal | float:
        """Take from all accounts, and return for how many seconds to hold the answer back; or take from none, and say why.

        With `wait`, who may wait for a place stands in its queue from then on, and asks again when woken, until it enters or leaves.
        """
        holding = self._holdings.get(quota_ticket) or _Holding()
        found: list[tuple[Limits, TokenBucket, Shortage | None]] = []
        for which, (limits, owner) in enumerate(demands):
            account = self._find(limits, owner, now)
            if limits.concurrent is not None and not account.has_place(limits.concurrent, quota_ticket):
                return self._refuse(
                    quota_ticket, holding, account, _explain_full(which, demands[which], account, quota_ticket), wait
                )
            shortage = find_shortage(limits, account.levels, tokens)
            if shortage is not None and not (wait and may_wait(limits, account.levels, shortage)):
                return self._refuse(
                    quota_ticket,
                    holding,
                    None,
                    QuotaRefusal(which, _explain_shortage(limits, shortage, account, owner)),
                    wait,
                )
            found.append((limits, account, shortage))
        for limits, account, shortage in found:
            account.levels = take(limits, account.levels, tokens, shortage)
            account.in_hand += 1
            holding.taken.append((limits, account))
        self._holdings[quota_ticket] = holding
        self._step_out(quota_ticket, holding)
        return max((shortage.seconds for *_, shortage in found if shortage), default=0.0)

    def leave(self, quota_ticket: int, more: int, now: float) -> None:
        """Give back the places of a request that has ended or gone, and settle its answer's tokens; a second time is nothing.

        `more` is how many tokens it took beyond those it entered with.
        """
        holding = self._holdings.pop(quota_ticket, None)
        if holding is None:
            return
        self._step_out(quota_ticket, holding)
        for limits, account in holding.taken:
            account.levels = settle(limits, refill(limits, account.levels, now), more)
            account.in_hand -= 1
            self._wake_all(account)

    def _refuse(
        self, quota_ticket: int, holding: _Holding, full: TokenBucket | None, refusal_of_quota: QuotaRefusal, wait: bool
    ) -> QuotaRefusal:  # passed on
        """Let it stand in the queue of the account that is full, or in none."""
        if not wait:
            return replace(refusal_of_quota, patience=None)
        queue = None if refusal_of_quota.patience is None else full
        if holding.queue is not queue:
            self._step_out(quota_ticket, holding)
        if queue is not None and holding.queue is None:
            queue.waiting.append(quota_ticket)
            holding.queue = queue
            self._holdings[quota_ticket] = holding
        return refusal_of_quota

    def _step_out(self, quota_ticket: int, holding: _Holding) -> None:
        if holding.queue is not None:
            holding.queue.waiting.remove(quota_ticket)
            # A place that this one did not take may be for the next.
            self._wake_all(holding.queue)
            holding.queue = None

    def _wake_all(self, account: TokenBucket) -> None:
        for quota_ticket in account.waiting:
            self._wake(quota_ticket)

    def _find(self, limits: Limits, owner: BucketKey, now: float) -> TokenBucket:
        with self._lock:
            account = self._accounts.get(owner)
            if account is None:
                account = self._accounts[owner] = TokenBucket(fill(limits, now))
                if len(self._accounts) > MOST_BUCKETS:
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


def _explain_full(which: int, demand: QuotaDemand, account: TokenBucket, quota_ticket: int) -> QuotaRefusal:
    limits = demand.limits
    reason = f"lets {limits.concurrent} be answered at the same time{_whose(demand.owner)}; {account.in_hand} in hand"
    if not limits.length:
        return QuotaRefusal(which, f"{reason}; the next passes when one of them ends")
    if quota_ticket not in account.waiting and len(account.waiting) >= limits.length:
        return QuotaRefusal(
            which, f"{reason}, {len(account.waiting)} waiting, which is all that its queue has room for"
        )
    return QuotaRefusal(
        which, f"{reason}, and no place came free within {limits.patience * 1000:.0f} ms", limits.patience
    )


def _explain_shortage(limits: Limits, shortage: Shortage, account: TokenBucket, owner: BucketKey) -> str:
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


def _whose(owner: BucketKey) -> str:
    if owner.model:
        return f" of {owner.model} in session {owner.session}"
    return f" in session {owner.session}" if owner.session else ""


def _show(limits: Limits, owner: BucketKey, account: TokenBucket, now: float) -> dict[str, Any]:
    levels = refill(limits, account.levels, now)
    return {
        "session": owner.session or None,
        "model": owner.model or None,
        "requests_left": round(levels.requests, 3) if limits.requests else None,
        "tokens_left": round(levels.tokens, 3) if limits.tokens else None,
        "in_hand": account.in_hand,
        "waiting": len(account.waiting) + len(levels.passing),
    }


class QuotaStore(Protocol):
    """What keeps the accounts: the part of `emulator.store.store.Store` that quotas need."""

    async def enter(
        self, quota_ticket: int, demands: Sequence[QuotaDemand], tokens: int, now: float, *, wait: bool
    ) -> QuotaRefusal | float:
        """Ask for room in quotas."""
        ...

    async def show_buckets(self, limits: Sequence[Limits], session: str, now: float) -> list[list[dict[str, Any]]]:
        """The accounts of quotas."""
        ...


_PROVISIONED: Traffic = "PROVISIONED_THROUGHPUT"


async def admit(
    store: QuotaStore, quotas: Sequence[CompiledQuota], facts: Facts, quota_ticket: QuotaTicket, now: float
) -> Refusal | None:
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
        concerning = provisioned
    else:
        # What can be paid for as it goes does not wait.
        if provisioned and kind != "shared":
            passes = await _enter(store, provisioned, facts, quota_ticket, now, wait=False)
            if not isinstance(passes, QuotaRefusal):
                facts.traffic = _PROVISIONED
                return None
        concerning = [quota for quota in concerning if not quota.is_provisioned]
    refusal_of_quota = await _enter(store, concerning, facts, quota_ticket, now) if concerning else 0.0
    if not isinstance(refusal_of_quota, QuotaRefusal):
        return None
    quota_ticket.patience = refusal_of_quota.patience
    lacking = concerning[refusal_of_quota.which]
    explanation = f"the quota at {lacking.limits.place} {refusal_of_quota.reason}"
    return refuse(lacking.error, values_for(facts.target, facts.model), explanation=explanation)


async def _enter(
    store: QuotaStore,
    quotas: Sequence[CompiledQuota],
    facts: Facts,
    quota_ticket: QuotaTicket,
    now: float,
    *,
    wait: bool = True,
) -> QuotaRefusal | float:
    tokens = facts.prompt_tokens if any(quota.limits.tokens for quota in quotas) else 0
    quota_ticket.has_asked = True
    demands = [QuotaDemand(quota.limits, _owner(quota, facts)) for quota in quotas]
    entered = await store.enter(quota_ticket.number, demands, tokens, now, wait=wait)
    if not isinstance(entered, QuotaRefusal):
        quota_ticket.tokens, quota_ticket.held = tokens, entered
    return entered


def _owner(quota: CompiledQuota, facts: Facts) -> BucketKey:
    limits = quota.limits
    session = "" if limits.per == "server" else facts.target.project
    return BucketKey(limits.key, session, facts.answering_model if limits.per == "model" else "")


async def show_quotas(
    store: QuotaStore, quotas: Sequence[CompiledQuota], session: str, now: float
) -> list[dict[str, Any]]:
    """The quotas of a session with their accounts, as the control API shows them."""
    accounts = await store.show_buckets([quota.limits for quota in quotas], session, now)
    return [
        {
            "place": quota.limits.place,
            "per": quota.limits.per,
            "requests_per_minute": quota.limits.requests,
            "tokens_per_minute": quota.limits.tokens,
            "concurrent": quota.limits.concurrent,
            "on_excess": quota.error.name,
            "accounts": shown,
        }
        for quota, shown in zip(quotas, accounts, strict=True)
    ]
