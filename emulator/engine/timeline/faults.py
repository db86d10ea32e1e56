"""Garbling: the answer comes, but not as it should. Each kind is a function from timeline to timeline."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Literal

from emulator.catalogue.errors import find
from emulator.catalogue.faults import FAULTS, GarbleName
from emulator.engine.refusals import refuse, values_for
from emulator.engine.rendering.streaming import error_frame
from emulator.engine.reply.parts import FailPart
from emulator.engine.reply.templates import Context, fill_text, fill_value
from emulator.engine.timeline.directives import Fault
from emulator.engine.timeline.timeline import Ending, Frame, Timeline, refusal_timeline
from emulator.errors import AnswerError
from emulator.scenario.faults import (
    Cut,
    Fail,
    FaultPosition,
    FaultSetting,
    FaultTrigger,
    Garble,
    PlacedCut,
    PlacedFail,
    PlacedStall,
    SmallWrites,
    Stall,
    read_fault,
)
from emulator.wire.errors import Refusal
from emulator.wire.json_text import dump, parse_or_text
from emulator.wire.sse import DONE, event


def happens(odds: FaultTrigger, context: Context, label: str) -> bool:
    """Whether all that is said about when it happens holds; `label` tells this fault from others of the same reply.

    With a seed, chance follows from seed, project, request and use; without one it is new each time.
    """
    request = context.request
    use = request.use
    if odds.first is not None and use > odds.first:
        return False
    if odds.after is not None and use <= odds.after:
        return False
    if odds.every is not None and use % odds.every:
        return False
    if odds.chance is None:
        return True
    labels = ("odds", label, use, request.facts.target.project)
    entropy = "" if request.inputs.seed is not None else request.inputs.entropy.hex()
    return request.rng.random(*labels, entropy).random() < odds.chance


CompiledFault = Callable[[Context], Fault | None]
"""What makes a fault; None where it does not happen this time."""


def compile_faults(written: FaultSetting | None, label: str = "beside") -> tuple[CompiledFault, ...]:
    """The faults that stand beside an answer; `label` tells their odds from those of others."""
    if written is None:
        return ()
    several = written if isinstance(written, list) else [written]
    faults = [read_fault(FAULTS[one].written) if isinstance(one, str) else one for one in several]
    return tuple(compile_fault(fault, f"{label} {number}") for number, fault in enumerate(faults))


def compile_fault(fault: Cut | Stall | Garble | PlacedFail | SmallWrites, label: str) -> CompiledFault:
    """One fault; `label` tells it from others of the same reply."""
    if isinstance(fault, PlacedFail):
        answer = _refusal(fault)
        return lambda context: Fault(fault, answer(context)) if happens(fault, context, label) else None
    ready = Fault(fault)
    return lambda context: ready if happens(fault, context, label) else None


def compile_fault_step(step: Fail | Cut | Stall | Garble, label: str) -> Callable[[Context], FailPart | Fault | None]:
    """A step that is one of these."""
    if not isinstance(step, Fail):
        return compile_fault(step, label)
    answer = _refusal(step)
    return lambda context: FailPart(answer(context)) if happens(step, context, label) else None


def _refusal(fail: Fail) -> Callable[[Context], Refusal]:
    error = find(fail.fail)
    if error is None:
        raise AnswerError(f'the error catalogue has no "{fail.fail}"')
    headers = () if fail.retry_after_s is None else (("retry-after", str(fail.retry_after_s)),)

    def make(context: Context) -> Refusal:
        message = None if fail.message is None else fill_text(fail.message, context)
        values = values_for(context.facts.target, context.facts.model)
        refusal = refuse(error, values, message=message, details=fail.details)
        refusal = replace(refusal, headers=headers, http_status=fail.status)
        if fail.body is None:
            return refusal
        body = fill_value(fail.body, context)
        if isinstance(body, str):
            return replace(
                refusal, message=body, framing="html" if body.lstrip().startswith("<") else "text", flat=None
            )
        return replace(refusal, flat=body, framing="object")

    return make


_EVENTS = (b"data: ", b"event: ")
_FIRST_OF_SEVERAL = 0xC0


class NoSpotError(Exception):
    """An answer has no such place; the text says which."""


def chunks_of(timeline: Timeline) -> list[int]:
    """The indices of the frames that carry a chunk of a stream: all but [DONE] and bare errors."""
    return [
        index for index, frame in enumerate(timeline.frames) if frame.data.startswith(_EVENTS) and frame.data != DONE
    ]


def middle_chunk(timeline: Timeline) -> int:
    """The index of the frame in the middle of what is said. Raises NoSpotError where there is no frame."""
    chunks = chunks_of(timeline) or list(range(len(timeline.frames)))
    if not chunks:
        raise NoSpotError("the answer has no body")
    return chunks[len(chunks) // 2]


def locate(timeline: Timeline, effect: Cut | Stall | PlacedCut | PlacedStall, index: int | None) -> int | None:
    """How many bytes of the body come before the fault; None if not even the head does. Raises NoSpotError.

    `index` is the number of frames before a step that stands in a reply: the first step comes before the head.
    """
    ends = [0, *accumulate(len(frame.data) for frame in timeline.frames)]
    if index is not None and not isinstance(effect, FaultPosition):
        return ends[min(index, len(timeline.frames))] or None
    spot = effect if isinstance(effect, FaultPosition) else FaultPosition()
    if spot.at == "before_headers":
        return None
    if spot.at is not None:
        return _inside(timeline, spot.at, ends)
    if spot.after_bytes is not None:
        return min(spot.after_bytes, ends[-1])
    if spot.fraction is not None:
        return int(ends[-1] * spot.fraction)
    if not timeline.is_stream:
        return ends[-1] // 2
    if spot.after_chunks is None:
        # Something is said before it, wherever there are two chunks.
        return ends[middle_chunk(timeline)]
    return ends[min(spot.after_chunks, len(timeline.frames))]


def _inside(timeline: Timeline, at: str, ends: list[int]) -> int:
    index = middle_chunk(timeline)
    data, start = timeline.frames[index].data, ends[index]
    match at:
        case "inside_frame":
            return start + (len(data.rstrip(b"\n")) if timeline.is_stream else len(data) - 1)
        case "inside_json":
            return start + len(data) // 2
        case _:
            return _inside_character(timeline.body, start)


def _inside_character(body: bytes, start: int) -> int:
    """Behind the first byte of a character that has several: the first one from `start` on, else the last one before it."""
    several = [at for at, byte in enumerate(body) if byte >= _FIRST_OF_SEVERAL]
    if not several:
        raise NoSpotError("the answer has no character of several bytes to be cut in")
    return next((at for at in several if at >= start), several[-1]) + 1


def cut(timeline: Timeline, offset: int | None, how: Ending) -> Timeline:
    """The answer up to so many bytes, then that end; without an offset not even the head is sent."""
    if offset is None:
        at = timeline.head_at or 0.0
        ending: Ending = "close" if how == "end" else how
        return timeline._replace(frames=(), marks=(), head_at=None, ending=ending, end_at=at)
    before, _ = _divide(timeline, offset)
    at = before[-1].at if before else timeline.head_at or 0.0
    return timeline._replace(frames=tuple(before), ending=how, end_at=at)


def stall(timeline: Timeline, offset: int | None, duration: float | Literal["forever"]) -> Timeline:
    """The answer up to so many bytes, then nothing: for ever, or for milliseconds after which the rest follows."""
    if isinstance(duration, str):
        return cut(timeline, offset, "stall")
    seconds = duration / 1000
    if offset is None:
        return timeline.delay(seconds)
    before, after = _divide(timeline, offset)
    return timeline._replace(frames=(*before, *after)).delay(seconds, len(before), with_head=False)


def fail(timeline: Timeline, chunks: int | None, refusal: Refusal | None) -> Timeline:
    """A failure: the bare error behind so many chunks of a stream (observed), else instead of the answer."""
    if refusal is None:
        return timeline
    if chunks is None or not timeline.is_stream:
        return refusal_timeline(refusal).delay(timeline.head_at or 0.0)
    # Behind [DONE] nobody reads on.
    if chunks > len(chunks_of(timeline)):
        raise NoSpotError(f"the stream has no {chunks} chunks to fail behind")
    before = timeline.frames[:chunks]
    at = before[-1].at if before else timeline.head_at or 0.0
    return timeline._replace(frames=(*before, error_frame(refusal)._replace(at=at)), end_at=at)


def _divide(timeline: Timeline, offset: int) -> tuple[list[Frame], list[Frame]]:
    """The frames before and after so many bytes; the frame in which they end is divided."""
    before: list[Frame] = []
    for index, frame in enumerate(timeline.frames):
        if offset <= 0:
            return before, list(timeline.frames[index:])
        if len(frame.data) > offset:
            before.append(frame._replace(data=frame.data[:offset]))
            return before, [frame._replace(data=frame.data[offset:]), *timeline.frames[index + 1 :]]
        before.append(frame)
        offset -= len(frame.data)
    return before, []


_EVENT = b"data: "
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_COMMENT = b": keep-alive\n\n"
_BOM = b"\xef\xbb\xbf"
_EITHER = frozenset({"invalid_json", "truncated_json", "bom", "empty_choices", "wrong_content_type"})
"""What can be wrong with a plain answer too."""

Garbler = Callable[[list[Frame], int], list[Frame]]
"""From the frames, and the index of the one that is meant, to the frames that are sent."""


def garble(timeline: Timeline, name: GarbleName, index: int | None) -> Timeline:
    """The timeline with one thing wrong; `index` is the frame, without it the one in the middle. Raises NoSpotError."""
    if timeline.head_at is None:
        raise NoSpotError("the answer never begins")
    if name == "wrong_content_type":
        others = tuple((key, value) for key, value in timeline.headers if key != "content-type")
        return timeline._replace(headers=(("content-type", "text/html"), *others))
    if not timeline.is_stream and name not in _EITHER:
        raise NoSpotError(f'"{name}" happens to streams, and this answer is plain')
    middle = middle_chunk(timeline)
    at = middle if index is None else min(index, len(timeline.frames) - 1)
    frames = list(timeline.frames)
    # [DONE] is no chunk: what should happen to it happens to the last chunk.
    if at and frames[at].data == DONE:
        at -= 1
    return timeline._replace(frames=tuple(_GARBLERS[name](frames, at)))


def _change(frames: list[Frame], at: int, data: bytes) -> list[Frame]:
    return [*frames[:at], frames[at]._replace(data=data), *frames[at + 1 :]]


def _insert(frames: list[Frame], at: int, data: bytes) -> list[Frame]:
    return [*frames[:at], Frame(data, at=frames[at].at), *frames[at:]]


def _spoil(frames: list[Frame], at: int) -> list[Frame]:
    """The JSON of a frame loses its first brace."""
    data = frames[at].data
    if b"{" not in data:
        raise NoSpotError("what stands there is no JSON")
    return _change(frames, at, data.replace(b"{", b"", 1))


def _shorten(frames: list[Frame], at: int) -> list[Frame]:
    """The JSON of a frame loses its second half, the frame keeps its end."""
    data = frames[at].data
    kept = data.rstrip(b"\n")
    return _change(frames, at, kept[: len(kept) // 2] + data[len(kept) :])


def _swap(frames: list[Frame], at: int) -> list[Frame]:
    """Two frames change their bytes, not their times."""
    other = at + 1 if at + 1 < len(frames) and frames[at + 1].data != DONE else at - 1
    if other < 0:
        raise NoSpotError("a single chunk cannot change places with another")
    return _change(_change(frames, at, frames[other].data), other, frames[at].data)


def _comment(frames: list[Frame], _at: int) -> list[Frame]:
    return [one for frame in frames for one in (Frame(_COMMENT, at=frame.at), frame)]


def _end_lines_in_crlf(frames: list[Frame], _at: int) -> list[Frame]:
    return [frame._replace(data=frame.data.replace(b"\n", b"\r\n")) for frame in frames]


def _drop_done(frames: list[Frame], _at: int) -> list[Frame]:
    kept = [frame for frame in frames if frame.data != DONE]
    if len(kept) == len(frames):
        raise NoSpotError("the stream has no [DONE]")
    return kept


def _empty_choices(frames: list[Frame], at: int) -> list[Frame]:
    """A chunk without choices before the one that is meant; the plain answer loses its own."""
    data = frames[at].data
    value = parse_or_text(data.removeprefix(_EVENT).decode("utf-8", "replace"))
    if not isinstance(value, dict) or "choices" not in value:
        raise NoSpotError("what stands there is no JSON with choices")
    emptied = {**{key: one for key, one in value.items() if key != "usage"}, "choices": []}
    if data.startswith(_EVENT):
        return _insert(frames, at, event(dump(emptied)))
    return _change(frames, at, dump({**value, "choices": []}))


_GARBLERS: dict[GarbleName, Garbler] = {
    "invalid_json": _spoil,
    "truncated_json": _shorten,
    "duplicate_chunk": lambda frames, at: _insert(frames, at, frames[at].data),
    "reordered_chunks": _swap,
    "unknown_event": lambda frames, at: _insert(frames, at, _PING),
    "comment_lines": _comment,
    "crlf": _end_lines_in_crlf,
    "no_done": _drop_done,
    "bom": lambda frames, _at: _change(frames, 0, _BOM + frames[0].data),
    "empty_choices": _empty_choices,
}


_Placed = tuple[Fault, int | None]
"""A fault, and for a step the number of frames before it."""


def apply_failures(timeline: Timeline, faults: Sequence[Fault]) -> tuple[Timeline, tuple[str, ...]]:
    """The timeline with the failures beside the answer. They are the service's own: quirks shape them, other faults meet them."""
    return _apply_all(timeline, [(fault, None) for fault in faults if isinstance(fault.effect, PlacedFail)])


def apply_faults(timeline: Timeline, faults: Sequence[Fault]) -> tuple[Timeline, tuple[str, ...]]:
    """The timeline with its own faults and the others beside the answer, and a warning for each that finds no place in it."""
    # From the last to the first, so that none moves the place of the next.
    marked = [(mark.cue, mark.index) for mark in reversed(timeline.marks) if isinstance(mark.cue, Fault)]
    beside = [(fault, None) for fault in faults if not isinstance(fault.effect, PlacedFail)]
    return _apply_all(timeline, [*marked, *beside])


def _apply_all(timeline: Timeline, faults: Sequence[_Placed]) -> tuple[Timeline, tuple[str, ...]]:
    warnings: list[str] = []
    for fault, index in faults:
        try:
            timeline = _apply(timeline, fault, index)
        except NoSpotError as error:
            warnings.append(f"fault without effect: {error}")
    return timeline, tuple(warnings)


def _apply(timeline: Timeline, fault: Fault, index: int | None) -> Timeline:
    match fault.effect:
        case Cut(cut=how) as effect:
            return cut(timeline, locate(timeline, effect, index), how)
        case Stall(stall=duration) as effect:
            return stall(timeline, locate(timeline, effect, index), duration)
        case Garble(garble=name) as effect:
            return garble(timeline, name, index if index is not None else getattr(effect, "after_chunks", None))
        case PlacedFail(after_chunks=chunks):
            return fail(timeline, chunks, fault.refusal)
        case SmallWrites(write_size=size):
            return timeline._replace(write_size=size)
