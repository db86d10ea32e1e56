"""Quirks of plain bodies and of chunks alike: functions that edit their JSON in place."""

import json
import re
from collections.abc import Callable
from typing import Any

from emulator.catalogue.quirks import QuirkName
from emulator.engine.refusals import refuse
from emulator.engine.timeline.timeline import Frame, Timeline
from emulator.wire.json_text import dump
from emulator.wire.sse import event

Body = dict[str, Any]

_CUT = frozenset({"length", "content_filter"})
_CALL_ID = re.compile("function-call-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGITS = 10**19


def calls_of(body: Body) -> list[Body]:
    """The tool calls of a body or chunk."""
    return [call for choice in body["choices"] for call in holder_of(choice).get("tool_calls") or ()]


def holder_of(choice: Body) -> Body:
    """The message of a plain choice, the delta of a chunk's."""
    found: Body = choice.get("message") or choice.get("delta") or {}
    return found


def sort_keys(found: Body) -> None:
    """Put the keys into the order of the alphabet."""
    ordered = dict(sorted(found.items()))
    found.clear()
    found.update(ordered)


def empty_ids(bodies: list[Body]) -> None:
    """`empty_call_ids`."""
    for body in bodies:
        for call in calls_of(body):
            if "id" in call:
                call["id"] = ""


def number_ids(bodies: list[Body]) -> None:
    """`numbered_call_ids`: ids that a scenario writes itself stay."""
    for body in bodies:
        for call in calls_of(body):
            written = call.get("id", "")
            if _CALL_ID.fullmatch(written):
                bits = int(written.removeprefix("function-call-").replace("-", ""), 16)
                call["id"] = f"function-call-{bits % _DIGITS}"


def drop_logprobs(bodies: list[Body]) -> None:
    """`no_logprobs`."""
    for body in bodies:
        body.pop("system_fingerprint", None)
        for choice in body["choices"]:
            choice.pop("logprobs", None)


def drop_content(bodies: list[Body]) -> None:
    """`missing_content`."""
    for body in bodies:
        for choice in body["choices"]:
            if choice.get("finish_reason") in _CUT:
                holder_of(choice).pop("content", None)


def drop_message(bodies: list[Body]) -> None:
    """`missing_message`."""
    for body in bodies:
        for choice in body["choices"]:
            if choice.get("finish_reason") in _CUT:
                choice.pop("message", None)
                choice.pop("delta", None)


def drop_traffic(bodies: list[Body]) -> None:
    """`no_traffic_type`."""
    for body in bodies:
        (body.get("usage") or {}).pop("extra_properties", None)


def count_reasoning_in(bodies: list[Body]) -> None:
    """`reasoning_in_completion`."""
    for body in bodies:
        usage = body.get("usage") or {}
        details = usage.get("completion_tokens_details") or {}
        usage.update({"completion_tokens": usage["completion_tokens"] + details["reasoning_tokens"]} if details else {})


def empty_out(bodies: list[Body], finish_reason: str, *, only_calls: bool) -> None:
    """`empty_stop`, `malformed_function_call`: leave one body, the last, with nothing in its choices."""
    if (
        not bodies
        or "usage" not in bodies[-1]
        or not bodies[-1]["choices"]
        or (only_calls and not any(calls_of(body) for body in bodies))
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
        sort_keys(choice)
    usage = last["usage"]
    usage["total_tokens"] -= usage["completion_tokens"]
    usage["completion_tokens"] = 0
    bodies[:] = [last]


def move_image(bodies: list[Body]) -> None:
    """`image_in_choice`."""
    for body in bodies:
        for at, choice in enumerate(body["choices"]):
            holder = holder_of(choice)
            audio = holder.get("audio")
            if audio and audio["extra_content"]["google"]["mime_type"].startswith("image/"):
                rest = {key: value for key, value in choice.items() if key not in {"message", "delta"}}
                moved = {**rest, "image": audio, "content": holder.get("content"), "role": "assistant"}
                body["choices"][at] = dict(sorted(moved.items()))


def sign_text(last: Body, signature: str) -> None:
    """`text_signatures`."""
    for choice in last["choices"]:
        holder = holder_of(choice)
        if holder.get("tool_calls") or "extra_content" in holder:
            continue
        holder["extra_content"] = {"google": {"thought_signature": signature}}
        sort_keys(holder)


def rename_google(value: Any) -> Any:
    """`vertex_content`."""
    if isinstance(value, list):
        return [rename_google(one) for one in value]
    if not isinstance(value, dict):
        return value
    renamed = {key: rename_google(one) for key, one in value.items()}
    content = renamed.get("extra_content")
    if isinstance(content, dict) and "google" in content:
        renamed["extra_content"] = {"vertex": content["google"]}
    return renamed


# One list serves all levels, because the levels share no keys whose order differs.
_OPENAI = (
    *("index", "id", "object", "created", "model", "role", "content", "type", "function", "name", "arguments"),
    *("tool_calls", "choices", "message", "delta", "logprobs", "finish_reason"),
    *("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"),
)
_LAST = ("usage", "system_fingerprint")
_RANKS = {key: rank for rank, key in enumerate((*_OPENAI, "", *_LAST))}


def order_as_openai(value: Any) -> Any:
    """`openai_key_order`; keys that OpenAI does not have keep their order behind those that it has."""
    if isinstance(value, list):
        return [order_as_openai(one) for one in value]
    if not isinstance(value, dict):
        return value
    keys = sorted(value, key=lambda key: _RANKS.get(key, len(_OPENAI)))
    return {key: order_as_openai(value[key]) for key in keys}


def own_index(chunks: list[Body]) -> None:
    """`announce_index`: every chunk of a call gets the index of its last fragment."""
    own = {call["id"]: call["index"] for chunk in chunks for call in calls_of(chunk) if call.get("id")}
    for chunk in chunks:
        for call in calls_of(chunk):
            call["index"] = own.get(call.get("id", ""), call["index"])


def name_once(chunks: list[Body]) -> None:
    """`name_once`: only the first chunk of a call names it; so that fragments find their call, they keep its own index."""
    own_index(chunks)
    seen: set[str] = set()
    for chunk in chunks:
        for call in calls_of(chunk):
            if call.get("id") in seen:
                del call["id"], call["type"], call["function"]["name"]
            else:
                seen.add(call.get("id", ""))


def role_once(chunks: list[Body]) -> None:
    """`role_once`."""
    seen: set[int] = set()
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice["index"] in seen:
                holder_of(choice).pop("role", None)
            seen.add(choice["index"])


def drop_index(chunks: list[Body]) -> None:
    """`no_call_index`."""
    for chunk in chunks:
        for call in calls_of(chunk):
            call.pop("index", None)


def unescape(chunks: list[Body]) -> None:
    """`raw_newlines`."""
    escapes = {"\\n": "\n", "\\r": "\r", "\\t": "\t", '\\"': '"'}
    for chunk in chunks:
        for call in calls_of(chunk):
            for escaped, raw in escapes.items():
                call["function"]["arguments"] = call["function"]["arguments"].replace(escaped, raw)


def stop_on_calls(chunks: list[Body]) -> None:
    """`stop_on_calls`."""
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice.get("finish_reason") == "tool_calls":
                choice["finish_reason"] = "stop"


def write_null_reason(chunks: list[Body]) -> None:
    """`null_finish_reason`."""
    for chunk in chunks:
        for choice in chunk["choices"]:
            if "finish_reason" not in choice:
                choice["finish_reason"] = None
                sort_keys(choice)


def repeat_usage(chunks: list[Body]) -> None:
    """`usage_on_every_chunk`."""
    usage = chunks[-1].get("usage") if chunks else None
    for chunk in chunks:
        if usage is not None:
            chunk["usage"] = usage


def separate_usage(chunks: list[Body]) -> None:
    """`usage_chunk`: servers that send one anyway are left alone."""
    last = chunks[-1] if chunks else {}
    if last.get("choices") and last.get("usage") is not None:
        chunks.append({**last, "choices": [], "usage": last.pop("usage")})


def cancel(frames: list[Frame], calls: list[list[Body]]) -> list[Frame]:
    """`midstream_cancelled`: where the second call begins, the stream breaks off; `calls` are those of each frame."""
    seen: set[str] = set()
    for at, found in enumerate(calls):
        seen.update(call.get("id", "") for call in found)
        if len(seen) > 1:
            return [*frames[:at], _bare("cancelled", frames[at])]
    return frames


def overload(frames: list[Frame], last: int) -> list[Frame]:
    """`midstream_unavailable`: `last` is the number of the last chunk's frame."""
    return [*frames[:last], _bare("unavailable", frames[last])]


def _bare(name: str, instead: Frame) -> Frame:
    """An error as it is written into a stream (observed: without `data:`), when another frame would have come."""
    return instead._replace(data=f"{refuse(name, {}).to_text()}\n".encode())


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
        sign_text(chunks[-1], signature)
    if "vertex_content" in quirks:
        chunks[:] = [rename_google(chunk) for chunk in chunks]
    if "openai_key_order" in quirks:
        chunks[:] = [order_as_openai(chunk) for chunk in chunks]
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
            calls.append(calls_of(chunk))
    if not is_stream or not chunks:
        return frames
    if "no_final_chunk" in quirks:
        return frames[:last]
    if "midstream_unavailable" in quirks:
        return overload(frames, last)
    return cancel(frames, calls) if "midstream_cancelled" in quirks else frames


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
    "empty_stop": lambda found: empty_out(found, "stop", only_calls=False),
    "malformed_function_call": lambda found: empty_out(
        found, "function_call_filter: MALFORMED_FUNCTION_CALL", only_calls=True
    ),
    "missing_content": drop_content,
    "missing_message": drop_message,
    "image_in_choice": move_image,
    "numbered_call_ids": number_ids,
    "reasoning_in_completion": count_reasoning_in,
    "no_traffic_type": drop_traffic,
}
_PLAIN: dict[QuirkName, Callable[[list[Body]], None]] = {
    **_BOTH,
    "empty_call_ids": empty_ids,
    "no_logprobs": drop_logprobs,
}
# Ids and indices are taken away last: the others tell calls apart by them.
_STREAM: dict[QuirkName, Callable[[list[Body]], None]] = {
    **_BOTH,
    "announce_index": own_index,
    "name_once": name_once,
    "raw_newlines": unescape,
    "stop_on_calls": stop_on_calls,
    "usage_on_every_chunk": repeat_usage,
    "usage_chunk": separate_usage,
    "role_once": role_once,
    "null_finish_reason": write_null_reason,
    "empty_call_ids": empty_ids,
    "no_call_index": drop_index,
    "no_logprobs": drop_logprobs,
}
