"""Garbling: the answer comes, but not as it should. Each kind is a function from timeline to timeline."""

from collections.abc import Callable

from emulator.catalogue.faults import GarbleName
from emulator.engine.faults.spots import NoSpotError, middle_chunk
from emulator.engine.timeline import Frame, Timeline
from emulator.wire.json_text import dump, parse_or_text
from emulator.wire.sse import DONE, event

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
