"""Quirks of plain bodies and of chunks alike: functions that edit their JSON in place."""

import re
from typing import Any

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
