"""Exchanges: one request and its answer, as the journal records them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from sys import getsizeof
from typing import Any, Literal, NamedTuple

from emulator.engine.answer import Outcome
from emulator.engine.quota import QuotaTicket
from emulator.engine.reply.parts import MAX_PREVIEW
from emulator.engine.request.facts import TOOL_ROLES, Facts
from emulator.engine.request.options import list_ignored
from emulator.engine.routes.route import read_route
from emulator.redaction import clean_line, may_have_secrets, redact, redact_json, redact_raw
from emulator.wire.errors import Refusal
from emulator.wire.json_text import parse_or_text
from emulator.wire.requests import MalformedRequestError, has_too_many_values, read_request
from emulator.wire.urls import CHAT, Target

MAX_RAW_TEXT = 100_000
"""Characters of a body that is not JSON that the journal shows."""
MAX_SHOWN = 200
"""Characters of a request and of an answer in lists of exchanges."""
_EXCHANGE_SIZE = 2048
"""Bytes that an exchange takes besides what is counted one by one, estimated."""
_FRAME_SIZE = 192
"""Bytes that a frame takes besides its data, with the time at which it was sent."""
_ADDED_HEADER = 1
"""The index of the first header that may be the request's or the scenario's: all answers have a content type."""


class Sender(NamedTuple):
    """The sender of a request, without its credentials."""

    host: str = ""
    """The Host header; empty if there was none."""
    has_api_key: bool = False
    """Whether an API key was sent instead of an access token."""
    credential: str = ""
    """Keyed digest that identifies the bearer token while this server runs; empty if there was none."""
    user_agent: int = 0
    """Checksum of the User-Agent header; 0 without one, and for command-line tools, each of whose requests is a process of its own."""
    is_retry: bool = False
    """Whether the client says that it is a retry, as OpenAI's clients do."""
    connection: int = 0
    """The peer's port, which tells open connections apart; 0 if there is none. The last field, because it differs most."""


class Asked(NamedTuple):
    """What a request asks, known since it was answered: for lists and logs, which do not read bodies again."""

    model: str = ""
    """The request's `model`, at most `MAX_MODEL` characters; empty if the request was refused before it was read."""
    text: str = ""
    """The beginning of the last message: of the user, or of tools."""


NOTHING_ASKED = Asked()
MAX_MODEL = 200
"""Characters of a model's name that are kept beside the body."""


def summarize_request(facts: Facts) -> Asked:
    """What a request asks, from its facts."""
    results = facts.tool_results if facts.last in TOOL_ROLES else ()
    text = (results[-1] if results else facts.last_user) or ""
    return Asked(facts.model[:MAX_MODEL], text[:MAX_PREVIEW])


Ended = Literal["complete", "cut", "stalled", "client left", "server stopped", "failed"]
"""How an exchange ended: complete, cut or stalled as planned, or ended early by the client or the server, or by its own failure."""


@dataclass(slots=True)
class Played:
    """Result of sending a timeline: how it ended, bytes sent, and times."""

    ended: Ended = "complete"
    sent: int = 0
    """Body bytes that were written to the network."""
    times: Sequence[float] = ()
    """When each frame was written, in seconds from the start; empty if the timeline was sent in one write."""


_EVENT = "data: "
_EXPIRED = "expired_token"
"""How refusals of expired tokens begin. Only a scenario or a setting brings them about: tokens live for an hour otherwise."""


def answer_text(body: bytes) -> str:
    """The text of an answer's first choice, or of a response, plain or streamed."""
    text = body.decode("utf-8", "replace")
    whole = parse_or_text(text)
    if isinstance(whole, dict):
        return "".join(_texts_of(whole))
    events = (parse_or_text(line.removeprefix(_EVENT)) for line in text.split("\n") if line.startswith(_EVENT))
    return "".join(piece for event in events if isinstance(event, dict) for piece in _texts_of(event))


def _texts_of(part: dict[str, Any]) -> Iterator[str]:
    """The texts of one JSON object: a chat answer or chunk, a completion, a response or one of its deltas."""
    for choice in part.get("choices") or ():
        if choice.get("index", 0) == 0:
            message = choice.get("message") or choice.get("delta") or {}
            yield from (text for text in (message.get("content"), choice.get("text")) if isinstance(text, str))
    if part.get("type") == "response.output_text.delta":
        yield part.get("delta", "")
    messages = (item for item in part.get("output") or () if item.get("type") == "message")
    for item in messages:
        yield from (piece["text"] for piece in item.get("content") or () if isinstance(piece.get("text"), str))


CREDENTIAL_HEADERS = frozenset(
    {b"authorization", b"proxy-authorization", b"x-goog-api-key", b"api-key", b"x-api-key", b"cookie"}
)
"""Request headers that are not kept, in lower case."""


def without_credentials(headers: Sequence[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of a request, names in lower case, without those that carry credentials."""
    return tuple([header for header in headers if header[0] not in CREDENTIAL_HEADERS])


def clean_outcome(outcome: Outcome) -> Outcome:
    """The outcome as it is kept: texts made from the request are redacted, and each of their lines is one and not too long."""
    chosen, refusal, report, warnings = outcome.chosen, outcome.refusal, outcome.report, outcome.warnings
    if chosen is not None and chosen.captures:
        # They are as long as the request may be, and nothing asks for them once it is answered.
        outcome = outcome._replace(chosen=chosen._replace(captures={}))
    if report or warnings:
        report = "\n".join(map(clean_line, report.split("\n")))
        outcome = outcome._replace(report=report, warnings=tuple(map(clean_line, warnings)))
    if outcome.not_found:
        outcome = outcome._replace(not_found=clean_line(outcome.not_found))
    if refusal is not None:
        place, explanation = clean_line(refusal.place), clean_line(refusal.explanation)
        outcome = outcome._replace(refusal=replace(refusal, place=place, explanation=explanation))
    return outcome


@dataclass(slots=True)
class Exchange:
    """One request and its answer. Credentials are not kept; derived properties are computed on access."""

    number: int
    started: float
    """Unix time in seconds."""
    target: Target
    body: bytes
    outcome: Outcome
    warnings: tuple[str, ...]
    quota_ticket: QuotaTicket
    duration: float = 0.0
    """Seconds until the last byte was written to the network."""
    played: Played = field(default_factory=Played)
    """How the answer was sent."""
    position: int = 0
    """Its index, from 1, in the order in which exchanges ended; 0 until it has ended."""
    sender: Sender = field(default_factory=Sender)
    asked: Asked = NOTHING_ASKED
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """The request's headers, names in lower case, without credentials."""

    @property
    def held(self) -> float:
        """Seconds by which a quota delays its answer."""
        return self.quota_ticket.delay

    @property
    def session(self) -> str:
        """The project it belongs to."""
        return self.target.project

    @property
    def ended(self) -> Ended:
        """How it ended."""
        return self.played.ended

    @property
    def facts(self) -> Facts | None:
        """The request's facts as rules see them, without the headers that carry credentials; None if the body is malformed."""
        try:
            if self.target.method == CHAT:
                return Facts(self.target, self.headers, read_request(self.body))
            if self.target.is_unary or not self.target.is_routed:
                return None
            return Facts(
                self.target, self.headers, read_route(self.target.method, self.body, strict_json=False)[0].chat
            )
        except MalformedRequestError:
            return None

    @property
    def request(self) -> dict[str, Any] | None:
        """The body as a JSON object; None if it is not one."""
        value = _parse(self.body, self.body.decode("utf-8", "replace"))
        if isinstance(value, dict):
            return value
        facts = self.facts if self.target.method == CHAT else None
        return dict(facts.request) if facts else None

    @property
    def model(self) -> str:
        """The request's `model`; empty if there is none."""
        named = (self.request or {}).get("model")
        return named if isinstance(named, str) else ""

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the functions that the request declares."""
        facts = self.facts
        return tuple(name for name, *_ in facts.tools) if facts else ()

    @property
    def stream(self) -> bool:
        """Whether the request wants a stream."""
        return (self.request or {}).get("stream") is True

    @property
    def last_user(self) -> str | None:
        """The text of the last user message."""
        facts = self.facts
        return facts.last_user if facts else None

    @property
    def ignored(self) -> tuple[str, ...]:
        """Parameters of a chat request that Vertex ignores because its documentation does not list them."""
        facts = self.facts if self.target.method == CHAT else None
        return tuple(list_ignored(facts.request, self.target)) if facts else ()

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return self.outcome.timeline.status

    @property
    def text(self) -> str:
        """The text of the answer's first choice, chunks joined; empty for errors, tool calls and embeddings."""
        return answer_text(self.outcome.timeline.body)

    @property
    def result(self) -> str:
        """The kind of outcome."""
        return self.outcome.result

    @property
    def unscripted_refusal(self) -> Refusal | None:
        """Vertex's refusal; None if there is none, or if the scenario or the settings brought it about: by a quota or a token's lifetime."""
        refusal = self.outcome.refusal
        is_scripted = (
            refusal is None or refusal.code == HTTPStatus.TOO_MANY_REQUESTS or refusal.rule.startswith(_EXPIRED)
        )
        return refusal if self.result == "refusal" and not is_scripted else None

    @property
    def rule(self) -> str | None:
        """The name of the rule that answered."""
        return self.outcome.chosen.rule.name if self.outcome.chosen else None

    @property
    def size(self) -> int:
        """Estimated bytes that it takes in memory: both bodies and everything else that came with the request or was made for it."""
        return len(self.body) + self.outcome.timeline.size + self.size_beside_bodies

    @property
    def size_beside_bodies(self) -> int:
        """Estimated bytes that it takes besides its bodies: target, host, frames, headers, warnings, refusal and report."""
        outcome = self.outcome
        timeline, refusal = outcome.timeline, outcome.refusal
        size = (
            _EXCHANGE_SIZE + sum(map(getsizeof, (*self.target, self.sender.host))) + len(timeline.frames) * _FRAME_SIZE
        )
        # Characters beyond Latin-1 take up to four bytes; most texts have none, and none is long.
        size += len(self.asked.text) + len(outcome.said)
        for name, value in timeline.headers[_ADDED_HEADER:]:
            size += getsizeof(name) + getsizeof(value)
        size += sum([getsizeof(name) + getsizeof(content) for name, content in self.headers])
        if self.warnings or outcome.report:
            size += sum(map(getsizeof, (outcome.report, *self.warnings, *outcome.warnings)))
        if refusal is not None:
            # The texts of its details are in the body too.
            size += (
                getsizeof(refusal.message) + getsizeof(refusal.explanation) + getsizeof(refusal.place) + timeline.size
            )
        return size

    def to_json(self) -> dict[str, Any]:
        """The exchange as the control API shows it, without secrets."""
        outcome, target = self.outcome, self.target
        timeline, chosen, refusal = outcome.timeline, outcome.chosen, outcome.refusal
        return {
            "number": self.number,
            "position": self.position,
            "time": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="milliseconds"),
            "session": redact(target.project),
            "host": self.sender.host or None,
            "path": redact(target.path),
            "outcome": outcome.result,
            "model": clean_line(self.asked.model),
            "asked": clean_line(self.asked.text, MAX_SHOWN),
            "answered": clean_line(outcome.said, MAX_SHOWN),
            "rule": chosen.rule.name if chosen else None,
            "place": str(chosen.rule.place) if chosen else None,
            "reply": chosen.position + 1 if chosen else None,
            "report": outcome.report or None,
            "refusal": None
            if refusal is None
            else {
                "name": refusal.rule,
                "place": refusal.place or None,
                "explanation": refusal.explanation or None,
                "scripted": self.unscripted_refusal is None,
            },
            "request": show_body(self.body),
            "status": timeline.status,
            "answer": [self.show_frame(frame.data) for frame in timeline.frames],
            "usage": outcome.usage.to_wire() if outcome.usage else None,
            "warnings": list(self.warnings),
            "answer_warnings": list(outcome.warnings),
            "ignored": list(map(clean_line, self.ignored)),
            "quirks": sorted(outcome.quirks),
            "duration_ms": _milliseconds(self.duration),
            "timeline": self._times(),
            "ended": self.ended,
            "sent_bytes": self.played.sent,
        }

    def show_frame(self, data: bytes) -> str:
        """A frame of the answer without secrets; that of a refusal may quote a body that is not JSON."""
        text = data.decode("utf-8", "replace")
        return redact(text) if self.outcome.refusal is None else redact_raw(text)

    def _times(self) -> dict[str, Any] | None:
        """Planned times of head, frames and end, and when the frames were sent; None for an instant timeline."""
        timeline = self.outcome.timeline
        if timeline.is_instant:
            return None
        return {
            "head_ms": None if timeline.head_at is None else _milliseconds(timeline.head_at),
            "frames_ms": [_milliseconds(frame.at) for frame in timeline.frames],
            "sent_ms": [_milliseconds(time) for time in self.played.times],
            "end_ms": _milliseconds(timeline.end_at),
            "ending": timeline.ending,
        }


def show_body(body: bytes) -> Any:
    """A request's body as JSON, or as text if it is none; without secrets."""
    text = body.decode("utf-8", "replace")
    value = _parse(body, text)
    if isinstance(value, str) and value is text:
        cut = text if len(text) <= MAX_RAW_TEXT else f"{text[: MAX_RAW_TEXT - 1]}…"
        return redact_raw(cut)
    return redact_json(value) if may_have_secrets(text) else value


def _parse(body: bytes, text: str) -> Any:
    """A body's JSON; its text if it is none, or has so many values that it was refused and that reading it would hold others up."""
    return text if has_too_many_values(body) else parse_or_text(text)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


@dataclass(slots=True, kw_only=True)
class TokenExchange:
    """One request to a token endpoint and its answer, both already redacted."""

    number: int
    started: float
    """Unix time in seconds."""
    session: str
    """The project of the requested account; empty if it has none."""
    path: str
    account: str
    """The email address of that account, if known."""
    status: int
    request: dict[str, Any]
    answer: dict[str, Any]
    refusal: str = ""
    """The name of the error's catalogue entry; empty if there was no error."""
    explanation: str = ""
    is_scripted: bool = False
    """Whether the scenario's `tokens` brought the error about."""
    duration: float = 0.0
    """Seconds until the last byte was written to the network."""
    ended: Ended = "complete"
    position: int = 0
    """Its index, from 1, in the order in which exchanges ended; 0 until it has ended."""

    @property
    def result(self) -> str:
        """The kind of outcome."""
        return "refusal" if self.refusal else "token"

    @property
    def rule(self) -> None:
        """None: no rule answers a token request."""

    @property
    def size(self) -> int:
        """Estimated bytes that it takes in memory."""
        return _EXCHANGE_SIZE + sum(
            map(
                getsizeof,
                (self.session, self.path, self.account, self.explanation, str(self.request), str(self.answer)),
            )
        )

    def to_json(self) -> dict[str, Any]:
        """The exchange as the control API shows it."""
        return {
            "number": self.number,
            "position": self.position,
            "time": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="milliseconds"),
            "session": self.session,
            "path": self.path,
            "account": self.account or None,
            "outcome": self.result,
            "rule": None,
            "refusal": None
            if not self.refusal
            else {
                "name": self.refusal,
                "place": None,
                "explanation": self.explanation or None,
                "scripted": self.is_scripted,
            },
            "request": self.request,
            "status": self.status,
            "answer": self.answer,
            "duration_ms": _milliseconds(self.duration),
            "ended": self.ended,
        }


@dataclass(slots=True, kw_only=True)
class UnroutedRequest:
    """A request to a path that nothing routes, which got the 404 of its host. Its body is not kept."""

    number: int
    started: float
    """Unix time in seconds."""
    session: str
    """The project in its path; without one that of `Service.default_session`."""
    verb: str
    host: str
    """The Host header; empty if there was none."""
    path: str
    """Without the query, on one line of ASCII."""
    status: int
    explanation: str
    nearest_url: str
    """The URL that was probably meant; empty if none is near."""
    is_leak: bool
    """Whether it was meant for a service of Google's that is not emulated."""
    duration: float = 0.0
    ended: Ended = "complete"
    position: int = 0
    """Its index, from 1, in the order in which exchanges ended; 0 until it has ended."""

    @property
    def result(self) -> str:
        """The kind of outcome."""
        return "unrouted"

    @property
    def rule(self) -> None:
        """None: no rule was asked."""

    @property
    def report(self) -> str:
        """Method and path, and what was probably meant."""
        return f"{self.verb} {self.path}: {self.explanation}"

    @property
    def size(self) -> int:
        """Estimated bytes that it takes in memory."""
        return _EXCHANGE_SIZE + sum(
            map(getsizeof, (self.session, self.host, self.path, self.explanation, self.nearest_url))
        )

    def to_json(self) -> dict[str, Any]:
        """The request as the control API shows it."""
        return {
            "number": self.number,
            "position": self.position,
            "time": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="milliseconds"),
            "session": self.session,
            "host": self.host or None,
            "method": self.verb,
            "path": self.path,
            "outcome": self.result,
            "rule": None,
            "report": self.report,
            "nearest_url": self.nearest_url or None,
            "leak": self.is_leak,
            "refusal": None,
            "status": self.status,
            "duration_ms": _milliseconds(self.duration),
            "ended": self.ended,
        }


Entry = Exchange | TokenExchange | UnroutedRequest
