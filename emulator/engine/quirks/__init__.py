"""Quirks at work: functions from timeline to timeline, called only when a quirk is on.

Each edits the JSON of a whole plain body or of one chunk, so that rendering knows nothing of them.
"""

import json
import re
from collections.abc import Callable

from emulator.catalogue.quirks import QuirkName
from emulator.engine.quirks import bodies, streams
from emulator.engine.quirks.bodies import Body
from emulator.engine.timeline import Frame, Timeline
from emulator.wire.json_text import dump
from emulator.wire.sse import event

_DATA = b"data: "
_FIRST_ERROR = 400
_DOUBLE_STOP = re.compile(rb"(?<!\.)\.\.(?=[ \"])")


def apply_quirks(timeline: Timeline, quirks: frozenset[QuirkName], signature: str) -> Timeline:
    """The timeline with all quirks at work, in the order of their functions; `signature` is what `text_signatures` sends."""
    if timeline.status >= _FIRST_ERROR:
        return apply_to_refusal(timeline, quirks)
    is_stream = timeline.is_stream
    found = [_read(frame.data) for frame in timeline.frames]
    chunks = [body for body in found if body is not None]
    for name, edit in (_STREAM if is_stream else _PLAIN).items():
        if name in quirks:
            edit(chunks)
    if "text_signatures" in quirks and chunks:
        bodies.sign_text(chunks[-1], signature)
    if "vertex_content" in quirks:
        chunks[:] = [bodies.rename_google(chunk) for chunk in chunks]
    if "openai_key_order" in quirks:
        chunks[:] = [bodies.order_as_openai(chunk) for chunk in chunks]
    return timeline._replace(frames=tuple(_write(timeline, found, chunks, quirks, is_stream=is_stream)))


def apply_to_refusal(timeline: Timeline, quirks: frozenset[QuirkName]) -> Timeline:
    """A refusal with the quirks that change how it is written."""
    body = timeline.body
    if "object_errors" in quirks and body.startswith(b"[{"):
        body = body[1:].rstrip()[:-1].rstrip() + b"\n"
    if "single_full_stops" in quirks:
        body = _DOUBLE_STOP.sub(b".", body)
    return timeline._replace(frames=tuple(frame._replace(data=body) for frame in timeline.frames[:1]))


def _read(data: bytes) -> Body | None:
    """The JSON of a frame, or None for [DONE], for the bare error of a broken stream and for bytes of the scenario's own."""
    try:
        body = json.loads(data.removeprefix(_DATA))
    except ValueError:
        return None
    return body if isinstance(body, dict) and isinstance(body.get("choices"), list) and "created" in body else None


def _write(
    timeline: Timeline, found: list[Body | None], chunks: list[Body], quirks: frozenset[QuirkName], *, is_stream: bool
) -> list[Frame]:
    """The frames with the chunks in the places of the old ones; chunks that are new follow the last."""
    places = [at for at, body in enumerate(found) if body is not None]
    frames: list[Frame] = []
    left = iter(chunks)
    calls: list[list[Body]] = []
    last = 0
    for at, (frame, body) in enumerate(zip(timeline.frames, found, strict=True)):
        if body is None:
            frames.append(_error_frame(frame, quirks) if is_stream else frame)
            calls.append([])
            continue
        for chunk in left if at == places[-1] else [one for one in [next(left, None)] if one is not None]:
            last = len(frames)
            frames.append(frame._replace(data=event(dump(chunk)) if is_stream else dump(chunk)))
            calls.append(bodies.calls_of(chunk))
    if not is_stream or not chunks:
        return frames
    if "no_final_chunk" in quirks:
        return frames[:last]
    if "midstream_unavailable" in quirks:
        return streams.overload(frames, last)
    return streams.cancel(frames, calls) if "midstream_cancelled" in quirks else frames


def _error_frame(frame: Frame, quirks: frozenset[QuirkName]) -> Frame:
    """The error that ends a broken stream; other frames stay as they are."""
    if frame.data.startswith(_DATA):
        return frame
    data = _DOUBLE_STOP.sub(b".", frame.data) if "single_full_stops" in quirks else frame.data
    if "data_errors" not in quirks:
        return frame._replace(data=data)
    try:
        return frame._replace(data=event(dump(json.loads(data))))
    except ValueError:
        return frame


_BOTH: dict[QuirkName, Callable[[list[Body]], None]] = {
    "empty_stop": lambda found: bodies.empty_out(found, "stop", only_calls=False),
    "malformed_function_call": lambda found: bodies.empty_out(
        found, "function_call_filter: MALFORMED_FUNCTION_CALL", only_calls=True
    ),
    "missing_content": bodies.drop_content,
    "missing_message": bodies.drop_message,
    "image_in_choice": bodies.move_image,
    "numbered_call_ids": bodies.number_ids,
    "reasoning_in_completion": bodies.count_reasoning_in,
    "no_traffic_type": bodies.drop_traffic,
}
_PLAIN: dict[QuirkName, Callable[[list[Body]], None]] = {
    **_BOTH,
    "empty_call_ids": bodies.empty_ids,
    "no_logprobs": bodies.drop_logprobs,
}
# Ids and indices are taken away last: the others tell calls apart by them.
_STREAM: dict[QuirkName, Callable[[list[Body]], None]] = {
    **_BOTH,
    "announce_index": streams.own_index,
    "name_once": streams.name_once,
    "raw_newlines": streams.unescape,
    "stop_on_calls": streams.stop_on_calls,
    "usage_on_every_chunk": streams.repeat_usage,
    "usage_chunk": streams.separate_usage,
    "role_once": streams.role_once,
    "null_finish_reason": streams.write_null_reason,
    "empty_call_ids": bodies.empty_ids,
    "no_call_index": streams.drop_index,
    "no_logprobs": bodies.drop_logprobs,
}
