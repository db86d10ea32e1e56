"""Faults: what goes wrong with an answer, as functions from timeline to timeline.

An answer is cut off, stalls, fails, or is garbled: sent, but not as it should be. Where a fault occurs is found by `locate`; when it is
triggered is decided in `emulator.engine.reply.fault_triggers`. A new kind of garbling needs a name in `emulator.catalogue.faults` and
a function in `_GARBLERS`; another fault also a model in `emulator.scenario.faults`.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Literal

from emulator.catalogue.faults import GarbleName
from emulator.engine.timeline.directives import Fault
from emulator.engine.timeline.timeline import Ending, Frame, Timeline, error_frame, refusal_timeline
from emulator.scenario.faults import Cut, FaultPosition, Garble, PlacedCut, PlacedFail, PlacedStall, SmallWrites, Stall
from emulator.wire.errors import Refusal
from emulator.wire.json_text import dump, parse_or_text
from emulator.wire.sse import DONE, event

_DATA = b"data: "
_EVENTS = (_DATA, b"event: ")
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_COMMENT = b": keep-alive\n\n"
_BOM = b"\xef\xbb\xbf"
_FIRST_MULTIBYTE = 0xC0
"""The lowest byte that begins a UTF-8 character of several bytes."""


class NoPlaceError(Exception):
    """An answer has no such place; the text says which."""


def apply_failures(timeline: Timeline, faults: Sequence[Fault]) -> tuple[Timeline, tuple[str, ...]]:
    """The timeline with the `fail` faults of its rule, and a warning for each that finds no place.

    They come first: the service itself sends these errors, so quirks and other faults apply to them.
    """
    return _apply_all(timeline, [(fault, None) for fault in faults if isinstance(fault.effect, PlacedFail)])


def apply_faults(timeline: Timeline, faults: Sequence[Fault]) -> tuple[Timeline, tuple[str, ...]]:
    """The timeline with the faults of its steps and the other faults of its rule, and a warning for each that finds no place."""
    # From the last to the first, so that none moves the place of the next.
    steps = [(mark.directive, mark.index) for mark in reversed(timeline.marks) if isinstance(mark.directive, Fault)]
    return _apply_all(
        timeline, [*steps, *((fault, None) for fault in faults if not isinstance(fault.effect, PlacedFail))]
    )


def _apply_all(timeline: Timeline, faults: Sequence[tuple[Fault, int | None]]) -> tuple[Timeline, tuple[str, ...]]:
    """Apply faults in order; those of steps come with the number of frames before them."""
    warnings: list[str] = []
    for fault, index in faults:
        count, chunks = len(timeline.frames), getattr(fault.effect, "after_chunks", None) or 0
        if timeline.is_stream and isinstance(fault.effect, Cut | Stall) and chunks > count:
            warnings.append(
                f"fault behind the whole answer: the stream has {count} chunks, and it was to come behind {chunks}"
            )
        try:
            timeline = _apply(timeline, fault, index)
        except NoPlaceError as error:
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


def locate(timeline: Timeline, effect: Cut | Stall | PlacedCut | PlacedStall, index: int | None) -> int | None:
    """The number of bytes of the body before a fault; None if not even the head is sent. Raises NoPlaceError.

    `index` is the number of frames before a step: the first step comes before the head.
    """
    ends = [0, *accumulate(len(frame.data) for frame in timeline.frames)]
    if index is not None and not isinstance(effect, FaultPosition):
        return ends[min(index, len(timeline.frames))] or None
    place = effect if isinstance(effect, FaultPosition) else FaultPosition()
    if place.at == "before_headers":
        return None
    if place.at is not None:
        return _locate_inside(timeline, place.at, ends)
    if place.after_bytes is not None:
        return min(place.after_bytes, ends[-1])
    if place.fraction is not None:
        return int(ends[-1] * place.fraction)
    if not timeline.is_stream:
        return ends[-1] // 2
    if place.after_chunks is None:
        # A chunk comes before it, if there are two.
        return ends[_middle_chunk(timeline)]
    return ends[min(place.after_chunks, len(timeline.frames))]


def _locate_inside(timeline: Timeline, at: str, ends: list[int]) -> int:
    index = _middle_chunk(timeline)
    data, start = timeline.frames[index].data, ends[index]
    if at == "inside_frame":
        return start + (len(data.rstrip(b"\n")) if timeline.is_stream else len(data) - 1)
    if at == "inside_json":
        return start + len(data) // 2
    # Behind the first byte of the first multi-byte character from the chunk on, else of the last one before it.
    found = [offset for offset, byte in enumerate(timeline.body) if byte >= _FIRST_MULTIBYTE]
    if not found:
        raise NoPlaceError("the answer has no character of several bytes to be cut in")
    return next((offset for offset in found if offset >= start), found[-1]) + 1


def _chunks_of(timeline: Timeline) -> list[int]:
    """The indices of the frames that are chunks of a stream: all but [DONE] and bare errors."""
    return [
        index for index, frame in enumerate(timeline.frames) if frame.data.startswith(_EVENTS) and frame.data != DONE
    ]


def _middle_chunk(timeline: Timeline) -> int:
    """The index of the frame in the middle of the content. Raises NoPlaceError where there is no frame."""
    chunks = _chunks_of(timeline) or list(range(len(timeline.frames)))
    if not chunks:
        raise NoPlaceError("the answer has no body")
    return chunks[len(chunks) // 2]


def cut(timeline: Timeline, offset: int | None, how: Ending) -> Timeline:
    """The first `offset` bytes of an answer, then that end; without an offset not even the head is sent."""
    if offset is None:
        at = timeline.head_at or 0.0
        ending: Ending = "close" if how == "end" else how
        return timeline._replace(frames=(), marks=(), head_at=None, ending=ending, end_at=at)
    before, _ = _split(timeline, offset)
    at = before[-1].at if before else timeline.head_at or 0.0
    return timeline._replace(frames=tuple(before), ending=how, end_at=at)


def stall(timeline: Timeline, offset: int | None, duration: float | Literal["forever"]) -> Timeline:
    """The first `offset` bytes of an answer, then nothing: forever, or for milliseconds until the rest follows."""
    if isinstance(duration, str):
        return cut(timeline, offset, "stall")
    seconds, timeline = duration / 1000, timeline._replace(is_stalled=True)
    if offset is None:
        return timeline.delay(seconds)
    before, after = _split(timeline, offset)
    return timeline._replace(frames=(*before, *after)).delay(seconds, len(before), with_head=False)


def fail(timeline: Timeline, chunks: int | None, refusal: Refusal | None) -> Timeline:
    """An error: as a bare object behind so many chunks of a stream (observed), else instead of the answer."""
    if refusal is None:
        return timeline
    if chunks is None or not timeline.is_stream:
        return refusal_timeline(refusal).delay(timeline.head_at or 0.0)
    # Nobody reads on behind [DONE].
    if chunks > len(_chunks_of(timeline)):
        raise NoPlaceError(f"the stream has no {chunks} chunks to fail behind")
    before = timeline.frames[:chunks]
    at = before[-1].at if before else timeline.head_at or 0.0
    return timeline._replace(frames=(*before, error_frame(refusal)._replace(at=at)), end_at=at)


def _split(timeline: Timeline, offset: int) -> tuple[list[Frame], list[Frame]]:
    """The frames before and after so many bytes; a frame that spans the offset is split."""
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


def garble(timeline: Timeline, name: GarbleName, index: int | None) -> Timeline:
    """The timeline with one defect, in the frame with this index or else the middle chunk. Raises NoPlaceError."""
    if timeline.head_at is None:
        raise NoPlaceError("the answer never begins")
    if name == "wrong_content_type":
        others = tuple((key, value) for key, value in timeline.headers if key != "content-type")
        return timeline._replace(headers=(("content-type", "text/html"), *others))
    if not timeline.is_stream and name not in _FOR_PLAIN:
        raise NoPlaceError(f'"{name}" happens to streams, and this answer is plain')
    middle = _middle_chunk(timeline)
    at = middle if index is None else min(index, len(timeline.frames) - 1)
    frames = list(timeline.frames)
    # [DONE] is no chunk; the last chunk takes its place.
    if at and frames[at].data == DONE:
        at -= 1
    return timeline._replace(frames=tuple(_GARBLERS[name](frames, at)))


def _change(frames: list[Frame], at: int, data: bytes) -> list[Frame]:
    return [*frames[:at], frames[at]._replace(data=data), *frames[at + 1 :]]


def _insert(frames: list[Frame], at: int, data: bytes) -> list[Frame]:
    return [*frames[:at], Frame(data, at=frames[at].at), *frames[at:]]


def _invalid_json(frames: list[Frame], at: int) -> list[Frame]:
    """Remove the first brace of the frame's JSON."""
    data = frames[at].data
    if b"{" not in data:
        raise NoPlaceError("what stands there is no JSON")
    return _change(frames, at, data.replace(b"{", b"", 1))


def _truncated_json(frames: list[Frame], at: int) -> list[Frame]:
    """Remove the second half of the frame's JSON, but keep its line ends."""
    data = frames[at].data
    text = data.rstrip(b"\n")
    return _change(frames, at, text[: len(text) // 2] + data[len(text) :])


def _reordered_chunks(frames: list[Frame], at: int) -> list[Frame]:
    """Swap the bytes of two frames, but not their times."""
    other = at + 1 if at + 1 < len(frames) and frames[at + 1].data != DONE else at - 1
    if other < 0:
        raise NoPlaceError("a single chunk cannot change places with another")
    return _change(_change(frames, at, frames[other].data), other, frames[at].data)


def _comment_lines(frames: list[Frame], _at: int) -> list[Frame]:
    return [one for frame in frames for one in (Frame(_COMMENT, at=frame.at), frame)]


def _crlf(frames: list[Frame], _at: int) -> list[Frame]:
    return [frame._replace(data=frame.data.replace(b"\n", b"\r\n")) for frame in frames]


def _no_done(frames: list[Frame], _at: int) -> list[Frame]:
    kept = [frame for frame in frames if frame.data != DONE]
    if len(kept) == len(frames):
        raise NoPlaceError("the stream has no [DONE]")
    return kept


def _empty_choices(frames: list[Frame], at: int) -> list[Frame]:
    """Insert a chunk without choices before the frame; remove the choices of a plain answer."""
    data = frames[at].data
    value = parse_or_text(data.removeprefix(_DATA).decode("utf-8", "replace"))
    if not isinstance(value, dict) or "choices" not in value:
        raise NoPlaceError("what stands there is no JSON with choices")
    if not data.startswith(_DATA):
        return _change(frames, at, dump({**value, "choices": []}))
    value.pop("usage", None)
    return _insert(frames, at, event(dump({**value, "choices": []})))


_GARBLERS: dict[GarbleName, Callable[[list[Frame], int], list[Frame]]] = {
    "invalid_json": _invalid_json,
    "truncated_json": _truncated_json,
    "duplicate_chunk": lambda frames, at: _insert(frames, at, frames[at].data),
    "reordered_chunks": _reordered_chunks,
    "unknown_event": lambda frames, at: _insert(frames, at, _PING),
    "comment_lines": _comment_lines,
    "crlf": _crlf,
    "no_done": _no_done,
    "bom": lambda frames, _at: _change(frames, 0, _BOM + frames[0].data),
    "empty_choices": _empty_choices,
}
"""Each takes the frames and the index of the one to garble, and returns the frames to send; `wrong_content_type` changes only the head."""
_FOR_PLAIN = frozenset({"invalid_json", "truncated_json", "bom", "empty_choices"})
"""Those that apply to plain answers too."""
