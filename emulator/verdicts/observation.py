"""What verdicts are made from: one exchange with its request and its answer, streamed answers reassembled."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from http.client import OK
from typing import Any

from pydantic_core import from_json, to_json

from emulator.engine.answer import Outcome
from emulator.engine.request.history import MODEL_ROLES, SYSTEM_ROLES, PastCall, calls_of, is_result, text_of
from emulator.engine.signatures import text_of_call
from emulator.wire.requests import ChatRequest, MalformedRequestError, Message, read_request
from emulator.wire.sse import DONE
from emulator.wire.urls import CHAT, Target

_EVENT = b"data:"
_STREAM_TYPE = "text/event-stream"
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Observation:
    """An exchange of the journal, reduced to what verdicts need."""

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
    """A fingerprint of the bearer token, which differs from token to token."""
    user_agent: int
    """A checksum of the User-Agent header; 0 where it does not name one client."""
    connection: int
    """The peer's port; 0 if it is not known."""
    is_retry: bool
    """Whether the client itself says that it is a retry."""
    body: bytes
    outcome: Outcome
    client_left: bool
    """Whether the client closed the connection before the end; false for an answer that a fault makes wait."""

    @cached_property
    def request(self) -> ChatRequest | None:
        """The body of a chat request; None for other routes, and where it cannot be parsed."""
        if self.target.method != CHAT:
            return None
        try:
            return read_request(self.body)
        except MalformedRequestError:
            return None

    @cached_property
    def messages(self) -> Sequence[Message]:
        """The messages of the request."""
        return (self.request.get("messages") or ()) if self.request else ()

    @cached_property
    def calls_by_message(self) -> Sequence[tuple[PastCall, ...]]:
        """The tool calls of each message."""
        return [calls_of(message, at) for at, message in enumerate(self.messages)]

    @cached_property
    def past_calls(self) -> tuple[PastCall, ...]:
        """The tool calls of the history."""
        return tuple(call for calls in self.calls_by_message for call in calls)

    @cached_property
    def turn_start(self) -> int:
        """The index of the first message of the current turn: the one behind the last message of the user (documented for Gemini 3)."""
        messages = self.messages
        start = len(messages)
        while start and (messages[start - 1].get("role") in MODEL_ROLES or is_result(messages[start - 1])):
            start -= 1
        return start

    @cached_property
    def strings(self) -> AbstractSet[str]:
        """All texts in the request's JSON, keys and values."""
        found: set[str] = set()
        stack: list[Any] = [self.request]
        while stack:
            match stack.pop():
                case str(text):
                    found.add(text)
                case dict(inner):
                    found.update(inner)
                    stack += inner.values()
                case list(inner):
                    stack += inner
                case _:
                    pass
        return found

    @cached_property
    def prompt(self) -> bytes:
        """The messages as JSON, without the bracket that closes them: that of a history begins with that of its start."""
        return to_json(self.messages, inf_nan_mode="constants")[:-1]

    @cached_property
    def answer(self) -> "ObservedAnswer":
        """The answer; empty for refusals, failures and other routes."""
        return (
            ObservedAnswer(tuple(_choices(self)))
            if self.status == OK and self.request is not None
            else ObservedAnswer(())
        )

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
        """The catalogue's name of Vertex's refusal; empty if there is none, or if it is one that a rule scripts."""
        refusal = self.outcome.refusal
        return refusal.rule if refusal is not None and self.outcome.result == "refusal" else ""

    @cached_property
    def history_digests(self) -> Sequence[bytes]:
        """A digest of the history up to and with each message; system messages, which clients change between turns, do not count."""
        hash_, digests = blake2b(digest_size=_DIGEST_BYTES), list[bytes]()
        for message, calls in zip(self.messages, self.calls_by_message, strict=True):
            role = message.get("role")
            if role not in SYSTEM_ROLES:
                called = [(call.id, call.name, call.arguments) for call in calls]
                written = repr((role, text_of(message), called, message.get("tool_call_id")))
                hash_.update(written.encode("utf-8", "surrogatepass"))
            digests.append(hash_.copy().digest())
        return digests

    @property
    def is_stream(self) -> bool:
        """Whether the answer is a stream of events."""
        return any(
            name.lower() == "content-type" and value and value.startswith(_STREAM_TYPE)
            for name, value in self.outcome.timeline.headers
        )

    @property
    def is_cut(self) -> bool:
        """Whether a good answer was planned to break off before its end."""
        return self.status == OK and self.outcome.timeline.ending in {"close", "reset"}

    @property
    def is_truncated(self) -> bool:
        """Whether it is a stream that stopped without a finish reason and without [DONE]."""
        if self.status != OK or self.request is None or not self.request.get("stream") or self.answer.has_finish:
            return False
        return not any(frame.data == DONE for frame in self.outcome.timeline.frames)


@dataclass(slots=True)
class ObservedCall:
    """A tool call of an answer."""

    id: str
    name: str
    arguments: str
    signature: str | None
    choice: int = 0
    """The index of its choice."""


@dataclass(frozen=True)
class ObservedAnswer:
    """An answer, reassembled from its chunks if it was streamed."""

    choices: tuple[dict[str, Any], ...]
    """The choices of the body, or of all chunks in order."""

    @cached_property
    def texts(self) -> frozenset[str]:
        """The text of the first choice with thoughts and without them; empty texts are left out."""
        messages = [_message_of(choice) for choice in self.choices if not choice.get("index")]
        whole = "".join(str(one.get("content") or "") for one in messages)
        without = "".join(str(one.get("content") or "") for one in messages if not _google(one).get("thought"))
        return frozenset(text.strip() for text in (whole, without) if text.strip())

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """The texts of the first choice's chunks, thoughts too."""
        contents = (_message_of(choice).get("content") for choice in self.choices if not choice.get("index"))
        return tuple(str(content) for content in contents if content)

    @cached_property
    def has_finish(self) -> bool:
        """Whether there is a finish reason."""
        return any(choice.get("finish_reason") for choice in self.choices)

    @cached_property
    def calls(self) -> tuple[ObservedCall, ...]:
        """The tool calls; a fragment without a name, or with the id of the choice's last call, continues that call."""
        found: list[tuple[ObservedCall, list[str]]] = []
        last: dict[int, tuple[ObservedCall, list[str]]] = {}
        for choice in self.choices:
            for call in _message_of(choice).get("tool_calls") or ():
                function, index, id_ = call.get("function") or {}, choice.get("index") or 0, call.get("id") or ""
                if function.get("name") and not (id_ and index in last and last[index][0].id == id_):
                    last[index] = ObservedCall(id_, function["name"], "", None, index), []
                    found.append(last[index])
                if index in last:
                    observed, pieces = last[index]
                    pieces.append(function.get("arguments") or "")
                    observed.signature = observed.signature or _google(call).get("thought_signature")
        return tuple(replace(call, arguments="".join(pieces)) for call, pieces in found)


def _choices(observation: Observation) -> Iterator[dict[str, Any]]:
    for frame in observation.outcome.timeline.frames:
        try:
            value = from_json(frame.data.removeprefix(_EVENT).strip())
        except ValueError:
            # [DONE], and what a quirk or a rule makes of an event.
            continue
        if isinstance(value, dict) and isinstance(value.get("choices"), list):
            yield from (choice for choice in value["choices"] if isinstance(choice, dict))


def _message_of(choice: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = choice.get("message") or choice.get("delta") or {}
    return message


def _google(value: dict[str, Any]) -> dict[str, Any]:
    extra = value.get("extra_content") or {}
    # The quirk `vertex_content` renames the key.
    found: dict[str, Any] = extra.get("google") or extra.get("vertex") or {}
    return found


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake of a client; findings with the same sentence become one verdict."""

    exchanges: tuple[int, ...]
    sentence: str
    is_harmless: bool = False
    """Whether Vertex accepts it, which makes an error a warning."""


def identify_call(id_: str, name: str, arguments: str | None) -> tuple[str, str, str | None]:
    """What a call that is sent back has in common with the one that was answered: id and name, without an id name and arguments."""
    return id_, name, None if id_ else arguments


@dataclass(frozen=True, eq=False)
class AnsweredCalls:
    """The tool calls of one choice; each is equal to itself only."""

    number: int
    """The number of its exchange."""
    by_id: dict[str, ObservedCall]
    """The calls in order, by their ids."""
    is_stream: bool

    @cached_property
    def last(self) -> str:
        """The id of the last call."""
        return next(reversed(self.by_id))

    @cached_property
    def names(self) -> AbstractSet[str]:
        """The names of the functions."""
        return {call.name for call in self.by_id.values()}

    @cached_property
    def arguments(self) -> AbstractSet[str]:
        """The arguments as `canonical_arguments` writes them."""
        return {canonical_arguments(call.arguments) for call in self.by_id.values()}


def canonical_arguments(arguments: str | None) -> str:
    """The arguments of a call in a form that is the same however a client writes them."""
    return text_of_call("", arguments or "{}")


class Past:
    """What verdicts need of the exchanges of a session that came before; so only one request is in memory at a time."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        """The names of the functions that answers called."""
        self.arguments: set[str] = set()
        """The arguments of these calls."""
        self.signatures: defaultdict[tuple[str, str, str | None], set[str | None]] = defaultdict(set)
        """The signatures of these calls by `identify_call`; None for a call without one."""
        self.calls: dict[str, AnsweredCalls | None] = {}
        """The calls of each choice of an answer by each of their ids; None for an id of several answers."""
        self.id_lengths: set[int] = set()
        """The lengths of these ids."""
        self.texts: set[int] = set()
        """Hashes of the texts that were answered."""
        self.streams: dict[bytes, tuple[int, tuple[str, ...]]] = {}
        """The number and the texts of the chunks of the last complete stream by the digest of its request's history."""
        self.prompt: tuple[str, bytes] = ("", b"")
        """Model and messages of the last request that was answered."""
        self.varied: list[int] = []
        """The last exchanges in a row whose prompts differ only near their start."""
        self.short: list[int] = []
        """The last exchanges in a row whose prompts share a start that is too short for implicit caching."""
        self.truncated: dict[str, int] = {}
        """The texts of truncated streams that were not sent back yet, and the numbers of their exchanges."""

    def add(self, one: Observation) -> None:
        """Add the next exchange."""
        for call in one.answer.calls:
            self.names.add(call.name)
            self.arguments.add(call.arguments)
            self.signatures[identify_call(call.id, call.name, call.arguments)].add(call.signature or None)
        self._add_calls(one)
        self.texts.update(map(hash, one.answer.texts))
        if one.request is not None and one.status == OK:
            self.prompt = one.model, one.prompt
            if one.messages and one.request.get("stream") and not one.client_left and one.answer.has_finish:
                self.streams[one.history_digests[-1]] = one.number, one.answer.pieces
        for text in one.answer.texts:
            if one.is_truncated:
                self.truncated[text] = one.number
            else:
                # A complete answer with the same text may be sent back.
                self.truncated.pop(text, None)

    def _add_calls(self, one: Observation) -> None:
        by_choice: defaultdict[int, dict[str, ObservedCall]] = defaultdict(dict)
        for call in one.answer.calls:
            if call.id:
                by_choice[call.choice][call.id] = call
        for calls in by_choice.values():
            answered = AnsweredCalls(one.number, calls, is_stream=bool(one.request and one.request.get("stream")))
            for id_ in calls:
                self.id_lengths.add(len(id_))
                self.calls[id_] = None if id_ in self.calls else answered


Detector = Callable[[Observation, Past], Iterator[Finding]]
"""Finds the mistakes of one kind in one exchange, given those before it."""
SessionDetector = Callable[[Sequence[Observation]], Iterator[Finding]]
"""Finds the mistakes of one kind in all exchanges of a session, the oldest first, without reading what is in their bodies."""
