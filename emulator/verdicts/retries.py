"""Verdicts on retries: of final refusals, before `Retry-After`, or too fast."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from http.client import FORBIDDEN, INTERNAL_SERVER_ERROR, NOT_FOUND, TOO_MANY_REQUESTS, UNAUTHORIZED
from itertools import pairwise

from emulator.engine.answer import EMULATOR_STATUS
from emulator.verdicts.observation import Finding, Observation

RETRY_WINDOW = 60.0
"""Seconds within which the same body counts as a retry of a refusal."""
TOLERANCE = 0.1
"""Seconds that a retry may come before the time of `Retry-After`: clocks and timers are not exact."""
STORM_RETRIES = 3
"""Retries in a row that make a storm; OpenAI clients send two by default."""
STORM_WAIT = 0.25
"""A retry after fewer seconds has no backoff. OpenAI clients wait 0.375 seconds at least before the first."""

_FINAL_STATUSES = frozenset({400, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, EMULATOR_STATUS})
_TOKEN_STATUSES = frozenset({UNAUTHORIZED, FORBIDDEN})


def find_retried_refusals(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Find the same body after an answer that will not change; with a new token 401 and 403 may."""
    for before, after in _retries(observations):
        has_new_token = before.status in _TOKEN_STATUSES and before.credential != after.credential
        if before.status in _FINAL_STATUSES and not has_new_token and after.started - before.ended <= RETRY_WINDOW:
            numbers = (before.number, after.number)
            yield Finding(numbers, f"the same body was sent again after status {before.status}")


def find_ignored_retry_after(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Find the same body before the time that the answer's `Retry-After` gives."""
    for before, after in _retries(observations):
        wait = read_retry_after(before)
        if wait is not None and after.started < before.ended + wait - TOLERANCE:
            waited = after.started - before.ended
            sentence = f"status {before.status} asked to wait {wait:.3g} seconds; the retry came after {waited:.3g}"
            yield Finding((before.number, after.number), sentence)


def find_storms(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Find many retries of one body after 429 or 5xx, each nearly at once."""
    for attempts in _same_requests(observations):
        storm = [attempts[0]]
        for before, after in pairwise(attempts):
            failed = before.status == TOO_MANY_REQUESTS or before.status >= INTERNAL_SERVER_ERROR
            if not failed or after.started - before.ended >= STORM_WAIT:
                yield from _report_storm(storm)
                storm = []
            storm.append(after)
        yield from _report_storm(storm)


def read_retry_after(observation: Observation) -> float | None:
    """The seconds of an answer's `Retry-After`, which may be a number or a date; None without one."""
    timeline = observation.outcome.timeline
    value = next((value for name, value in timeline.headers if value and name.lower() == "retry-after"), "").strip()
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - observation.ended)


def _report_storm(storm: Sequence[Observation]) -> Iterator[Finding]:
    if len(storm) > STORM_RETRIES:
        seconds = storm[-1].started - storm[0].started
        sentence = f"the same body was sent {len(storm)} times in {seconds:.3g} seconds, whatever the answers said"
        yield Finding(tuple(one.number for one in storm), sentence)


def _retries(observations: Sequence[Observation]) -> Iterator[tuple[Observation, Observation]]:
    """Each request and the next identical one."""
    for attempts in _same_requests(observations):
        yield from pairwise(attempts)


def _same_requests(observations: Sequence[Observation]) -> Iterator[Sequence[Observation]]:
    """Group requests by URL and body; one that began before its predecessor was answered is another thread's and left out."""
    same: defaultdict[tuple[str, bytes], list[Observation]] = defaultdict(list)
    for one in sorted(observations, key=lambda one: one.started):
        attempts = same[one.target.path, one.body]
        if not attempts or one.started >= attempts[-1].ended:
            attempts.append(one)
    yield from same.values()
