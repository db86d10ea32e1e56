"""Quotas: how much of a minute is left, whether a request fits into it, and when it would.

Each limit by the minute is a bucket that holds one minute's worth and fills continuously; buckets are values, and the caller
gives the time. Assumed: that the service counts so; its pages say only that quotas are by the minute.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from emulator.catalogue.errors import CatalogueError, entry, find
from emulator.engine.matching.conditions import Condition, compile_when, matches
from emulator.engine.request.facts import Facts
from emulator.scenario.checks.quotas import list_quotas
from emulator.scenario.loading import ScenarioFile
from emulator.scenario.quota import PROVISIONED
from emulator.scenario.when import When

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
