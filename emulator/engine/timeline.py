"""The timeline: an answer, whatever it is, as a head and a short list of events.

A plain reply is a timeline with one frame, a stream one with many; a refusal and a miss are timelines too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from emulator.wire.refusals import Refusal
from emulator.wire.sse import EVENT_STREAM_TYPE

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes of the body that belong together: a whole plain body, or one event of a stream."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Timeline:
    """An answer as it is played: status and headers, then the frames one after the other, then the end."""

    status: int
    headers: Headers
    frames: tuple[Frame, ...]

    @property
    def body(self) -> bytes:
        """All bytes of the body."""
        return b"".join(frame.data for frame in self.frames)


def plain_timeline(status: int, content_type: str, body: bytes, headers: Headers = ()) -> Timeline:
    """An answer in one piece."""
    return Timeline(status, (("content-type", content_type), *headers), (Frame(body),))


def stream_timeline(events: Sequence[bytes], headers: Headers = ()) -> Timeline:
    """A stream of events."""
    return Timeline(200, (("content-type", EVENT_STREAM_TYPE), *headers), tuple(Frame(one) for one in events))


def refusal_timeline(refusal: Refusal, headers: Headers = ()) -> Timeline:
    """An error of the emulated service."""
    return plain_timeline(refusal.code, refusal.content_type, refusal.body(), headers)
