"""The timeline: every answer as a head, a short list of timed frames and an end.

A plain reply is a timeline with one frame, a stream is one with many; refusals and misses are timelines too. Pace, quirks and faults are
functions from timeline to timeline. Times are planned: seconds from the moment at which the answer was made.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, overload

from emulator.engine.timeline.directives import Directive
from emulator.wire.errors import Refusal
from emulator.wire.headers import Headers, replace_headers
from emulator.wire.sse import EVENT_STREAM_TYPE

Ending = Literal["complete", "end", "close", "reset", "stall"]
"""How an answer ends: complete; early, with its HTTP framing complete; early, with the connection closed or reset; or never (`stall`)."""


class Frame(NamedTuple):
    """Bytes that are sent together: a whole plain body, or one event of a stream."""

    data: bytes
    weight: int = 0
    """Bytes of the answer's text in it; its share of the answer's tokens is proportional to this."""
    at: float = 0.0
    """When it is sent, in seconds."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A directive between the frames of a stream."""

    index: int
    """The number of frames before it."""
    directive: Directive


class FramesAsOne(Protocol):
    """Frames whose joined bytes are at hand without making them one by one."""

    @property
    def body(self) -> bytes:
        """All their bytes."""
        ...

    @property
    def size(self) -> int:
        """The number of these bytes."""
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
    """An answer as it is sent: status and headers, then the frames in order, then the end."""

    status: int
    headers: Headers
    frames: Frames
    marks: tuple[Mark, ...] = ()
    """The directives that are not carried out yet."""
    head_at: float | None = 0.0
    """When the head is sent; None if it never is."""
    ending: Ending = "complete"
    end_at: float = 0.0
    write_size: int | None = None
    """The number of bytes per write to the socket; None for all that are due."""
    is_stalled: bool = False
    """Whether a fault makes it wait, so that a client is right to leave."""

    @property
    def body(self) -> bytes:
        """All bytes of the body."""
        frames = self.frames
        return b"".join([frame.data for frame in frames]) if isinstance(frames, tuple) else frames.body

    @property
    def size(self) -> int:
        """The number of bytes of the body."""
        frames = self.frames
        return sum([len(frame.data) for frame in frames]) if isinstance(frames, tuple) else frames.size

    @property
    def is_instant(self) -> bool:
        """Whether all of it can be sent at once."""
        return not self.end_at and self.ending == "complete" and self.write_size is None

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream of events."""
        return any(
            name == "content-type" and (value or "").startswith(EVENT_STREAM_TYPE) for name, value in self.headers
        )

    def delay(self, seconds: float, index: int = 0, *, with_head: bool = True) -> "Timeline":
        """The timeline with everything from a frame on delayed."""
        frames = (*self.frames[:index], *(frame._replace(at=frame.at + seconds) for frame in self.frames[index:]))
        head_at = self.head_at + seconds if with_head and self.head_at is not None else self.head_at
        return self._replace(frames=frames, head_at=head_at, end_at=self.end_at + seconds)

    def quicken(self, factor: float) -> "Timeline":
        """The timeline played faster by a factor."""
        if not self.end_at or factor == 1:
            return self
        frames = tuple(frame._replace(at=frame.at / factor) for frame in self.frames)
        head_at = None if self.head_at is None else self.head_at / factor
        return self._replace(frames=frames, head_at=head_at, end_at=self.end_at / factor)


def plain_timeline(status: int, content_type: str, body: bytes, headers: Headers = ()) -> Timeline:
    """An answer with one frame."""
    return Timeline(status, replace_headers((("content-type", content_type),), headers), (Frame(body),))


def stream_timeline(events: Sequence[Frame | Directive], headers: Headers = ()) -> Timeline:
    """A stream of events; the directives between them become marks."""
    head = replace_headers((("content-type", EVENT_STREAM_TYPE),), headers)
    frames: list[Frame] = []
    marks: list[Mark] = []
    for event in events:
        if isinstance(event, Frame):
            frames.append(event)
        else:
            marks.append(Mark(len(frames), event))
    return Timeline(200, head, tuple(frames), tuple(marks))


def refusal_timeline(refusal: Refusal, headers: Headers = ()) -> Timeline:
    """An error answer of the emulated service."""
    status = refusal.http_status or refusal.code
    return plain_timeline(status, refusal.content_type, refusal.body(), replace_headers(headers, refusal.headers))


def error_frame(refusal: Refusal) -> Frame:
    """An error inside a stream: the bare object, without `data:` (observed)."""
    return Frame(f"{refusal.to_text()}\n".encode("utf-8", "replace"))
