"""Whether probes hold: their requests are sent, and each answer is compared with what the row claims."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from emulator.errors import StartError
from emulator.recording.answers import Answer, find_known_error
from emulator.recording.attest.asking import (
    Client,
    Cost,
    NotShownError,
    build_request,
    cost_of,
    estimate_step,
    model_of,
    resolve,
    values_of,
)
from emulator.recording.attest.expectations import Expectation, check_path, find_differences
from emulator.recording.attest.probes import Probe, Step
from emulator.recording.recording import RecordedAnswer, RecordedExchange, RecordedRequest
from emulator.recording.secrets import Secrets, UnreadableBodyError
from emulator.recording.texts import clean

Result = Literal["holds", "differs", "refused", "not testable"]
"""What a probe has shown: the claim holds, the answer is otherwise, the service would not answer, or it did not show the matter."""

SendRequest = Callable[[RecordedRequest], RecordedAnswer]
"""Sends a request and waits for its whole answer; of one that does not come the status is 0."""

_UNAUTHENTICATED, _NOT_FOUND, _TOO_MANY, _MISS, _CLOSED = 401, 404, 429, 418, 499
_ELSEWHERE = frozenset({0, _UNAUTHENTICATED, 403, _NOT_FOUND, 408, _MISS, _TOO_MANY, _CLOSED})
_FIRST_SERVER_ERROR = 500
MAX_SILENT = 5
"""Requests in a row without any answer after which no more are sent."""
SHOWN_BODY, SHOWN_TEXT = 4_000, 120
"""Characters of a body, and of each text in it, that evidence has."""
_SHOWN_HEADERS = ("content-type", "server", "vary", "cache-control", "alt-svc", "accept-ranges", "retry-after")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The request that decided, and its answer, as a report shows them."""

    request: str
    model: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a probe has shown, and why."""

    probe: str
    row: str
    result: Result
    detail: str = ""
    """The smallest difference, or why the row could not be judged; empty if it holds."""
    others: int = 0
    """How many more differences there are."""
    evidence: Evidence | None = None


class CostLimitError(Exception):
    """The next request could cost more than is allowed."""


@dataclass(slots=True)
class Judge:
    """Judges probes one after the other; equal requests are sent once."""

    client: Client
    send: SendRequest
    interval: float = 0.0
    """Seconds from the start of one request to that of the next."""
    max_cost: float | None = None
    """Dollars that may be spent; None for no limit."""
    secrets: Secrets = field(default_factory=Secrets)
    """What is replaced in differences and evidence."""
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    cost: Cost = field(default_factory=Cost)
    """What the answers so far have cost, as their usage says."""
    known_errors: dict[str, None] = field(default_factory=dict)
    """Entries of the catalogue with which a request was refused that was not meant to be."""
    unknown_errors: dict[str, None] = field(default_factory=dict)
    """Refusals that the catalogue does not know."""
    is_emulated: bool = False
    """Whether an answer came from an emulator."""
    _answers: dict[RecordedRequest, Answer] = field(default_factory=dict)
    _next: float = 0.0
    _silent: int = 0

    def run(self, probes: Sequence[Probe]) -> Iterator[Judgement]:
        """Judge probes in turn; ends early where the next could go over `max_cost`.

        Raises StartError if the credentials are refused, or if no answer comes several times in a row.
        """
        for probe in probes:
            try:
                judgement = self.judge(probe)
            except CostLimitError:
                return
            yield judgement
            if self._silent >= MAX_SILENT:
                raise StartError(f"no answer came {MAX_SILENT} times in a row ({judgement.detail}); try again later")

    def judge(self, probe: Probe) -> Judgement:
        """Send the requests of a probe and compare. Raises CostLimitError, StartError."""
        answers: list[Answer] = []
        evidence: Evidence | None = None
        for step in probe.steps:
            try:
                request = build_request(step.request, self.client, answers)
                answer = self._ask(request, probe, step)
                checks = resolve(dict(step.expect.body), self.client, answers)
            except NotShownError as error:
                return Judgement(probe.id, probe.row, "not testable", str(error))
            answers.append(answer)
            result, detail, others = self._compare(probe, step, step.expect.model_copy(update={"body": checks}), answer)
            if result is not None:
                if result in {"differs", "refused"} and probe.switches and self.is_emulated:
                    result, detail = "not testable", f"an emulator answers so only with {' '.join(probe.switches)}"
                evidence = self._show_evidence(step, request, answer)
                return Judgement(probe.id, probe.row, result, self._redact(detail), others, evidence)
            evidence = self._show_evidence(step, request, answer, holds=True)
        return Judgement(probe.id, probe.row, "holds", evidence=evidence)

    def _ask(self, request: RecordedRequest, probe: Probe, step: Step) -> Answer:
        known = None if probe.once else self._answers.get(request)
        if known is not None:
            return known
        if self.max_cost is not None and self.cost.dollars + estimate_step(step, self.client).dollars > self.max_cost:
            raise CostLimitError
        wait = self._next - self.clock()
        if wait > 0:
            self.sleep(wait)
        self._next = self.clock() + self.interval
        answer = Answer(self.send(request))
        self._silent = self._silent + 1 if answer.status == 0 else 0
        self.is_emulated |= answer.is_emulated
        self.cost += cost_of(answer, step.request, self.client)
        if answer.status == _UNAUTHENTICATED and step.request.credentials == "own":
            raise StartError(
                f"the service refuses the credentials ({answer.describe_error()}); log in again or give another --token"
            )
        if not probe.once:
            self._answers[request] = answer
        return answer

    def _compare(
        self, probe: Probe, step: Step, expected: Expectation, answer: Answer
    ) -> tuple[Result | None, str, int]:
        """What an answer shows that ends the probe, and why; None as long as the claim holds."""
        if answer.status not in expected.statuses:
            self._note_error(answer)
            if answer.status == 0:
                return "refused", clean(answer.text) or "no answer came", 0
            if self._is_elsewhere(probe, step, answer):
                return "refused", answer.describe_error(), 0
        elif answer.recorded.end != "complete":
            return "refused", f"the connection was closed within the answer, after {len(answer.data)} bytes", 0
        elif answer.is_stream and not expected.complete and not step.request.path.startswith("responses"):
            if answer.stream.error is not None:
                self._note_error(answer)
            if expected.error_in_stream is None:
                if answer.stream.error is not None:
                    return "refused", f"the stream broke off: {answer.describe_error()}", 0
                if not answer.stream.done:
                    return "refused", "the stream ended without [DONE]", 0
            elif answer.stream.error is None:
                return "not testable", "no stream broke off", 0
        values = values_of(step, self.client)
        if answer.status in expected.statuses and isinstance(answer.document, dict):
            for path, check in step.given.items():
                for lacking in check_path(path, check, answer.document, values):
                    return "not testable", f"the answer does not show it: {lacking}", 0
        found = find_differences(expected, answer, values)
        return ("differs", str(found[0]), len(found) - 1) if found else (None, "", 0)

    def _is_elsewhere(self, probe: Probe, step: Step, answer: Answer) -> bool:
        """Whether an answer of another status has other reasons than that the claim is wrong."""
        if answer.status == _NOT_FOUND and probe.not_found_differs:
            return False
        if answer.status in {_UNAUTHENTICATED, 403} and step.request.credentials != "own":
            return False
        return (
            answer.status in _ELSEWHERE
            or answer.status >= _FIRST_SERVER_ERROR
            or answer.error.get("status") == "FAILED_PRECONDITION"
        )

    def _redact(self, text: str) -> str:
        """A text without the secrets of the run."""
        request = RecordedRequest("POST", "", "/", "", (), text.encode("utf-8", "replace"))
        return clean(self.secrets.redact_request(request).body.decode("utf-8", "replace"))

    def _show_evidence(self, step: Step, request: RecordedRequest, answer: Answer, *, holds: bool = False) -> Evidence:
        """What a report shows of an exchange; of an answer that is as claimed not the body, because the claim says it."""
        shown = replace(answer.recorded, frames=()) if holds else answer.recorded
        exchange = RecordedExchange(1, datetime.now(UTC), request, shown)
        try:
            redacted = self.secrets.redact(exchange)
        except UnreadableBodyError:
            redacted = self.secrets.redact(replace(exchange, answer=replace(answer.recorded, frames=())))
        asked = redacted.request
        return Evidence(
            request=f"{asked.method} {asked.host}{asked.path}{'?' if asked.query else ''}{asked.query}",
            model=model_of(step.request, self.client),
            status=answer.status,
            headers=tuple((name, value) for name, value in redacted.answer.headers if name in _SHOWN_HEADERS),
            body=_show_body(Answer(redacted.answer)),
        )

    def _note_error(self, answer: Answer) -> None:
        """Remember a refusal that nobody asked for."""
        if not answer.error or answer.status == _MISS:
            return
        known = find_known_error(answer)
        if known is not None:
            self.known_errors[known.name] = None
        else:
            self.unknown_errors[self._redact(answer.describe_error())] = None


def _show_body(answer: Answer) -> str:
    """The body with its long texts cut: what models say, pictures and signatures are no evidence."""
    if answer.is_stream:
        lines = [json.dumps(_cut(chunk), ensure_ascii=False) for chunk in answer.stream.chunks]
        lines += [json.dumps(answer.stream.error)] if answer.stream.error is not None else []
        text = "\n".join([*lines, *(("[DONE]",) if answer.stream.done else ())])
    elif answer.json is not None:
        text = json.dumps(_cut(answer.json), ensure_ascii=False)
    else:
        text = answer.text
    return text[:SHOWN_BODY]


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= SHOWN_TEXT or "http" in value else f"{value[: SHOWN_TEXT - 20]}… ({len(value)})"
    if isinstance(value, list):
        return [_cut(one) for one in value]
    return {key: _cut(one) for key, one in value.items()} if isinstance(value, dict) else value


def result_of(judgements: Sequence[Judgement]) -> Result:
    """The result of a row: it differs if one probe does, and holds if one does and none differs."""
    results = {one.result for one in judgements}
    order: tuple[Result, ...] = ("differs", "holds", "refused")
    return next((result for result in order if result in results), "not testable")
