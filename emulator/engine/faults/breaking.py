"""Faults that break an answer off, hold it up or put an error into it."""

from typing import Literal

from emulator.engine.faults.spots import NoSpotError, chunks_of
from emulator.engine.streaming import error_frame
from emulator.engine.timeline import Ending, Frame, Timeline, refusal_timeline
from emulator.wire.refusals import Refusal


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
