"""One exchange as a judge of the client sees it: what was asked, from where, when, and what came back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from http.client import OK
from typing import Any

from pydantic_core import from_json

from emulator.engine.answer import Outcome
from emulator.engine.request.history import PastCall, calls_of
from emulator.wire.requests import ChatRequest, MalformedRequestError, Message, parse_request
from emulator.wire.sse import DONE
from emulator.wire.urls import CHAT, Target

_EVENT = b"data:"


@dataclass(frozen=True)
class Observation:
    """An exchange of the journal, with no more than a judge needs."""

    number: int
    started: float
    """Unix time in seconds."""
    ended: float
    """Unix time in seconds at which the last byte was handed to the network."""
    target: Target
    host: str
    """The Host header; empty if there was none."""
    has_api_key: bool
    """Whether an API key was sent where an access token belongs."""
    credential: str
    """What tells one bearer from another without being it."""
    body: bytes
    outcome: Outcome
    client_left: bool

    @cached_property
    def request(self) -> ChatRequest | None:
        """The body of a chat request; None for the siblings, and where it is not JSON or of another shape."""
        if self.target.method != CHAT:
            return None
        try:
            return parse_request(self.body).request
        except MalformedRequestError:
            return None

    @cached_property
    def messages(self) -> Sequence[Message]:
        """The conversation."""
        return (self.request.get("messages") or ()) if self.request else ()

    @cached_property
    def past_calls(self) -> tuple[PastCall, ...]:
        """The tool calls of the history."""
        return tuple(call for at, message in enumerate(self.messages) for call in calls_of(message, at))

    @cached_property
    def answer(self) -> "Answered":
        """What was answered; empty for refusals, failures and siblings."""
        return Answered(tuple(_choices(self))) if self.status == OK and self.request is not None else Answered(())

    @property
    def model(self) -> str:
        """The model as the client wrote it."""
        return (self.request.get("model") or "") if self.request else ""

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.outcome.timeline.status

    @property
    def refused_for(self) -> str:
        """The catalogue's name of what Vertex refuses this for; empty if it does not, or if only a rule says so."""
        refusal = self.outcome.refusal
        return refusal.rule if refusal is not None and self.outcome.result == "refusal" else ""

    @property
    def is_truncated(self) -> bool:
        """Whether it is a stream that stopped without a finish reason and without [DONE]."""
        if self.status != OK or self.request is None or not self.request.get("stream") or self.answer.has_finish:
            return False
        return not any(frame.data == DONE for frame in self.outcome.timeline.frames)


@dataclass(slots=True)
class SaidCall:
    """A tool call as the model made it."""

    id: str
    name: str
    arguments: str
    signature: str | None


@dataclass(frozen=True)
class Answered:
    """An answer, its chunks put together again."""

    choices: tuple[dict[str, Any], ...]
    """The choices of a body, or those of all chunks one after the other."""

    @cached_property
    def texts(self) -> frozenset[str]:
        """What the first choice says, with thoughts and without; nothing if it says nothing."""
        said = [_said(choice) for choice in self.choices if not choice.get("index")]
        whole = "".join(str(one.get("content") or "") for one in said)
        plain = "".join(str(one.get("content") or "") for one in said if not _google(one).get("thought"))
        return frozenset(text.strip() for text in (whole, plain) if text.strip())

    @cached_property
    def has_finish(self) -> bool:
        """Whether there is a finish reason."""
        return any(choice.get("finish_reason") for choice in self.choices)

    @cached_property
    def calls(self) -> tuple[SaidCall, ...]:
        """The tool calls; what has no name, or the id of the call before it in its choice, continues that."""
        found: list[SaidCall] = []
        last: dict[int, SaidCall] = {}
        for choice in self.choices:
            for call in _said(choice).get("tool_calls") or ():
                function, at, made = call.get("function") or {}, choice.get("index") or 0, call.get("id") or ""
                if function.get("name") and not (made and at in last and last[at].id == made):
                    last[at] = SaidCall(made, function["name"], "", None)
                    found.append(last[at])
                if at in last:
                    last[at].arguments += function.get("arguments") or ""
                    last[at].signature = last[at].signature or _google(call).get("thought_signature")
        return tuple(found)


def _choices(observation: Observation) -> Iterator[dict[str, Any]]:
    for frame in observation.outcome.timeline.frames:
        try:
            value = from_json(frame.data.removeprefix(_EVENT).strip())
        except ValueError:
            # [DONE], and what a quirk or a rule makes of an event.
            continue
        if isinstance(value, dict) and isinstance(value.get("choices"), list):
            yield from (choice for choice in value["choices"] if isinstance(choice, dict))


def _said(choice: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = choice.get("message") or choice.get("delta") or {}
    return said


def _google(value: dict[str, Any]) -> dict[str, Any]:
    extra = value.get("extra_content") or {}
    # The quirk `vertex_content` renames the key.
    found: dict[str, Any] = extra.get("google") or extra.get("vertex") or {}
    return found


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a client did wrong; findings that say the same become one verdict."""

    exchanges: tuple[int, ...]
    sentence: str
    is_harmless: bool = False
    """Whether Vertex lets it pass, so that what else is an error is only a warning."""


Find = Callable[[Sequence[Observation]], Iterator[Finding]]
"""What looks for one kind of fault in the exchanges of a session, the oldest first."""
