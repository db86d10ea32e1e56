"""Quirks at work: functions from timeline to timeline, called only when a quirk is on.

Each edits the JSON of a whole plain body or of one chunk, so that rendering knows nothing of them.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from emulator.catalogue.quirks import QuirkName
from emulator.engine.timeline import Frame, Timeline
from emulator.wire.json_text import dump
from emulator.wire.sse import EVENT_STREAM_TYPE, event

Body = dict[str, Any]
_DATA = b"data: "
_FIRST_ERROR = 400
_CANCELLED = '{\n  "error": {\n    "code": 499,\n    "message": "The operation was cancelled.",\n    "status": "CANCELLED"\n  }\n}\n'


def apply_quirks(timeline: Timeline, quirks: frozenset[QuirkName], signature: str) -> Timeline:
    """The timeline with all quirks at work, in the order of their functions; `signature` is what `text_signatures` sends."""
    if timeline.status >= _FIRST_ERROR:
        return _as_object(timeline) if "object_errors" in quirks else timeline
    is_stream = dict(timeline.headers).get("content-type") == EVENT_STREAM_TYPE
    bodies = [_read(frame.data) for frame in timeline.frames]
    chunks = [body for body in bodies if body is not None]
    for name, edit in (_STREAM if is_stream else _PLAIN).items():
        if name in quirks:
            edit(chunks)
    if "text_signatures" in quirks and chunks:
        _sign_text(chunks[-1], signature)
    if "vertex_content" in quirks:
        chunks[:] = [_rename(chunk) for chunk in chunks]
    return replace(timeline, frames=tuple(_write(timeline, bodies, chunks, quirks, is_stream=is_stream)))


def _read(data: bytes) -> Body | None:
    """The JSON of a frame, or None for [DONE], for the bare error of a broken stream and for bytes of the scenario's own."""
    try:
        body = json.loads(data.removeprefix(_DATA))
    except ValueError:
        return None
    return body if isinstance(body, dict) and isinstance(body.get("choices"), list) and "created" in body else None


def _write(
    timeline: Timeline, bodies: list[Body | None], chunks: list[Body], quirks: frozenset[QuirkName], *, is_stream: bool
) -> list[Frame]:
    left = iter(chunks)
    frames: list[Frame] = []
    for frame, body in zip(timeline.frames, bodies, strict=True):
        if body is None:
            frames.append(_error_event(frame) if "data_errors" in quirks and is_stream else frame)
            continue
        chunk = next(left, None)
        if chunk is not None:
            frames.append(Frame(event(dump(chunk)) if is_stream else dump(chunk)))
    if is_stream and "no_final_chunk" in quirks:
        data = [at for at, frame in enumerate(frames) if _read(frame.data) is not None]
        return frames[: data[-1]] if data else frames
    if is_stream and "midstream_cancelled" in quirks:
        return _cancel(frames)
    return frames


def _as_object(timeline: Timeline) -> Timeline:
    body = timeline.body
    if not body.startswith(b"[{"):
        return timeline
    return replace(timeline, frames=(Frame(body[1:].rstrip()[:-1].rstrip() + b"\n"),))


def _error_event(frame: Frame) -> Frame:
    if frame.data.startswith(_DATA):
        return frame
    try:
        return Frame(event(dump(json.loads(frame.data))))
    except ValueError:
        return frame


def _cancel(frames: list[Frame]) -> list[Frame]:
    """Where the second call begins, the stream breaks off."""
    seen: set[str] = set()
    for at, frame in enumerate(frames):
        for call in _calls(_read(frame.data) or {"choices": []}):
            seen.add(call.get("id", ""))
        if len(seen) > 1:
            return [*frames[:at], Frame(_CANCELLED.encode())]
    return frames


def _calls(body: Body) -> list[Body]:
    return [call for choice in body["choices"] for call in _holder(choice).get("tool_calls") or ()]


def _holder(choice: Body) -> Body:
    """The message of a plain choice, the delta of a chunk's."""
    found: Body = choice.get("message") or choice.get("delta") or {}
    return found


# Plain bodies and chunks alike.


def _empty_ids(bodies: list[Body]) -> None:
    for body in bodies:
        for call in _calls(body):
            if "id" in call:
                call["id"] = ""


def _no_logprobs(bodies: list[Body]) -> None:
    for body in bodies:
        body.pop("system_fingerprint", None)
        for choice in body["choices"]:
            choice.pop("logprobs", None)


def _missing_content(bodies: list[Body]) -> None:
    for body in bodies:
        for choice in body["choices"]:
            if choice.get("finish_reason") in {"length", "content_filter"}:
                _holder(choice).pop("content", None)


def _empty(bodies: list[Body], finish_reason: str, *, only_calls: bool) -> None:
    """Leave one body, the last, with nothing in its choices."""
    if (
        not bodies
        or "usage" not in bodies[-1]
        or not bodies[-1]["choices"]
        or (only_calls and not any(_calls(body) for body in bodies))
    ):
        return
    last = bodies[-1]
    indices = sorted({choice["index"] for body in bodies for choice in body["choices"]})
    slot = "message" if "message" in last["choices"][0] else "delta"
    empty = {"role": "assistant"} if only_calls else {"content": "", "role": "assistant"}
    last["choices"] = [
        {slot: empty, "finish_reason": finish_reason, "index": index, "logprobs": None} for index in indices
    ]
    for choice in last["choices"]:
        ordered = dict(sorted(choice.items()))
        choice.clear()
        choice.update(ordered)
    usage = last["usage"]
    usage["total_tokens"] -= usage["completion_tokens"]
    usage["completion_tokens"] = 0
    bodies[:] = [last]


def _image_in_choice(bodies: list[Body]) -> None:
    for body in bodies:
        for at, choice in enumerate(body["choices"]):
            holder = _holder(choice)
            audio = holder.get("audio")
            if audio and audio["extra_content"]["google"]["mime_type"].startswith("image/"):
                rest = {key: value for key, value in choice.items() if key not in {"message", "delta"}}
                moved = {**rest, "image": audio, "content": holder.get("content"), "role": "assistant"}
                body["choices"][at] = dict(sorted(moved.items()))


# Chunks only.


def _own_index(chunks: list[Body]) -> None:
    """Every chunk of a call gets the index of its last fragment."""
    own = {call["id"]: call["index"] for chunk in chunks for call in _calls(chunk) if call.get("id")}
    for chunk in chunks:
        for call in _calls(chunk):
            call["index"] = own.get(call.get("id", ""), call["index"])


def _name_once(chunks: list[Body]) -> None:
    """Only the first chunk of a call names it; so that fragments find their call, they keep its own index."""
    _own_index(chunks)
    seen: set[str] = set()
    for chunk in chunks:
        for call in _calls(chunk):
            if call.get("id") in seen:
                del call["id"], call["type"], call["function"]["name"]
            else:
                seen.add(call.get("id", ""))


def _no_call_index(chunks: list[Body]) -> None:
    for chunk in chunks:
        for call in _calls(chunk):
            call.pop("index", None)


def _raw_newlines(chunks: list[Body]) -> None:
    escapes = {"\\n": "\n", "\\r": "\r", "\\t": "\t", '\\"': '"'}
    for chunk in chunks:
        for call in _calls(chunk):
            for escaped, raw in escapes.items():
                call["function"]["arguments"] = call["function"]["arguments"].replace(escaped, raw)


def _stop_on_calls(chunks: list[Body]) -> None:
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice.get("finish_reason") == "tool_calls":
                choice["finish_reason"] = "stop"


def _usage_everywhere(chunks: list[Body]) -> None:
    usage = chunks[-1].get("usage") if chunks else None
    for chunk in chunks:
        if usage is not None:
            chunk["usage"] = usage


_BOTH: dict[QuirkName, Callable[[list[Body]], None]] = {
    "empty_stop": lambda bodies: _empty(bodies, "stop", only_calls=False),
    "malformed_function_call": lambda bodies: _empty(
        bodies, "function_call_filter: MALFORMED_FUNCTION_CALL", only_calls=True
    ),
    "missing_content": _missing_content,
    "image_in_choice": _image_in_choice,
}
_PLAIN: dict[QuirkName, Callable[[list[Body]], None]] = {
    **_BOTH,
    "empty_call_ids": _empty_ids,
    "no_logprobs": _no_logprobs,
}
# Ids and indices are taken away last: the others tell calls apart by them.
_STREAM: dict[QuirkName, Callable[[list[Body]], None]] = {
    **_BOTH,
    "announce_index": _own_index,
    "name_once": _name_once,
    "raw_newlines": _raw_newlines,
    "stop_on_calls": _stop_on_calls,
    "usage_on_every_chunk": _usage_everywhere,
    "empty_call_ids": _empty_ids,
    "no_call_index": _no_call_index,
    "no_logprobs": _no_logprobs,
}


def _sign_text(last: Body, signature: str) -> None:
    for choice in last["choices"]:
        holder = _holder(choice)
        if holder.get("tool_calls") or "extra_content" in holder:
            continue
        signed = {**holder, "extra_content": {"google": {"thought_signature": signature}}}
        holder.clear()
        holder.update(dict(sorted(signed.items())))


def _rename(value: Any) -> Any:
    if isinstance(value, list):
        return [_rename(one) for one in value]
    if not isinstance(value, dict):
        return value
    renamed = {key: _rename(one) for key, one in value.items()}
    content = renamed.get("extra_content")
    if isinstance(content, dict) and "google" in content:
        renamed["extra_content"] = {"vertex": content["google"]}
    return renamed
