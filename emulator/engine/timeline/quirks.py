"""Quirks: deviations of the real service and of the Gemini API, as functions that edit the JSON of an answer in place.

Each function has the name of its quirk; `_PLAIN` and `_STREAM` list them in the order in which they are applied. A new quirk needs an
entry in `emulator.catalogue.quirks` and a function here. Quirks that act before an answer is rendered are read there: `EARLY` ones by vetting, `tagged_thoughts` and
`signature_on_every_call` when a reply is composed.
"""

import json
import re
from collections.abc import Callable
from itertools import islice
from typing import Any

from emulator.catalogue.quirks import QuirkName
from emulator.engine.error_answers import refuse
from emulator.engine.timeline.timeline import Frame, Timeline, error_frame
from emulator.wire.json_text import dump
from emulator.wire.sse import event

Body = dict[str, Any]
"""A plain body, or a chunk of a stream."""
Edit = Callable[[list[Body]], None]
"""Edits all chunks of a stream, or the one plain body, in place."""

_DATA = b"data: "
_FIRST_ERROR = 400
_CUT_REASONS = frozenset({"length", "content_filter"})
_GENERATED_CALL_ID = re.compile("function-call-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NINETEEN_DIGITS = 10**19
_DOUBLE_STOP = re.compile(rb"(?<!\.)\.\.(?=[ \"])")


def apply_quirks(timeline: Timeline, quirks: frozenset[QuirkName], signature: str) -> Timeline:
    """The timeline with all quirks applied; `signature` is the one that `text_signatures` sends."""
    if timeline.status >= _FIRST_ERROR:
        return apply_to_refusal(timeline, quirks)
    is_stream = timeline.is_stream
    bodies = [_parse(frame.data) for frame in timeline.frames]
    chunks = [body for body in bodies if body is not None]
    for name, edit in (_STREAM if is_stream else _PLAIN).items():
        if name in quirks:
            edit(chunks)
    if "text_signatures" in quirks and chunks:
        _text_signatures(chunks[-1], signature)
    if "vertex_content" in quirks:
        chunks = [_vertex_content(chunk) for chunk in chunks]
    if "openai_key_order" in quirks:
        chunks = [_openai_key_order(chunk) for chunk in chunks]
    frames, calls, last = _write(timeline, bodies, chunks, quirks)
    if is_stream and chunks:
        frames = _end_early(frames, calls, last, quirks)
    return timeline._replace(frames=tuple(frames))


def apply_to_refusal(timeline: Timeline, quirks: frozenset[QuirkName]) -> Timeline:
    """A refusal with the quirks that change its body."""
    body = timeline.body
    if "object_errors" in quirks and body.startswith(b"[{"):
        body = body[1:].rstrip()[:-1].rstrip() + b"\n"
    if "single_full_stops" in quirks:
        body = _DOUBLE_STOP.sub(b".", body)
    return timeline._replace(frames=tuple(frame._replace(data=body) for frame in timeline.frames[:1]))


def _parse(data: bytes) -> Body | None:
    """The JSON of a frame, or None for [DONE], for the bare error of a broken stream and for bytes that a scenario writes."""
    try:
        body = json.loads(data.removeprefix(_DATA))
    except ValueError:
        return None
    return body if isinstance(body, dict) and isinstance(body.get("choices"), list) and "object" in body else None


def _write(
    timeline: Timeline, bodies: list[Body | None], chunks: list[Body], quirks: frozenset[QuirkName]
) -> tuple[list[Frame], list[list[Body]], int]:
    """The frames with the edited chunks, the tool calls of each frame, and the index of the last chunk's frame.

    Chunks take the places of the bodies that were parsed; additional ones follow the last.
    """
    places = [at for at, body in enumerate(bodies) if body is not None]
    frames: list[Frame] = []
    calls: list[list[Body]] = []
    last = 0
    left = iter(chunks)
    for at, (frame, body) in enumerate(zip(timeline.frames, bodies, strict=True)):
        if body is None:
            frames.append(_edit_error(frame, quirks) if timeline.is_stream else frame)
            calls.append([])
            continue
        for chunk in left if at == places[-1] else islice(left, 1):
            last = len(frames)
            frames.append(frame._replace(data=event(dump(chunk)) if timeline.is_stream else dump(chunk)))
            calls.append(_calls_of(chunk))
    return frames, calls, last


def _edit_error(frame: Frame, quirks: frozenset[QuirkName]) -> Frame:
    """`single_full_stops` and `data_errors` of the error that ends a broken stream; other frames are returned unchanged."""
    if frame.data.startswith(_DATA):
        return frame
    data = _DOUBLE_STOP.sub(b".", frame.data) if "single_full_stops" in quirks else frame.data
    if "data_errors" not in quirks:
        return frame._replace(data=data)
    try:
        return frame._replace(data=event(dump(json.loads(data))))
    except ValueError:
        return frame


def _end_early(frames: list[Frame], calls: list[list[Body]], last: int, quirks: frozenset[QuirkName]) -> list[Frame]:
    """`no_final_chunk`, `midstream_unavailable` and `midstream_cancelled`: the frames before the place where a stream ends early."""
    if "no_final_chunk" in quirks:
        return frames[:last]
    if "midstream_unavailable" in quirks:
        return [*frames[:last], _break_off("unavailable", frames[last])]
    seen: set[str] = set()
    for at, found in enumerate(calls if "midstream_cancelled" in quirks else ()):
        seen.update(call.get("id", "") for call in found)
        if len(seen) > 1:
            return [*frames[:at], _break_off("cancelled", frames[at])]
    return frames


def _break_off(error: str, replaced: Frame) -> Frame:
    """The error that ends a stream, at the time of the frame that it replaces."""
    return replaced._replace(data=error_frame(refuse(error, {})).data)


def _calls_of(body: Body) -> list[Body]:
    return [call for choice in body["choices"] for call in _content_of(choice).get("tool_calls") or ()]


def _content_of(choice: Body) -> Body:
    """The message of a plain choice, or the delta of a chunk's."""
    found: Body = choice.get("message") or choice.get("delta") or {}
    return found


def _sort_keys(found: Body) -> None:
    ordered = dict(sorted(found.items()))
    found.clear()
    found.update(ordered)


def _empty_call_ids(bodies: list[Body]) -> None:
    for body in bodies:
        for call in _calls_of(body):
            if "id" in call:
                call["id"] = ""


def _numbered_call_ids(bodies: list[Body]) -> None:
    """Ids that a scenario writes stay."""
    for body in bodies:
        for call in _calls_of(body):
            call_id = call.get("id", "")
            if _GENERATED_CALL_ID.fullmatch(call_id):
                bits = int(call_id.removeprefix("function-call-").replace("-", ""), 16)
                call["id"] = f"function-call-{bits % _NINETEEN_DIGITS}"


def _no_logprobs(bodies: list[Body]) -> None:
    for body in bodies:
        body.pop("system_fingerprint", None)
        for choice in body["choices"]:
            choice.pop("logprobs", None)


def _missing_content(bodies: list[Body]) -> None:
    for body in bodies:
        for choice in body["choices"]:
            if choice.get("finish_reason") in _CUT_REASONS:
                _content_of(choice).pop("content", None)


def _missing_message(bodies: list[Body]) -> None:
    for body in bodies:
        for choice in body["choices"]:
            if choice.get("finish_reason") in _CUT_REASONS:
                choice.pop("message", None)
                choice.pop("delta", None)


def _no_traffic_type(bodies: list[Body]) -> None:
    for body in bodies:
        (body.get("usage") or {}).pop("extra_properties", None)


def _reasoning_in_completion(bodies: list[Body]) -> None:
    for body in bodies:
        usage = body.get("usage") or {}
        details = usage.get("completion_tokens_details")
        if details:
            usage["completion_tokens"] += details["reasoning_tokens"]


def _empty_stop(bodies: list[Body]) -> None:
    _empty_answer(bodies, "stop", {"content": "", "role": "assistant"})


def _malformed_function_call(bodies: list[Body]) -> None:
    if any(_calls_of(body) for body in bodies):
        _empty_answer(bodies, "function_call_filter: MALFORMED_FUNCTION_CALL", {"role": "assistant"})


def _empty_answer(bodies: list[Body], finish_reason: str, content: Body) -> None:
    """Keep only the last body, with this content in every choice and no completion tokens."""
    if not bodies or "usage" not in bodies[-1] or not bodies[-1]["choices"]:
        return
    last = bodies[-1]
    indices = sorted({choice["index"] for body in bodies for choice in body["choices"]})
    key = "message" if "message" in last["choices"][0] else "delta"
    last["choices"] = [
        {key: content, "finish_reason": finish_reason, "index": index, "logprobs": None} for index in indices
    ]
    for choice in last["choices"]:
        _sort_keys(choice)
    usage = last["usage"]
    usage["total_tokens"] -= usage["completion_tokens"]
    usage["completion_tokens"] = 0
    bodies[:] = [last]


def _image_in_choice(bodies: list[Body]) -> None:
    for body in bodies:
        for at, choice in enumerate(body["choices"]):
            content = _content_of(choice)
            audio = content.get("audio")
            if audio and audio["extra_content"]["google"]["mime_type"].startswith("image/"):
                rest = {key: value for key, value in choice.items() if key not in {"message", "delta"}}
                moved = {**rest, "image": audio, "content": content.get("content"), "role": "assistant"}
                body["choices"][at] = dict(sorted(moved.items()))


def _announce_index(chunks: list[Body]) -> None:
    """Every chunk of a call gets the index of its last fragment."""
    indices = {call["id"]: call["index"] for chunk in chunks for call in _calls_of(chunk) if call.get("id")}
    for chunk in chunks:
        for call in _calls_of(chunk):
            call["index"] = indices.get(call.get("id", ""), call["index"])


def _name_once(chunks: list[Body]) -> None:
    """Implies `announce_index`, so that clients can still tell which call a fragment belongs to."""
    _announce_index(chunks)
    seen: set[str] = set()
    for chunk in chunks:
        for call in _calls_of(chunk):
            if call.get("id") in seen:
                del call["id"], call["type"], call["function"]["name"]
            else:
                seen.add(call.get("id", ""))


def _role_once(chunks: list[Body]) -> None:
    seen: set[int] = set()
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice["index"] in seen:
                _content_of(choice).pop("role", None)
            seen.add(choice["index"])


def _no_call_index(chunks: list[Body]) -> None:
    for chunk in chunks:
        for call in _calls_of(chunk):
            call.pop("index", None)


def _raw_newlines(chunks: list[Body]) -> None:
    escapes = {"\\n": "\n", "\\r": "\r", "\\t": "\t", '\\"': '"'}
    for chunk in chunks:
        for call in _calls_of(chunk):
            for escaped, raw in escapes.items():
                call["function"]["arguments"] = call["function"]["arguments"].replace(escaped, raw)


def _stop_on_calls(chunks: list[Body]) -> None:
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice.get("finish_reason") == "tool_calls":
                choice["finish_reason"] = "stop"


def _null_finish_reason(chunks: list[Body]) -> None:
    for chunk in chunks:
        for choice in chunk["choices"]:
            if "finish_reason" not in choice:
                choice["finish_reason"] = None
                _sort_keys(choice)


def _usage_on_every_chunk(chunks: list[Body]) -> None:
    usage = chunks[-1].get("usage") if chunks else None
    for chunk in chunks:
        if usage is not None:
            chunk["usage"] = usage


def _usage_chunk(chunks: list[Body]) -> None:
    """Servers that send such a chunk anyway are left alone."""
    last = chunks[-1] if chunks else {}
    if last.get("choices") and last.get("usage") is not None:
        chunks.append({**last, "choices": [], "usage": last.pop("usage")})


def _text_signatures(last: Body, signature: str) -> None:
    for choice in last["choices"]:
        content = _content_of(choice)
        if not content.get("tool_calls") and "extra_content" not in content:
            content["extra_content"] = {"google": {"thought_signature": signature}}
            _sort_keys(content)


def _vertex_content(value: Any) -> Any:
    """Rename `extra_content.google` at every level."""
    if isinstance(value, list):
        return [_vertex_content(one) for one in value]
    if not isinstance(value, dict):
        return value
    renamed = {key: _vertex_content(one) for key, one in value.items()}
    content = renamed.get("extra_content")
    if isinstance(content, dict) and "google" in content:
        renamed["extra_content"] = {"vertex": content["google"]}
    return renamed


# One list serves all levels, because the levels share no keys whose order differs.
_OPENAI_KEYS = (
    *("index", "id", "object", "created", "model", "role", "content", "type", "function", "name", "arguments"),
    *("tool_calls", "choices", "message", "delta", "logprobs", "finish_reason"),
    *("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"),
)
_KEY_RANKS = {key: rank for rank, key in enumerate((*_OPENAI_KEYS, "", "usage", "system_fingerprint"))}


def _openai_key_order(value: Any) -> Any:
    """Sort keys as OpenAI does; keys that OpenAI lacks come after them, in the order that they had."""
    if isinstance(value, list):
        return [_openai_key_order(one) for one in value]
    if not isinstance(value, dict):
        return value
    keys = sorted(value, key=lambda key: _KEY_RANKS.get(key, len(_OPENAI_KEYS)))
    return {key: _openai_key_order(value[key]) for key in keys}


_BOTH: dict[QuirkName, Edit] = {
    "empty_stop": _empty_stop,
    "malformed_function_call": _malformed_function_call,
    "missing_content": _missing_content,
    "missing_message": _missing_message,
    "image_in_choice": _image_in_choice,
    "numbered_call_ids": _numbered_call_ids,
    "reasoning_in_completion": _reasoning_in_completion,
    "no_traffic_type": _no_traffic_type,
}
_PLAIN: dict[QuirkName, Edit] = {
    **_BOTH,
    "empty_call_ids": _empty_call_ids,
    "no_logprobs": _no_logprobs,
}
# Ids and indices are removed last: the other quirks tell calls apart by them.
_STREAM: dict[QuirkName, Edit] = {
    **_BOTH,
    "announce_index": _announce_index,
    "name_once": _name_once,
    "raw_newlines": _raw_newlines,
    "stop_on_calls": _stop_on_calls,
    "usage_on_every_chunk": _usage_on_every_chunk,
    "usage_chunk": _usage_chunk,
    "role_once": _role_once,
    "null_finish_reason": _null_finish_reason,
    "empty_call_ids": _empty_call_ids,
    "no_call_index": _no_call_index,
    "no_logprobs": _no_logprobs,
}
