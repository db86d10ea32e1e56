"""The parts of an answer: plain values between the steps of a rule and the bytes on the wire."""

from dataclasses import dataclass

from emulator.engine.timeline.directives import Directive, Fault
from emulator.wire.errors import Refusal
from emulator.wire.headers import Headers
from emulator.wire.json_text import dump
from emulator.wire.usage import Usage

MAX_PREVIEW = 1000
"""Characters of a request and of an answer that are kept beside them: what people are shown, and enough more to know secrets by."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """Visible text, or a thought, in the pieces in which it is streamed, and each piece encoded as a JSON string."""

    text: str
    pieces: tuple[str, ...]
    encoded: tuple[bytes, ...]
    is_thought: bool


def make_text(pieces: tuple[str, ...], *, is_thought: bool = False) -> TextPart:
    """Make a text part from its pieces."""
    return TextPart("".join(pieces), pieces, tuple(dump(piece) for piece in pieces), is_thought)


@dataclass(frozen=True, slots=True)
class CallPart:
    """A tool call; `pieces` are those of its arguments if the scenario divides them."""

    name: str
    arguments: str
    id: str
    signature: str | None
    pieces: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class MediaPart:
    """A picture or sound as base64."""

    data: str
    mime_type: str
    signature: str | None


@dataclass(frozen=True, slots=True)
class FailPart:
    """A failure: at the start the whole answer, later the end of a stream."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class RawPart:
    """Bytes as the scenario writes them: `body` for a plain answer, `written` for a stream."""

    body: bytes
    written: bytes


Part = TextPart | CallPart | MediaPart | FailPart | RawPart | Directive


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the `n` choices of an answer."""

    parts: tuple[Part, ...]
    finish_reason: str

    @property
    def fails(self) -> bool:
        """Whether a failure ends it."""
        return any(isinstance(part, FailPart) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer before it is rendered, plain or streamed."""

    choices: tuple[Choice, ...]
    usage: Usage
    headers: Headers = ()
    faults: tuple[Fault, ...] = ()
    """Its faults that are not steps."""
    warnings: tuple[str, ...] = ()
    """What of the request it is not held to."""

    @property
    def failure(self) -> Refusal | None:
        """The first failure in it."""
        parts = (part for choice in self.choices for part in choice.parts)
        return next((part.refusal for part in parts if isinstance(part, FailPart)), None)

    @property
    def fails_at_once(self) -> bool:
        """Whether it fails before any content."""
        return isinstance(
            next((part for part in self.choices[0].parts if not isinstance(part, Directive)), None), FailPart
        )

    def preview(self) -> str:
        """The beginning of the first choice: its visible text, then its calls; at most `MAX_PREVIEW` characters."""
        shown, is_after_text = "", True
        for part in self.choices[0].parts:
            match part:
                case TextPart(is_thought=False):
                    text = part.text[:MAX_PREVIEW]
                case CallPart():
                    text = f"{part.name}({part.arguments[:MAX_PREVIEW]})"
                case MediaPart():
                    text = part.mime_type
                case RawPart():
                    text = part.body[:MAX_PREVIEW].decode("utf-8", "replace")
                case _:
                    continue
            # Texts follow each other without a space, as the client gets them.
            is_text = isinstance(part, TextPart)
            shown += text if not shown or (is_text and is_after_text) else f" {text}"
            is_after_text = is_text
            if len(shown) >= MAX_PREVIEW:
                break
        return shown[:MAX_PREVIEW]

    @property
    def has_directives(self) -> bool:
        """Whether its steps say anything about time and faults."""
        return any(isinstance(part, Directive) for choice in self.choices for part in choice.parts)

    @property
    def is_raw(self) -> bool:
        """Whether all its content is bytes that the scenario writes."""
        parts = [part for choice in self.choices for part in choice.parts if not isinstance(part, Directive)]
        return bool(parts) and all(isinstance(part, RawPart) for part in parts)
