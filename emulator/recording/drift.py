"""Sends the requests of a recording again, and says where the answers of today have another shape."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlencode

from emulator.errors import StartError
from emulator.recording.answers import Answer
from emulator.recording.attest.asking import Cost, count_cost
from emulator.recording.attest.judging import MAX_SILENT, SendRequest
from emulator.recording.comparison import compare_shapes, read_shape
from emulator.recording.meaning import CREDENTIALS
from emulator.recording.recording import RecordedExchange, RecordedRequest
from emulator.recording.secrets import PROJECT_HEADER, Secrets, UnreadableBodyError
from emulator.recording.texts import Difference

_PROJECT = re.compile(r"(?<=/projects/)[^/]+")


@dataclass(frozen=True, slots=True)
class Drift:
    """What has changed in the answer to one request."""

    exchange: RecordedExchange
    changes: tuple[Difference, ...] = ()
    skipped: str = ""
    """Why it was not compared; empty if it was."""


def project_of(exchanges: Sequence[RecordedExchange]) -> str:
    """The project of a recording's requests: a placeholder, unless they were recorded from an emulator's demo; empty without any."""
    for exchange in exchanges:
        if found := _PROJECT.search(exchange.request.path):
            return found[0]
    return ""


def skip_reason(exchange: RecordedExchange) -> str:
    """Why an exchange cannot be compared; empty if it can."""
    match exchange.answer.end:
        case "complete":
            return ""
        case "left":
            return "the client had left before its end"
        case "cut":
            return "the answer had been broken off"
        case _:
            return "no answer had come"


def cost_of_recording(exchanges: Sequence[RecordedExchange]) -> Cost:
    """What the requests cost when they were recorded, as their usage says."""
    total = Cost()
    for exchange in exchanges:
        if skip_reason(exchange):
            continue
        answer = Answer(exchange.answer)
        usage = answer.usage
        prompt, sum_ = usage.get("prompt_tokens"), usage.get("total_tokens")
        bodies = answer.stream.chunks if answer.is_stream else (answer.json,)
        models = [one.get("model") for one in bodies if isinstance(one, dict)]
        if isinstance(prompt, int) and isinstance(sum_, int) and 0 <= prompt <= sum_:
            total += count_cost(str(next(iter(models), "")), prompt, sum_ - prompt)
        else:
            total += Cost(requests=1)
    return total


@dataclass(slots=True)
class DriftCheck:
    """Compares the exchanges of a recording with today's answers."""

    send: SendRequest
    token: str
    project: str = ""
    """The project that is asked; empty for those of the recording."""
    interval: float = 0.0
    """Seconds from the start of one request to that of the next."""
    secrets: Secrets | None = None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def run(self, exchanges: Sequence[RecordedExchange]) -> Iterator[Drift]:
        """Send each request again and compare; raises StartError if no answer comes several times in a row."""
        following, silent = self.clock(), 0
        for exchange in exchanges:
            if reason := skip_reason(exchange):
                yield Drift(exchange, skipped=reason)
                continue
            wait = following - self.clock()
            if wait > 0:
                self.sleep(wait)
            following = self.clock() + self.interval
            answered = self.send(self.prepare(exchange.request))
            if answered.status == 0:
                silent += 1
                reason = Answer(answered).text or "no answer came"
                yield Drift(exchange, (Difference("status", str(exchange.answer.status), reason),))
                if silent >= MAX_SILENT:
                    raise StartError(f"no answer came {MAX_SILENT} times in a row ({reason}); try again later")
                continue
            silent = 0
            # What redaction does to bodies and headers is then no difference.
            today = RecordedExchange(exchange.number, datetime.now(UTC), exchange.request, answered)
            try:
                redacted = (self.secrets or Secrets()).redact(today).answer
            except UnreadableBodyError:
                redacted = answered
            changes = compare_shapes(read_shape(Answer(exchange.answer)), read_shape(Answer(redacted)))
            if answered.end != "complete":
                changes.append(Difference("end", "complete", "the connection was closed within the answer"))
            yield Drift(exchange, tuple(changes))

    def prepare(self, request: RecordedRequest) -> RecordedRequest:
        """A recorded request with the project that is asked, and with the user's credentials."""
        path, body, headers = request.path, request.body, request.headers
        found = _PROJECT.search(path)
        if self.project:
            headers = tuple((name, self.project if name == PROJECT_HEADER else value) for name, value in headers)
        if self.project and found is not None:
            path = _PROJECT.sub(quote(self.project, safe=":"), path)
            body = body.replace(f"projects/{found[0]}/".encode(), f"projects/{self.project}/".encode())
        # A placeholder of a key would be refused; the token stands for the user.
        pairs = parse_qsl(request.query, keep_blank_values=True)
        query = urlencode([pair for pair in pairs if pair[0] not in CREDENTIALS]) if pairs else request.query
        return replace(
            request, path=path, query=query, body=body, headers=(*headers, ("authorization", f"Bearer {self.token}"))
        )
