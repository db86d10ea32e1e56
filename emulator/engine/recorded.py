"""Recorded answers: timelines that are played as they are, instead of being composed and rendered."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from emulator.engine.timeline.timeline import Frame, Timeline
from emulator.wire.errors import Refusal
from emulator.wire.usage import Usage

Repeats = Literal["last", "loop", "never"]
"""What answers a request that is sent more often than it was recorded."""
_BLANK = b"\n\n"
"""What ends an event of a stream."""


class RawRequest(NamedTuple):
    """A request as it arrived, whatever it is."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, without credentials."""
    body: bytes


@dataclass(frozen=True, slots=True)
class RecordedReply:
    """A recorded answer."""

    timeline: Timeline
    usage: Usage | None = None
    refusal: Refusal | None = None
    """The error that it is."""
    said: str = ""
    """The beginning of its text, or of its error."""
    number: int = 0
    """The exchange's number in its recording."""
    waits_unscaled: bool = False
    """Whether its end keeps its time however fast it is played, because the client left by itself."""

    def quicken(self, timeline: Timeline, factor: float) -> Timeline:
        """The timeline played faster by a factor."""
        quick = timeline.quicken(factor)
        return quick._replace(end_at=self.timeline.end_at) if self.waits_unscaled else quick

    def by_events(self) -> Timeline:
        """The timeline with one frame for each event of a stream, as pace, quirks and faults expect it."""
        timeline = self.timeline
        if not timeline.is_stream:
            frames: tuple[Frame, ...] = (
                (Frame(timeline.body, timeline.size, timeline.frames[-1].at),) if timeline.size else ()
            )
        else:
            frames = tuple(_divide(timeline))
        return timeline._replace(frames=frames)


def _divide(timeline: Timeline) -> Iterator[Frame]:
    """The events of a stream, each at the time at which its last byte came."""
    buffer = b""
    at = 0.0
    for data, _, at in timeline.frames:
        *events, buffer = (buffer + data).split(_BLANK)
        for one in events:
            yield Frame(one + _BLANK, _weigh(one), at)
    if buffer:
        yield Frame(buffer, _weigh(buffer), at)


def _weigh(event: bytes) -> int:
    """The bytes of text in an event."""
    try:
        value = json.loads(event.removeprefix(b"data: "))
    except ValueError:
        return 0
    return _weigh_texts(value.get("choices")) if isinstance(value, dict) else 0


def _weigh_texts(value: Any) -> int:
    match value:
        case list():
            return sum(map(_weigh_texts, value))
        case dict():
            texts = (value.get(key) for key in ("content", "arguments", "name", "text"))
            own = sum(len(text.encode("utf-8", "replace")) for text in texts if isinstance(text, str))
            return own + sum(_weigh_texts(one) for one in value.values())
        case _:
            return 0
