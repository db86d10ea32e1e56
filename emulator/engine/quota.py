"""Quotas: token buckets of requests and tokens per minute, limits on concurrent requests, and the queues before them.

`compile_quotas` reads them from scenarios, `TokenBuckets` keeps what is left of each, `admit` lets a request in or refuses it. Demands
and results are plain data, because the buckets may be kept by another process.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, floor
from typing import Any, Literal, NamedTuple, Protocol

from emulator.catalogue.errors import CatalogueError, entry, find
from emulator.engine.error_answers import refuse, values_for
from emulator.engine.matching.conditions import Condition, compile_when, matches
from emulator.engine.request.facts import Facts
from emulator.errors import AnswerError
from emulator.scenario.loading import ScenarioFile
from emulator.scenario.patterns import PatternError
from emulator.scenario.quota import PROVISIONED, list_quotas
from emulator.scenario.when import When
from emulator.wire.errors import Refusal

MOST_BUCKETS = 10_000
"""Buckets kept at a time; the least recently used one is dropped, so it is full again."""

_MINUTE = 60.0
_TOLERANCE = 1e-6
"""Seconds; a request that has waited as long as it was told is admitted in spite of rounding."""
_TENTHS_UNTIL = 10.0
"""Seconds beyond which a wait is shown without tenths."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a quota as plain data, so that another process can count against them."""

    place: str
    key: str
    """What its buckets are kept under; it survives a reload."""
    per: Literal["session", "model", "server"]
    requests: float | None
    """Per minute."""
    tokens: float | None
    """Per minute."""
    concurrent: int | None
    queue_length: int = 0
    """How many requests may wait at the same time."""
    queue_timeout: float = 0.0
    """Seconds that a request waits at most."""


@dataclass(frozen=True, slots=True)
class CompiledQuota:
    """A quota with its model conditions compiled."""

    limits: Limits
    conditions: tuple[Condition, ...]
    """Which models it applies to."""
    error: CatalogueError
    """What a request beyond it is refused with."""

    @property
    def is_provisioned(self) -> bool:
        """Whether it is provisioned throughput."""
        return self.error.name == PROVISIONED

    def applies_to(self, facts: Facts) -> bool:
        """Whether the request's model is one of its models. Raises AnswerError when a regular expression would take too long."""
        try:
            return matches(self.conditions, facts)
        except PatternError as error:
            raise AnswerError(f"the quota at {self.limits.place}: {error}") from None


def compile_quotas(files: Sequence[ScenarioFile]) -> tuple[CompiledQuota, ...]:
    """The quotas of scenarios in order; a request needs room in all that apply to it."""
    return tuple(
        CompiledQuota(
            Limits(
                place=str(file.place(loc)),
                key=f"{file.file}:quota {number}",
                per=quota.per,
                requests=quota.requests_per_minute,
                tokens=quota.tokens_per_minute,
                concurrent=quota.concurrent,
                queue_length=quota.queue.length if quota.queue else 0,
                queue_timeout=quota.queue.wait_ms / 1000 if quota.queue else 0.0,
            ),
            compile_when(When(model=quota.model)),
            find(quota.on_excess) or entry("resource_exhausted"),
        )
        for file in files
        for number, (loc, quota) in enumerate(list_quotas(file.scenario.quota), start=1)
    )


@dataclass(frozen=True, slots=True)
class Levels:
    """Fill levels of a token bucket at a moment (seconds of any monotonic clock); negative after requests took more than was left."""

    moment: float
    requests: float = 0.0
    tokens: float = 0.0
    queued: tuple[float, ...] = ()
    """The moments at which the queued requests will be admitted."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """The limit that a request exceeds, and in how many seconds it would not."""

    limit: Literal["requests", "tokens"]
    per_minute: float
    left: float
    needed: float
    seconds: float


def fill(limits: Limits, now: float) -> Levels:
    """The levels of a full bucket: one minute's worth."""
    return Levels(now, limits.requests or 0.0, limits.tokens or 0.0)


def refill(limits: Limits, levels: Levels, now: float) -> Levels:
    """The levels at a later moment: refilled continuously, up to one minute's worth."""
    minutes = max(0.0, now - levels.moment) / _MINUTE

    def rise(level: float, limit: float | None) -> float:
        return 0.0 if limit is None else min(limit, level + limit * minutes)

    return Levels(
        max(now, levels.moment),
        rise(levels.requests, limits.requests),
        rise(levels.tokens, limits.tokens),
        tuple(moment for moment in levels.queued if moment > now),
    )


def find_shortage(limits: Limits, levels: Levels, tokens: int) -> Shortage | None:
    """The limit for which a request of so many tokens would have to wait longest, at the moment of the levels; None if it fits.

    A request larger than one minute's worth fits into a full bucket, for otherwise it never would.
    """
    needs: tuple[tuple[Literal["requests", "tokens"], float | None, float, float], ...] = (
        ("requests", limits.requests, levels.requests, 1.0),
        ("tokens", limits.tokens, levels.tokens, float(tokens)),
    )
    found: Shortage | None = None
    for limit, per_minute, left, needed in needs:
        if per_minute is None:
            continue
        missing = min(needed, per_minute) - left
        seconds = missing / per_minute * _MINUTE
        if seconds > _TOLERANCE and (found is None or seconds > found.seconds):
            found = Shortage(limit, per_minute, left, needed, seconds)
    return found


def may_wait(limits: Limits, levels: Levels, shortage: Shortage) -> bool:
    """Whether the queue has room for a request, and lets it wait as long as it must."""
    return shortage.seconds <= limits.queue_timeout + _TOLERANCE and len(levels.queued) < limits.queue_length


def take(limits: Limits, levels: Levels, tokens: int, shortage: Shortage | None = None) -> Levels:
    """The levels after a request is admitted; a queued one takes its part now, so that the next one waits longer."""
    return replace(
        levels,
        requests=0.0 if limits.requests is None else levels.requests - 1,
        tokens=0.0 if limits.tokens is None else levels.tokens - tokens,
        queued=(*levels.queued, levels.moment + shortage.seconds) if shortage else levels.queued,
    )


def settle(limits: Limits, levels: Levels, more: int) -> Levels:
    """The levels once the tokens of an answer are known: `more` than estimated are taken too, fewer (negative) are given back.

    Documented for provisioned throughput: estimated first, reconciled when the answer is there. Assumed for other quotas.
    """
    if limits.tokens is None:
        return levels
    return replace(levels, tokens=min(limits.tokens, levels.tokens - more))


@dataclass(slots=True)
class QuotaTicket:
    """What a request has taken of quotas, and how long it waits."""

    number: int
    """The number of its exchange."""
    delay: float = 0.0
    """Seconds by which its answer is delayed."""
    tokens: int = 0
    """The estimated tokens of its prompt."""
    is_submitted: bool = False
    """Whether the buckets may know the ticket."""
    queue_timeout: float | None = None
    """Seconds for which it may stay in a queue, if it was refused but may try again; else None."""


class BucketKey(NamedTuple):
    """The key of a token bucket: a quota, a session and a model; the latter two are empty where they share a bucket."""

    quota: str
    session: str
    model: str


class QuotaDemand(NamedTuple):
    """A quota that a request needs room in, and the bucket that counts."""

    limits: Limits
    key: BucketKey


@dataclass(frozen=True, slots=True)
class QuotaRefusal:
    """Why a request is not admitted."""

    which: int
    """The index of the exceeded quota among the demands."""
    reason: str
    queue_timeout: float | None = None
    """Seconds for which it is in a queue now; None if it may not wait."""


@dataclass(slots=True, eq=False)
class TokenBucket:
    """What is left under one key, how many requests are in flight, and which ones wait for a place."""

    levels: Levels
    in_flight: int = 0
    waiting: list[int] = field(default_factory=list)
    """The tickets in the queue for a concurrent place, first come first served."""

    def has_place(self, most: int, ticket: int) -> bool:
        """Whether one more request may be in flight; tickets ahead of this one in the queue go first."""
        ahead = self.waiting.index(ticket) if ticket in self.waiting else len(self.waiting)
        return self.in_flight + ahead < most


@dataclass(slots=True)
class _Reservation:
    """What a ticket has taken, and the queue that it is in."""

    taken: list[tuple[Limits, TokenBucket]] = field(default_factory=list)
    queue: TokenBucket | None = None


class TokenBuckets:
    """All token buckets of a server, at most `MOST_BUCKETS`. Every request that needs quota has a ticket number."""

    def __init__(self, wake: Callable[[int], object]) -> None:
        """`wake` is called with a waiting ticket when it is worth trying again."""
        self._wake = wake
        self._buckets: OrderedDict[BucketKey, TokenBucket] = OrderedDict()
        self._reservations: dict[int, _Reservation] = {}
        # A test resets a session on its own thread while the server answers on another.
        self._lock = threading.Lock()

    def enter(
        self, quota_ticket: int, demands: Sequence[QuotaDemand], tokens: int, now: float, *, wait: bool = True
    ) -> QuotaRefusal | float:
        """Take from all buckets and return the seconds by which to delay the answer; or take from none and say why.

        With `wait`, a request that may wait for a concurrent place is queued. It calls again when woken, until it enters or leaves.
        """
        reservation = self._reservations.get(quota_ticket) or _Reservation()
        found: list[tuple[Limits, TokenBucket, Shortage | None]] = []
        for which, demand in enumerate(demands):
            limits = demand.limits
            bucket = self._find(demand, now)
            if limits.concurrent is not None and not bucket.has_place(limits.concurrent, quota_ticket):
                is_queued = quota_ticket in bucket.waiting
                refusal = explain_full(which, demand, bucket.in_flight, len(bucket.waiting), is_queued=is_queued)
                if not wait:
                    return replace(refusal, queue_timeout=None)
                self._move_to_queue(quota_ticket, reservation, None if refusal.queue_timeout is None else bucket)
                return refusal
            shortage = find_shortage(limits, bucket.levels, tokens)
            if shortage is not None and not (wait and may_wait(limits, bucket.levels, shortage)):
                if wait:
                    self._move_to_queue(quota_ticket, reservation, None)
                return explain_shortage(which, demand, shortage, len(bucket.levels.queued))
            found.append((limits, bucket, shortage))
        for limits, bucket, shortage in found:
            bucket.levels = take(limits, bucket.levels, tokens, shortage)
            bucket.in_flight += 1
            reservation.taken.append((limits, bucket))
        self._reservations[quota_ticket] = reservation
        self._move_to_queue(quota_ticket, reservation, None)
        return max((shortage.seconds for *_, shortage in found if shortage), default=0.0)

    def leave(self, quota_ticket: int, more: int, now: float) -> None:
        """Release the places of a request that has ended or gone, and settle its tokens; idempotent.

        `more` is the number of tokens beyond those that it entered with.
        """
        reservation = self._reservations.pop(quota_ticket, None)
        if reservation is None:
            return
        if reservation.queue is not None:
            self._leave_queue(quota_ticket, reservation.queue)
        for limits, bucket in reservation.taken:
            bucket.levels = settle(limits, refill(limits, bucket.levels, now), more)
            bucket.in_flight -= 1
            self._wake_all(bucket)

    def _move_to_queue(self, ticket: int, reservation: _Reservation, queue: TokenBucket | None) -> None:
        """Let a ticket wait in one bucket's queue, or in none."""
        if reservation.queue is queue:
            return
        if reservation.queue is not None:
            self._leave_queue(ticket, reservation.queue)
        reservation.queue = queue
        if queue is not None:
            queue.waiting.append(ticket)
            self._reservations[ticket] = reservation

    def _leave_queue(self, ticket: int, queue: TokenBucket) -> None:
        queue.waiting.remove(ticket)
        # A place that this ticket did not take may be for the next.
        self._wake_all(queue)

    def _wake_all(self, bucket: TokenBucket) -> None:
        for ticket in bucket.waiting:
            self._wake(ticket)

    def _find(self, demand: QuotaDemand, now: float) -> TokenBucket:
        limits, key = demand
        with self._lock:
            bucket = self._buckets.get(key)
            if bucket is None:
                bucket = self._buckets[key] = TokenBucket(fill(limits, now))
                if len(self._buckets) > MOST_BUCKETS:
                    self._buckets.popitem(last=False)
            else:
                self._buckets.move_to_end(key)
        bucket.levels = refill(limits, bucket.levels, now)
        return bucket

    def reset(self, session: str | None) -> None:
        """Fill the buckets of one session, or all (None); buckets that sessions share are filled only with all."""
        with self._lock:
            for key in [key for key in self._buckets if session is None or key.session == session]:
                del self._buckets[key]

    def show(self, limits: Sequence[Limits], session: str, now: float) -> list[list[dict[str, Any]]]:
        """The buckets of each of these quotas that count for a session, as the control API shows them."""
        with self._lock:
            buckets = tuple(self._buckets.items())
        return [
            [
                _show_bucket(one, key, bucket, now)
                for key, bucket in buckets
                if key.quota == one.key and key.session in {"", session}
            ]
            for one in limits
        ]


def _show_bucket(limits: Limits, key: BucketKey, bucket: TokenBucket, now: float) -> dict[str, Any]:
    levels = refill(limits, bucket.levels, now)
    return show_levels(limits, key, levels, bucket.in_flight, len(bucket.waiting))


def show_levels(limits: Limits, key: BucketKey, levels: Levels, in_flight: int, waiting: int) -> dict[str, Any]:
    """A bucket as the control API shows it; the levels are those of now."""
    return {
        "session": key.session or None,
        "model": key.model or None,
        "requests_left": round(levels.requests, 3) if limits.requests else None,
        "tokens_left": round(levels.tokens, 3) if limits.tokens else None,
        "in_hand": in_flight,
        "waiting": waiting + len(levels.queued),
    }


def explain_full(which: int, demand: QuotaDemand, in_flight: int, waiting: int, *, is_queued: bool) -> QuotaRefusal:
    """Why there is no concurrent place; with `queue_timeout` if the request may wait for one, or waits already."""
    limits = demand.limits
    reason = f"lets {limits.concurrent} be answered at the same time{_explain_key(demand.key)}; {in_flight} in hand"
    if not limits.queue_length:
        return QuotaRefusal(which, f"{reason}; the next passes when one of them ends")
    if not is_queued and waiting >= limits.queue_length:
        return QuotaRefusal(which, f"{reason}, {waiting} waiting, which is all that its queue has room for")
    timeout = f"{limits.queue_timeout * 1000:.0f} ms"
    return QuotaRefusal(which, f"{reason}, and no place came free within {timeout}", limits.queue_timeout)


def explain_shortage(which: int, demand: QuotaDemand, shortage: Shortage, queued: int) -> QuotaRefusal:
    """Why a request would have to wait, and cannot."""
    limits = demand.limits
    # Rounded to the safe side: less than is left, more than there is to wait.
    left = floor(shortage.left * 10) / 10
    unit = shortage.limit if shortage.per_minute > 1 else shortage.limit.removesuffix("s")
    seconds = ceil(shortage.seconds) if shortage.seconds > _TENTHS_UNTIL else ceil(shortage.seconds * 10) / 10
    reason = (
        f"gives {shortage.per_minute:.0f} {unit} per minute{_explain_key(demand.key)}; {left:g} left, "
        f"{shortage.needed:.0f} needed; it would pass in {seconds:g} s"
    )
    if not limits.queue_length:
        return QuotaRefusal(which, reason)
    if shortage.seconds > limits.queue_timeout:
        return QuotaRefusal(which, f"{reason}, but none may wait for more than {limits.queue_timeout * 1000:.0f} ms")
    return QuotaRefusal(which, f"{reason}, but {queued} wait already, which is all that its queue has room for")


def _explain_key(key: BucketKey) -> str:
    if key.model:
        return f" of {key.model} in session {key.session}"
    return f" in session {key.session}" if key.session else ""


class QuotaStore(Protocol):
    """The part of `emulator.store.interface.Store` that quotas need: it keeps the token buckets."""

    async def enter(
        self, quota_ticket: int, demands: Sequence[QuotaDemand], tokens: int, now: float, *, wait: bool
    ) -> QuotaRefusal | float:
        """As `TokenBuckets.enter`."""
        ...

    async def show_buckets(self, limits: Sequence[Limits], session: str, now: float) -> list[list[dict[str, Any]]]:
        """As `TokenBuckets.show`."""
        ...


async def admit(
    store: QuotaStore, quotas: Sequence[CompiledQuota], facts: Facts, quota_ticket: QuotaTicket, now: float
) -> Refusal | None:
    """Admit a request and note on its ticket what it takes, or refuse it, which takes nothing.

    Documented (pages on Provisioned Throughput and Priority PayGo): requests use provisioned throughput where there is some,
    and beyond it are paid as they go; with `X-Vertex-AI-LLM-Request-Type: dedicated` they are refused with 429 instead, with
    `shared` they never touch it. Assumed: what provisioned throughput carries does not count against other quotas, and
    without any such quota there is enough of it.
    """

    async def enter(entered: Sequence[CompiledQuota], *, wait: bool = True) -> QuotaRefusal | float:
        tokens = facts.prompt_tokens if any(quota.limits.tokens for quota in entered) else 0
        quota_ticket.is_submitted = True
        demands = [QuotaDemand(quota.limits, _bucket_key(quota.limits, facts)) for quota in entered]
        result = await store.enter(quota_ticket.number, demands, tokens, now, wait=wait)
        if not isinstance(result, QuotaRefusal):
            quota_ticket.tokens, quota_ticket.delay = tokens, result
        return result

    applicable = [quota for quota in quotas if quota.applies_to(facts)]
    request_type = facts.llm_headers.get("x-vertex-ai-llm-request-type", "").lower()
    provisioned = [quota for quota in applicable if quota.is_provisioned]
    if request_type == "dedicated":
        applicable = provisioned
    else:
        # What can be paid for as it goes does not wait.
        if (
            provisioned
            and request_type != "shared"
            and not isinstance(await enter(provisioned, wait=False), QuotaRefusal)
        ):
            facts.traffic = "PROVISIONED_THROUGHPUT"
            return None
        applicable = [quota for quota in applicable if not quota.is_provisioned]
    refusal = await enter(applicable) if applicable else 0.0
    if not isinstance(refusal, QuotaRefusal):
        return None
    quota_ticket.queue_timeout = refusal.queue_timeout
    exceeded = applicable[refusal.which]
    explanation = f"the quota at {exceeded.limits.place} {refusal.reason}"
    return refuse(exceeded.error, values_for(facts.target, facts.model), explanation=explanation)


def _bucket_key(limits: Limits, facts: Facts) -> BucketKey:
    session = "" if limits.per == "server" else facts.target.project
    return BucketKey(limits.key, session, facts.answering_model if limits.per == "model" else "")


async def show_quotas(
    store: QuotaStore, quotas: Sequence[CompiledQuota], session: str, now: float
) -> list[dict[str, Any]]:
    """The quotas of a session with their buckets, as the control API shows them."""
    buckets = await store.show_buckets([quota.limits for quota in quotas], session, now)
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
        for quota, shown in zip(quotas, buckets, strict=True)
    ]
