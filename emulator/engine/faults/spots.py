"""Where in an answer a fault happens: from what a scenario says to a number of bytes of the body."""

from itertools import accumulate

from emulator.engine.timeline import Timeline
from emulator.scenario.faults import Cut, PlacedCut, PlacedStall, Spot, Stall
from emulator.wire.sse import DONE

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
    if index is not None and not isinstance(effect, Spot):
        return ends[min(index, len(timeline.frames))] or None
    spot = effect if isinstance(effect, Spot) else Spot()
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
