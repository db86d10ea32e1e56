"""The timeline: an answer, whatever it is, as a head, a short list of timed events and an end.

A plain reply is a timeline with one frame, a stream one with many; a refusal and a miss are timelines too. Pace and faults are functions
from timeline to timeline. Times are planned: seconds from the moment at which the answer was made.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, overload

from emulator.engine.timeline.directives import Directive
from emulator.wire.errors import Refusal
from emulator.wire.headers import Headers
from emulator.wire.sse import EVENT_STREAM_TYPE

Ending = Literal["complete", "end", "close", "reset", "stall"]
"""How an answer ends: complete; too early, with HTTP in order; too early by closing or resetting the connection; or never."""


class Frame(NamedTuple):
    """Bytes of the body that belong together: a whole plain body, or one event of a stream."""

    data: bytes
    weight: int = 0
    """How much of what is said it carries, in bytes of text: what its share of the tokens follows from."""
    at: float = 0.0
    """When it is sent."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A cue that stands between the frames of a stream."""

    index: int
    """How many frames come before it."""
    cue: Directive | None


class FramesAsOne(Protocol):
    """Frames that have been joined already."""

    @property
    def body(self) -> bytes:
        """All their bytes."""
        ...

    @property
    def size(self) -> int:
        """How many these are."""
        ...

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Frame]: ...
    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Frame, ...]: ...
    def __getitem__(self, index: int | slice) -> Frame | tuple[Frame, ...]: ...


Frames = tuple[Frame, ...] | FramesAsOne


class Timeline(NamedTuple):
    """An answer as it is played: status and headers, then the frames one after the other, then the end."""

    status: int
    headers: Headers
    frames: Frames
    marks: tuple[Mark, ...] = ()
    """What is not followed yet."""
    head_at: float | None = 0.0
    """When the head is sent; None if it never is."""
    ending: Ending = "complete"
    end_at: float = 0.0
    write_size: int | None = None
    """The bytes that are written at once; None for as many as are due."""

    @property
    def body(self) -> bytes:
        """All bytes of the body."""
        frames = self.frames
        return b"".join([frame.data for frame in frames]) if isinstance(frames, tuple) else frames.body

    @property
    def size(self) -> int:
        """How many bytes the body has."""
        frames = self.frames
        return sum([len(frame.data) for frame in frames]) if isinstance(frames, tuple) else frames.size

    @property
    def is_instant(self) -> bool:
        """Whether all of it can be sent at once."""
        return not self.end_at and self.ending == "complete" and self.write_size is None

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream of events."""
        return ("content-type", EVENT_STREAM_TYPE) in self.headers

    def delay(self, seconds: float, index: int = 0, *, with_head: bool = True) -> "Timeline":
        """The same, everything from a frame on so much later."""
        frames = (*self.frames[:index], *(frame._replace(at=frame.at + seconds) for frame in self.frames[index:]))
        head_at = self.head_at + seconds if with_head and self.head_at is not None else self.head_at
        return self._replace(frames=frames, head_at=head_at, end_at=self.end_at + seconds)

    def quicken(self, factor: float) -> "Timeline":
        """The same so many times as fast."""
        if not self.end_at or factor == 1:
            return self
        frames = tuple(frame._replace(at=frame.at / factor) for frame in self.frames)
        head_at = None if self.head_at is None else self.head_at / factor
        return self._replace(frames=frames, head_at=head_at, end_at=self.end_at / factor)


def plain_timeline(status: int, content_type: str, body: bytes, headers: Headers = ()) -> Timeline:
    """An answer in one piece."""
    return Timeline(status, (("content-type", content_type), *headers), (Frame(body),))


def stream_timeline(events: Sequence[Frame | Directive], headers: Headers = ()) -> Timeline:
    """A stream of events; the cues between them become marks."""
    head = (("content-type", EVENT_STREAM_TYPE), *headers)
    frames: list[Frame] = []
    marks: list[Mark] = []
    for event in events:
        if isinstance(event, Frame):
            frames.append(event)
        else:
            marks.append(Mark(len(frames), event))
    return Timeline(200, head, tuple(frames), tuple(marks))


def refusal_timeline(refusal: Refusal, headers: Headers = ()) -> Timeline:
    """An error of the emulated service."""
    status = refusal.http_status or refusal.code
    return plain_timeline(status, refusal.content_type, refusal.body(), (*headers, *refusal.headers))
