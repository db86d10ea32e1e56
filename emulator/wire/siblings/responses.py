"""`POST /responses` (documented for Grok on `v1` and `global`): its request, and the chat request that asks the same."""

from typing import Annotated, Any, TypedDict

from emulator.validation.annotations import field
from emulator.wire.shapes import ChatRequest, Object

_Number = Annotated[float, field(allow_inf_nan=False)]


class InputPart(TypedDict, total=False):
    """A part of an item's content: `input_text`, `output_text`, `input_image`."""

    type: str
    text: str | None
    image_url: str | None


class InputItem(TypedDict, total=False):
    """One item of a conversation: a message, or a function's call or output."""

    type: str | None
    role: str
    content: str | list[InputPart] | None
    call_id: str
    name: str
    arguments: str | None
    output: Any


class ResponsesRequest(TypedDict, total=False):
    """The body of a request; unknown keys are kept and change nothing."""

    model: str | None
    input: str | list[InputItem] | None
    instructions: str | None
    stream: bool | None
    max_output_tokens: int | None
    temperature: _Number | None
    top_p: _Number | None
    tools: list[Object] | None
    tool_choice: str | Object | None
    text: Object | None
    reasoning: Object | None
    metadata: Object | None
    parallel_tool_calls: bool | None
    previous_response_id: str | None
    store: bool | None


def response_to_chat(request: ResponsesRequest) -> ChatRequest:
    """The chat request that asks the same. Built-in tools of the service are left out, and so is what only it can read."""
    messages: list[Object] = []
    if request.get("instructions"):
        messages.append({"role": "system", "content": request["instructions"]})
    given = request.get("input")
    if isinstance(given, str):
        messages.append({"role": "user", "content": given})
    for item in given if isinstance(given, list) else ():
        _add(item, messages)
    tools = [
        {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}
        for tool in request.get("tools") or ()
        if tool.get("type") == "function"
    ]
    chat: Object = {**request, "messages": messages, "tools": tools or None}
    if request.get("max_output_tokens") is not None:
        chat["max_tokens"] = request["max_output_tokens"]
    response_format = _response_format((request.get("text") or {}).get("format"))
    if response_format is not None:
        chat["response_format"] = response_format
    return chat  # type: ignore[return-value]  # made of what ChatRequest declares, and of keys it does not know


def _add(item: InputItem, messages: list[Object]) -> None:
    match item.get("type") or "message":
        case "message":
            messages.append({"role": item.get("role", "user"), "content": _content(item.get("content"))})
        case "function_call":
            function = {"name": item.get("name", ""), "arguments": item.get("arguments") or ""}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            if messages and messages[-1].get("tool_calls"):
                messages[-1]["tool_calls"].append(call)
            else:
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        case "function_call_output":
            output = item.get("output")
            text = output if isinstance(output, str) else _content(output if isinstance(output, list) else None)
            messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": text})
        case _:
            pass  # Thoughts and references, which no rule can ask for.


def _content(content: str | list[InputPart] | None) -> str | list[Object] | None:
    if not isinstance(content, list):
        return content
    parts: list[Object] = []
    for part in content:
        image = part.get("image_url")
        if image is not None:
            parts.append({"type": "image_url", "image_url": {"url": image}})
        else:
            parts.append({"type": "text", "text": part.get("text") or ""})
    return parts


def _response_format(given: Any) -> Object | None:
    if not isinstance(given, dict) or given.get("type") not in {"json_schema", "json_object"}:
        return None
    if given["type"] == "json_object":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {key: value for key, value in given.items() if key != "type"}}
