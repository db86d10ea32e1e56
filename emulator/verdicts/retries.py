"""Verdicts on retries: of final refusals, before `Retry-After`, too fast, or of streams that were left."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from heapq import heappop, heappush
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
TOKEN_STATUSES = frozenset({UNAUTHORIZED, FORBIDDEN})
"""After these a new token is worth another try."""


def find_retried_refusals(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Find the same body after an answer that will not change; with a new token 401 and 403 may.

    If the same body was answered after a 418 of the emulator itself, somebody has mended the scenario and started the program again.
    """
    for before, after in pair_retries(observations):
        if before.status == EMULATOR_STATUS != after.status:
            continue
        has_new_token = before.status in TOKEN_STATUSES and before.credential != after.credential
        if before.status in _FINAL_STATUSES and not has_new_token and after.started - before.ended <= RETRY_WINDOW:
            numbers = (before.number, after.number)
            yield Finding(numbers, f"the same body was sent again after status {before.status}")


def find_ignored_retry_after(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Find the same body before the time that the answer's `Retry-After` gives."""
    for before, after in pair_retries(observations):
        wait = read_retry_after(before)
        if wait is not None and after.started < before.ended + wait - TOLERANCE:
            waited = after.started - before.ended
            sentence = f"status {before.status} asked to wait {wait:.3g} seconds; the retry came after {waited:.3g}"
            yield Finding((before.number, after.number), sentence)


def find_restarts(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Find streams that their client left before the end and began anew with the same body, which is paid for again."""
    for before, after in pair_retries(observations):
        if before.is_stream and before.client_left and after.started - before.ended <= RETRY_WINDOW:
            sentence = "a stream was left before its end and begun anew with the same body; each start is paid for"
            yield Finding((before.number, after.number), sentence)


def find_storms(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Find many retries of one body after 429, 5xx or an answer that broke off, each nearly at once."""
    for attempts in _same_requests(observations):
        storm = [attempts[0]]
        for before, after in pairwise(attempts):
            failed = before.status == TOO_MANY_REQUESTS or before.status >= INTERNAL_SERVER_ERROR or before.is_cut
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


def pair_retries(observations: Sequence[Observation]) -> Iterator[tuple[Observation, Observation]]:
    """Each request and the next identical one of the same client."""
    for attempts in _same_requests(observations):
        yield from pairwise(attempts)


def _same_requests(observations: Sequence[Observation]) -> Iterator[Sequence[Observation]]:
    """Group requests by URL, body and client; one that began before its predecessor was answered is another thread's and left out.

    Another user agent is another client. So is another connection if the one before is used again later: who has a connection sends
    its retry there, and a program may leave one for a new one, but does not come back to it. OpenAI's clients say themselves that they retry.
    """
    same: defaultdict[tuple[str, bytes, int], _Clients] = defaultdict(_Clients)
    ordered = sorted(observations, key=lambda one: one.started)
    last_uses: dict[int, float] = {}
    for one in ordered:
        last_uses[one.connection] = max(one.ended, last_uses.get(one.connection, 0.0))
    for one in ordered:
        same[one.target.path, one.body, one.user_agent].add(one, last_uses)
    for clients in same.values():
        yield from clients.attempts


class _Clients:
    """The clients that sent the same request, each with its attempts."""

    def __init__(self) -> None:
        self.attempts: list[list[Observation]] = []
        self._by_connection: dict[int, int] = {}
        """The index of the client by each of its connections."""
        self._open: list[tuple[float, int, int]] = []
        """A heap of when connections are used last, the connections, and the indexes of their clients."""
        self._left: list[int] = []
        """The clients whose connection is not used again, the last one at the end."""
        self._latest = 0
        """The client of the last attempt."""

    def add(self, one: Observation, last_uses: Mapping[int, float]) -> None:
        """Add the next request; `last_uses` has the times at which connections are used last."""
        while self._open and self._open[0][0] <= one.started:
            _, connection, client = heappop(self._open)
            if self.attempts[client][-1].connection == connection:
                self._left.append(client)
        at = self._by_connection.get(one.connection)
        if at is None and one.is_retry and self.attempts:
            at = self._latest
        if at is None and self._left:
            at = self._left.pop()
        if at is None:
            at = len(self.attempts)
            self.attempts.append([one])
        elif one.started >= self.attempts[at][-1].ended:
            self.attempts[at].append(one)
        else:
            return
        self._latest = at
        if one.connection not in self._by_connection:
            heappush(self._open, (last_uses[one.connection], one.connection, at))
        self._by_connection[one.connection] = at
