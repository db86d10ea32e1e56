"""Streaming: the chunks of an answer, in the order in which Vertex sends them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from emulator.catalogue.models import MAX_CHOICES
from emulator.engine.reply.chunking import MAX_CHUNKS, join_adjacent
from emulator.engine.reply.parts import Answer, CallPart, Choice, FailPart, MediaPart, RawPart, TextPart
from emulator.engine.timeline.directives import Directive, HiddenText
from emulator.engine.timeline.timeline import Frame, error_frame
from emulator.wire.dialects import Dialect
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

_DONE = Frame(DONE)
_MEDIA_WEIGHT = 4_000
"""Bytes of text that take about as long as a picture."""


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """How an answer is written for one request."""

    include_thoughts: bool = False
    thought_tag_marker: str | None = None
    stream_arguments: bool = False
    is_filtered: bool = False
    """Whether a filter is on, which puts its text into `refusal`."""

    def shows(self, part: TextPart) -> bool:
        """Whether a text is sent: thoughts only if the client wants them (documented)."""
        return self.include_thoughts or not part.is_thought

    def key(self, part: TextPart, finish_reason: str) -> str:
        """The key of a text: `content`, `thought` or `refusal`."""
        if part.is_thought:
            return "thought"
        return "refusal" if self.is_filtered and finish_reason == "content_filter" else "content"

    def tag(self, part: TextPart) -> tuple[str, ...]:
        """The pieces of a text, a thought wrapped in the marker's tags, if there is one (documented).

        Assumed: one pair of tags for each thought, however many chunks it has.
        """
        if not part.is_thought or self.thought_tag_marker is None:
            return part.pieces
        tag = self.thought_tag_marker
        first, *rest = part.pieces
        return (*([f"<{tag}>{first}", *rest[:-1], f"{rest[-1]}</{tag}>"] if rest else [f"<{tag}>{first}</{tag}>"]),)


@dataclass(frozen=True, slots=True)
class _Delta:
    """The JSON of one chunk's delta, and its weight in bytes of text."""

    data: bytes
    weight: int = 0


def stream_events(
    answer: Answer, identity: Identity, options: RenderOptions, dialect: Dialect, *, wants_usage: bool
) -> list[Frame | Directive]:
    """The events of a stream, choice after choice, with the directives between them; `[DONE]` ends it.

    Usage is on the last chunk (documented); `wants_usage` matters only to dialects that give usage on demand. A failure ends the
    stream with the bare error object, without `data:` and without `[DONE]` (observed).
    """
    events: list[Frame | Directive] = []
    last_choice = len(answer.choices) - 1
    for index, choice in enumerate(answer.choices):
        items = list(_stream_choice(choice, options, dialect))
        last_delta = max((at for at, item in enumerate(items) if isinstance(item, _Delta)), default=-1)
        template = None
        for at, item in enumerate(items):
            match item:
                case _Delta() if at == last_delta and not choice.fails:
                    usage = answer.usage if index == last_choice else None
                    last = last_chunk_template(index, choice.finish_reason, identity, usage, dialect)
                    events.append(Frame(last.fill(item.data), item.weight))
                case _Delta():
                    template = template or chunk_template(index, identity, dialect)
                    events.append(Frame(template.fill(item.data), item.weight))
                case RawPart():
                    events.append(Frame(item.written, len(item.written)))
                case FailPart():
                    events.append(error_frame(item.refusal))
                    return events
                case Directive():
                    events.append(item)
    # A choice whose thoughts are not shown may have no parts left.
    if not answer.is_raw or not any(choice.parts for choice in answer.choices):
        if dialect.usage_on_demand and wants_usage:
            events.append(Frame(usage_chunk(identity, answer.usage, dialect)))
        events.append(_DONE)
    return events


_Item = _Delta | RawPart | FailPart | Directive


def _stream_choice(choice: Choice, options: RenderOptions, dialect: Dialect) -> Iterator[_Item]:
    """What is sent of one choice: its deltas, with the extra ones that a dialect has before and after them."""
    items = list(_stream_parts(choice, options, dialect))
    content = [item for item in items if not isinstance(item, Directive)]
    has_deltas = not content or any(isinstance(item, _Delta) for item in content)
    if has_deltas and dialect.first_delta is not None:
        yield _Delta(write(dialect.first_delta, dialect))
    yield from items
    # Observed: whole calls come in one chunk, then the stream finishes. Fragments finish with their last (documented).
    last = next((part for part in reversed(choice.parts) if not isinstance(part, Directive)), None)
    ends_with_calls = bool(content) and isinstance(last, CallPart) and not options.stream_arguments
    if has_deltas and (dialect.last_delta is not None or ends_with_calls or not content):
        yield _Delta(write(dialect.delta if dialect.last_delta is None else dialect.last_delta, dialect))


def _stream_parts(choice: Choice, options: RenderOptions, dialect: Dialect) -> Iterator[_Item]:
    call_count = sum(isinstance(part, CallPart) for part in choice.parts)
    position = 0
    adjacent: list[CallPart] = []
    for part, following in zip_longest(choice.parts, choice.parts[1:]):
        match part:
            case TextPart() if options.shows(part):
                template = text_template(options.key(part, choice.finish_reason), dialect)
                for piece in _encode_pieces(part, options):
                    yield _Delta(template.fill(piece), len(piece) - 2)
            case TextPart():
                yield HiddenText(len(part.text))
            case MediaPart():
                audio = media(part.data, part.mime_type)
                yield _Delta(delta(dialect=dialect, audio=audio, signature=part.signature), _MEDIA_WEIGHT)
            case CallPart():
                adjacent.append(part)
                if isinstance(following, CallPart):
                    continue
                for calls in _call_deltas(adjacent, position, call_count, options, dialect):
                    weight = sum(len(call["function"]["arguments"]) for call in calls)
                    yield _Delta(delta(dialect=dialect, tool_calls=calls), max(weight, 1))
                position, adjacent = position + len(adjacent), []
            case _:
                yield part


def _encode_pieces(part: TextPart, options: RenderOptions) -> Sequence[bytes]:
    """The pieces of a text as JSON strings; they are encoded already unless tags are added."""
    tagged = options.tag(part)
    return part.encoded if tagged is part.pieces else [dump(piece) for piece in tagged]


def _call_deltas(
    adjacent: list[CallPart], position: int, count: int, options: RenderOptions, dialect: Dialect
) -> Iterator[list[dict[str, Any]]]:
    """The tool calls of one chunk after the other; adjacent calls that are not divided share a chunk (observed).

    `position` is that of the first call in its choice, which has `count` of them.
    """
    whole: list[dict[str, Any]] = []
    for index, part in enumerate(adjacent, start=position):
        if options.stream_arguments:
            # An announcement with the other call's index, then pieces that repeat id, name and type (documented: seed).
            announced = announce_index(index, count)
            yield [tool_call(arguments="", name=part.name, call_id=part.id, index=announced, signature=part.signature)]
            for piece in part.pieces or _fragment_call(part.arguments):
                yield [tool_call(arguments=piece, name=part.name, call_id=part.id, index=index)]
        elif part.pieces is None and not dialect.announces_calls:
            whole.append(
                tool_call(
                    arguments=part.arguments, name=part.name, call_id=part.id, index=index, signature=part.signature
                )
            )
        else:
            if whole:
                yield whole
                whole = []
            # Pieces without the flag: the call is named once and keeps its index (assumed).
            pieces = part.pieces or (part.arguments,)
            first, *rest = ("", *pieces) if dialect.announces_calls else pieces
            yield [tool_call(arguments=first, name=part.name, call_id=part.id, index=index, signature=part.signature)]
            for piece in rest:
                yield [tool_call(arguments=piece, name=None, call_id=None, index=index)]
    if whole:
        yield whole


def _fragment_call(arguments: str) -> tuple[str, ...]:
    """The fragments of the arguments of one of an answer's calls."""
    pieces = fragment(arguments)
    most = MAX_CHUNKS // MAX_CHOICES
    return pieces if len(pieces) <= most else join_adjacent(pieces, -(-len(pieces) // most))


def fragment(arguments: str) -> tuple[str, ...]:
    """Divide the arguments' JSON text into pieces, which joined are compact JSON of the same value."""
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
