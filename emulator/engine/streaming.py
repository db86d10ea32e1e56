"""A streamed answer as events."""

from collections.abc import Iterator
from dataclasses import dataclass

from emulator.engine.fragments import announce_index, fragment
from emulator.engine.parts import Answer, CallPart, Choice, FailPart, MediaPart, Part, RawPart, TextPart
from emulator.wire.json_text import dump
from emulator.wire.replies import EMPTY_DELTA, Identity, chunk_choice, chunk_event, delta, media, text_delta, tool_call
from emulator.wire.sse import DONE


@dataclass(frozen=True, slots=True)
class Manner:
    """How the client wants its answer."""

    include_thoughts: bool = False
    thought_tag_marker: str | None = None
    stream_arguments: bool = False

    def shows(self, part: TextPart) -> bool:
        """Whether a text is seen: thoughts only if asked for (documented)."""
        return self.include_thoughts or not part.is_thought

    def mark(self, part: TextPart) -> tuple[str, ...]:
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
    """The delta of one chunk."""

    data: bytes


def stream_events(answer: Answer, identity: Identity, manner: Manner) -> list[bytes]:
    """The events of a stream, choice after choice; `usage` is on the last chunk (documented), `[DONE]` ends it.

    A failure ends the stream with the bare error object, without `data:` and without `[DONE]` (observed).
    """
    stamp = identity.stamp()
    events: list[bytes] = []
    last_choice = len(answer.choices) - 1
    for index, choice in enumerate(answer.choices):
        written = list(_written(choice, manner))
        last_delta = max((at for at, one in enumerate(written) if isinstance(one, _Delta)), default=-1)
        for at, one in enumerate(written):
            match one:
                case _Delta():
                    is_last = at == last_delta and not choice.fails
                    finish = choice.finish_reason if is_last else None
                    usage = answer.usage if is_last and index == last_choice else None
                    events.append(chunk_event(chunk_choice(index, one.data, finish), stamp, usage))
                case RawPart():
                    events.append(one.written)
                case FailPart():
                    events.append(f"{one.refusal.to_text()}\n".encode("utf-8", "replace"))
                    return events
    if not answer.is_raw:
        events.append(DONE)
    return events


def _written(choice: Choice, manner: Manner) -> Iterator[_Delta | RawPart | FailPart]:
    calls = [part for part in choice.parts if isinstance(part, CallPart)]
    written = False
    for group in _groups(choice.parts):
        match group[0]:
            case TextPart() as text if manner.shows(text):
                yield from _text_deltas(text, manner)
                written = True
            case MediaPart() as one:
                yield _Delta(delta(audio=media(one.data, one.mime_type), signature=one.signature))
                written = True
            case CallPart():
                parallel = [part for part in group if isinstance(part, CallPart)]
                yield from _call_deltas(parallel, calls, manner)
                written = True
            case RawPart() | FailPart() as other:
                yield other
                written = True
            case _:
                pass
    if not written or (isinstance(choice.parts[-1], CallPart) and not manner.stream_arguments):
        # Observed: whole calls come in one chunk, then the stream finishes. Fragments finish with their last (documented).
        yield _Delta(EMPTY_DELTA)


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


def _text_deltas(part: TextPart, manner: Manner) -> Iterator[_Delta]:
    marked = manner.mark(part)
    encoded = part.encoded if marked is part.pieces else [dump(piece) for piece in marked]
    for piece in encoded:
        yield _Delta(text_delta(piece, thought=part.is_thought))


def _call_deltas(group: list[CallPart], calls: list[CallPart], manner: Manner) -> Iterator[_Delta]:
    """Calls without fragments stand together in one chunk (observed); others come one after the other."""
    if manner.stream_arguments:
        for part in group:
            yield from _vertex_fragments(part, calls.index(part), len(calls))
        return
    whole = []
    for part in group:
        position = calls.index(part)
        if part.pieces is None:
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
            yield _Delta(delta(tool_calls=whole))
            whole = []
        yield from _scripted_fragments(part, position)
    if whole:
        yield _Delta(delta(tool_calls=whole))


def _scripted_fragments(part: CallPart, position: int) -> Iterator[_Delta]:
    """Pieces a scenario gives without the flag: the call is named once and keeps its index (assumed)."""
    for at, piece in enumerate(part.pieces or ()):
        first = at == 0
        call = tool_call(
            arguments=piece,
            name=part.name if first else None,
            call_id=part.id if first else None,
            index=position,
            signature=part.signature if first else None,
        )
        yield _Delta(delta(tool_calls=[call]))


def _vertex_fragments(part: CallPart, position: int, count: int) -> Iterator[_Delta]:
    """An announcement with the other call's index, then pieces that repeat id, name and type (documented: seed)."""
    announce = tool_call(
        arguments="",
        name=part.name,
        call_id=part.id,
        index=announce_index(position, count),
        signature=part.signature,
    )
    yield _Delta(delta(tool_calls=[announce]))
    for piece in part.pieces or fragment(part.arguments):
        call = tool_call(arguments=piece, name=part.name, call_id=part.id, index=position)
        yield _Delta(delta(tool_calls=[call]))
