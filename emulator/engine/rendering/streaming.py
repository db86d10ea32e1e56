"""A streamed answer as events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from emulator.engine.reply.parts import Answer, CallPart, Choice, FailPart, MediaPart, Part, RawPart, TextPart
from emulator.engine.timeline.directives import Directive, HiddenText
from emulator.engine.timeline.timeline import Frame
from emulator.wire.dialects import Dialect
from emulator.wire.errors import Refusal
from emulator.wire.json_text import dump, parse_or_text
from emulator.wire.responses import (
    Identity,
    chunk_template,
    delta,
    last_chunk_template,
    media,
    text_template,
    tool_call,
    usage_chunk,
    write,
)
from emulator.wire.sse import DONE


def fragment(arguments: str) -> tuple[str, ...]:
    """The pieces of the arguments' JSON text, which joined are compact JSON of the same value."""
    value: Any = parse_or_text(arguments)
    if not isinstance(value, dict):
        return (arguments,)
    if not value:
        return ("{}",)
    pieces: list[str] = []
    lead = "{"
    for key, one in value.items():
        text = f"{lead}{dump(key).decode()}:{dump(one).decode()}"
        lead = ","
        if isinstance(one, str):
            pieces += [text[:-1], text[-1]]
        else:
            pieces.append(text)
    return (*pieces, "}")


def announce_index(position: int, count: int) -> int:
    """The index in the chunk that announces a call: that of the other call of its pair.

    Documented (seed) for two calls: the first is announced with 1, the second with 0, their fragments have 0 and 1. Assumed
    for one call (its own index) and for more (pairs swap, an odd one keeps its own).
    """
    other = position ^ 1
    return other if other < count else position


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """How the client wants its answer."""

    include_thoughts: bool = False
    thought_tag_marker: str | None = None
    stream_arguments: bool = False
    refuses: bool = False
    """Whether a filter is on that puts what is said into `refusal`."""

    def shows(self, part: TextPart) -> bool:
        """Whether a text is seen: thoughts only if asked for (documented)."""
        return self.include_thoughts or not part.is_thought

    def key(self, part: TextPart, finish_reason: str) -> str:
        """Where a text stands: `content`, `thought` or `refusal`."""
        if part.is_thought:
            return "thought"
        return "refusal" if self.refuses and finish_reason == "content_filter" else "content"

    def mark(self, part: TextPart) -> tuple[str, ...]:
        """The pieces of a text, a thought wrapped in the marker's tags, if there is one (documented).

        Assumed: one pair of tags for each thought, however many chunks it has.
        """
        if not part.is_thought or self.thought_tag_marker is None:
            return part.pieces
        tag = self.thought_tag_marker
        first, *rest = part.pieces
        return (*([f"<{tag}>{first}", *rest[:-1], f"{rest[-1]}</{tag}>"] if rest else [f"<{tag}>{first}</{tag}>"]),)


_DONE = Frame(DONE)
_MEDIA_WEIGHT = 4_000
"""Bytes of text that take about as long as a picture."""

Calls = list[dict[str, Any]]
"""The tool calls of one chunk."""


@dataclass(frozen=True, slots=True)
class _Delta:
    """The delta of one chunk, and how much it says."""

    data: bytes
    weight: int = 0


def stream_events(
    answer: Answer, identity: Identity, manner: RenderOptions, dialect: Dialect, *, wants_usage: bool
) -> list[Frame | Directive]:
    """The events of a stream, choice after choice, and the cues between them; `usage` is on the last chunk (documented), `[DONE]` ends it.

    A failure ends the stream with the bare error object, without `data:` and without `[DONE]` (observed). `wants_usage` matters only
    to dialects that give usage on demand.
    """
    events: list[Frame | Directive] = []
    last_choice = len(answer.choices) - 1
    for index, choice in enumerate(answer.choices):
        written = list(_written(choice, manner, dialect))
        last_delta = max((at for at, one in enumerate(written) if isinstance(one, _Delta)), default=-1)
        going = None
        for at, one in enumerate(written):
            match one:
                case _Delta() if at == last_delta and not choice.fails:
                    usage = answer.usage if index == last_choice else None
                    last = last_chunk_template(index, choice.finish_reason, identity, usage, dialect)
                    events.append(Frame(last.fill(one.data), one.weight))
                case _Delta():
                    going = going or chunk_template(index, identity, dialect)
                    events.append(Frame(going.fill(one.data), one.weight))
                case RawPart():
                    events.append(Frame(one.written, len(one.written)))
                case FailPart():
                    events.append(error_frame(one.refusal))
                    return events
                case Directive():
                    events.append(one)
    # A choice whose thoughts are kept from the client may have nothing left.
    if not answer.is_raw or not any(choice.parts for choice in answer.choices):
        if dialect.usage_on_demand and wants_usage:
            events.append(Frame(usage_chunk(identity, answer.usage, dialect)))
        events.append(_DONE)
    return events


def error_frame(refusal: Refusal) -> Frame:
    """An error inside a stream: the bare object, without `data:` (observed)."""
    return Frame(f"{refusal.to_text()}\n".encode("utf-8", "replace"))


def _written(
    choice: Choice, manner: RenderOptions, dialect: Dialect
) -> Iterator[_Delta | RawPart | FailPart | Directive]:
    """What is written one after the other, with the chunks of their own that a dialect has before and after all deltas."""
    inside = list(_inside(choice, manner, dialect))
    said = [one for one in inside if not isinstance(one, Directive)]
    speaks = not said or any(isinstance(one, _Delta) for one in said)
    if speaks and dialect.opening is not None:
        yield _Delta(write(dialect.opening, dialect))
    yield from inside
    # Observed: whole calls come in one chunk, then the stream finishes. Fragments finish with their last (documented).
    last = next((part for part in reversed(choice.parts) if not isinstance(part, Directive)), None)
    calls_last = bool(said) and isinstance(last, CallPart) and not manner.stream_arguments
    if speaks and (dialect.ending is not None or calls_last or not said):
        yield _Delta(write(dialect.delta if dialect.ending is None else dialect.ending, dialect))


def _inside(
    choice: Choice, manner: RenderOptions, dialect: Dialect
) -> Iterator[_Delta | RawPart | FailPart | Directive]:
    calls = [part for part in choice.parts if isinstance(part, CallPart)]
    for group in _groups(choice.parts):
        match group[0]:
            case TextPart() as text if manner.shows(text):
                form = text_template(manner.key(text, choice.finish_reason), dialect)
                for piece in _encoded(text, manner):
                    yield _Delta(form.fill(piece), len(piece) - 2)
            case TextPart() as text:
                yield HiddenText(len(text.text))
            case MediaPart() as one:
                audio = media(one.data, one.mime_type)
                yield _Delta(delta(dialect=dialect, audio=audio, signature=one.signature), _MEDIA_WEIGHT)
            case CallPart():
                parallel = [part for part in group if isinstance(part, CallPart)]
                for written in _call_deltas(parallel, calls, manner, dialect):
                    weight = sum(len(call["function"]["arguments"]) for call in written)
                    yield _Delta(delta(dialect=dialect, tool_calls=written), max(weight, 1))
            case RawPart() | FailPart() | Directive() as other:
                yield other
            case _:
                pass


def _groups(parts: tuple[Part, ...]) -> Iterator[list[Part]]:
    """Calls that stand together, as they go into one chunk; everything else by itself."""
    group: list[Part] = []
    for part in parts:
        if group and not (isinstance(part, CallPart) and isinstance(group[0], CallPart)):
            yield group
            group = []
        group.append(part)
    if group:
        yield group


def _encoded(part: TextPart, manner: RenderOptions) -> Sequence[bytes]:
    """The pieces of a text as JSON strings, made ahead of time unless they are marked."""
    marked = manner.mark(part)
    return part.encoded if marked is part.pieces else [dump(piece) for piece in marked]


def _call_deltas(
    group: list[CallPart], calls: list[CallPart], manner: RenderOptions, dialect: Dialect
) -> Iterator[Calls]:
    """The calls of one chunk after the other: those without fragments stand together in one (observed)."""
    if manner.stream_arguments:
        for part in group:
            yield from _vertex_fragments(part, calls.index(part), len(calls))
        return
    whole: Calls = []
    for part in group:
        position = calls.index(part)
        if part.pieces is None and not dialect.announces_calls:
            whole.append(
                tool_call(
                    arguments=part.arguments,
                    name=part.name,
                    call_id=part.id,
                    index=position,
                    signature=part.signature,
                )
            )
            continue
        if whole:
            yield whole
            whole = []
        pieces = part.pieces or (part.arguments,)
        yield from _scripted_fragments(part, ("", *pieces) if dialect.announces_calls else pieces, position)
    if whole:
        yield whole


def _scripted_fragments(part: CallPart, pieces: tuple[str, ...], position: int) -> Iterator[Calls]:
    """Pieces without the flag: the call is named once and keeps its index (assumed)."""
    for at, piece in enumerate(pieces):
        first = at == 0
        call = tool_call(
            arguments=piece,
            name=part.name if first else None,
            call_id=part.id if first else None,
            index=position,
            signature=part.signature if first else None,
        )
        yield [call]


def _vertex_fragments(part: CallPart, position: int, count: int) -> Iterator[Calls]:
    """An announcement with the other call's index, then pieces that repeat id, name and type (documented: seed)."""
    announce = tool_call(
        arguments="",
        name=part.name,
        call_id=part.id,
        index=announce_index(position, count),
        signature=part.signature,
    )
    yield [announce]
    for piece in part.pieces or fragment(part.arguments):
        yield [tool_call(arguments=piece, name=part.name, call_id=part.id, index=position)]
