"""`POST /responses`: request body, response object and the events of its stream.

Documented: the keys of the object down to `previous_response_id`, those of a message and of usage but `total_tokens`' arithmetic,
and the event `response.output_text.delta`. Assumed, as OpenAI's clients expect it: the other keys and events. Keys are
alphabetical at every level. There is no `[DONE]` (assumed): `response.completed` is the end.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from emulator.wire.json_text import dump
from emulator.wire.requests import REQUEST_CONFIG, ChatRequest, ListOf, Object, Whole, fields_for_chat
from emulator.wire.responses import Identity
from emulator.wire.usage import Usage

_Number = Annotated[float, Field(allow_inf_nan=False)]


class InputPart(TypedDict, total=False):
    """A part of an item's content: `input_text`, `output_text`, `input_image`."""

    type: str
    text: str | None
    image_url: str | None


class InputItem(TypedDict, total=False):
    """One item of a conversation: a message, or a function's call or output."""

    type: str | None
    role: str
    content: str | ListOf[InputPart] | None
    call_id: str
    name: str
    arguments: str | None
    output: str | ListOf[InputPart] | Object | None
    """An object only for items that the service alone can read."""


class ResponsesTool(TypedDict, total=False):
    """A declared function, or a built-in tool of the service, which has other fields."""

    type: str | None
    name: str
    description: str | None
    parameters: Any


class TextFormat(TypedDict, total=False):
    """The format of the answer's text: `text`, `json_object`, or `json_schema` with a name and a schema."""

    type: str | None
    name: str | None
    schema: Any
    strict: Any


class TextOptions(TypedDict, total=False):
    """The options of the answer's text."""

    format: TextFormat | None


@with_config(REQUEST_CONFIG)
class ResponsesRequest(TypedDict, total=False):
    """The body of a request; unknown keys are kept and change nothing."""

    model: str | None
    input: str | ListOf[InputItem] | None
    instructions: str | None
    stream: bool | None
    max_output_tokens: Whole | None
    temperature: _Number | None
    top_p: _Number | None
    tools: ListOf[ResponsesTool] | None
    tool_choice: str | Object | None
    text: TextOptions | None
    reasoning: Object | None
    metadata: Object | None
    parallel_tool_calls: bool | None
    previous_response_id: str | None
    store: bool | None


RESPONSES_REQUEST = TypeAdapter(ResponsesRequest)
_FIELDS = frozenset(ResponsesRequest.__annotations__)


def response_to_chat(request: ResponsesRequest) -> ChatRequest:
    """The equivalent chat request. Built-in tools of the service are left out, and so are items that only the service can read."""
    messages: list[Object] = []
    if request.get("instructions"):
        messages.append({"role": "system", "content": request["instructions"]})
    given = request.get("input")
    if isinstance(given, str):
        messages.append({"role": "user", "content": given})
    for item in given if isinstance(given, list) else ():
        _add_item(item, messages)
    tools = [
        {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}
        for tool in request.get("tools") or ()
        if tool.get("type") == "function"
    ]
    chat: Object = {**fields_for_chat(request, _FIELDS), "messages": messages, "tools": tools or None}
    if request.get("max_output_tokens") is not None:
        chat["max_tokens"] = request["max_output_tokens"]
    response_format = _response_format((request.get("text") or {}).get("format"))
    if response_format is not None:
        chat["response_format"] = response_format
    return chat  # type: ignore[return-value]  # made of what ChatRequest declares, and of keys it does not know


def _add_item(item: InputItem, messages: list[Object]) -> None:
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
            pass  # Thoughts and references, which no condition matches.


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


def _response_format(given: TextFormat | None) -> Object | None:
    match given:
        case {"type": "json_object"}:
            return {"type": "json_object"}
        case {"type": "json_schema", **schema}:
            return {"type": "json_schema", "json_schema": schema}
    return None


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a response so far."""

    fingerprint: str
    output: list[Object]
    usage: Usage | None = None
    """None until it has ended."""
    cut_by: str | None = None
    """Why it is incomplete, if it is."""

    @property
    def status(self) -> str:
        """The `status` of the response object."""
        return "in_progress" if self.usage is None else "incomplete" if self.cut_by else "completed"


def response_object(request: ResponsesRequest, identity: Identity, progress: Progress) -> Object:
    """The response object, which repeats the parameters of the request."""
    has_ended = progress.usage is not None
    reasoning = request.get("reasoning") or {}
    return {
        "background": False,
        "completed_at": identity.created if has_ended else None,
        "created_at": identity.created,
        "error": None,
        "frequency_penalty": request.get("frequency_penalty", 0),
        "id": identity.id,
        "incomplete_details": {"reason": progress.cut_by} if progress.cut_by else None,
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "max_tool_calls": request.get("max_tool_calls"),
        "metadata": dict(
            sorted({**(request.get("metadata") or {}), "system_fingerprint": progress.fingerprint}.items())
        ),
        "model": identity.model,
        "object": "response",
        "output": progress.output,
        "parallel_tool_calls": request.get("parallel_tool_calls", True),
        "presence_penalty": request.get("presence_penalty", 0),
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "service_tier": "default",
        "status": progress.status,
        "store": False,
        "temperature": request.get("temperature"),
        "text": request.get("text") or {"format": {"type": "text"}},
        "tool_choice": request.get("tool_choice") or "auto",
        "tools": request.get("tools") or [],
        "top_logprobs": request.get("top_logprobs", 0),
        "top_p": request.get("top_p"),
        "truncation": "disabled",
        "usage": None if progress.usage is None else response_usage(progress.usage),
        "user": request.get("user"),
    }


def response_usage(usage: Usage) -> Object:
    """The `usage` object. Output includes reasoning (observed: answers of xAI's own service), so the total is input and output."""
    return {
        "extra_properties": {"google": {"traffic_type": usage.traffic}},
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "num_server_side_tools_used": 0,
        "num_sources_used": 0,
        "output_tokens": usage.completion + usage.reasoning,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.sum,
    }


def text_part(text: str) -> Object:
    """A text part of a message."""
    return {"annotations": [], "logprobs": [], "text": text, "type": "output_text"}


def message_item(item_id: str, text: str | None, status: str = "completed") -> Object:
    """A message item; without text it has just begun."""
    content = [] if text is None else [text_part(text)]
    return {"content": content, "id": item_id, "role": "assistant", "status": status, "type": "message"}


def call_item(item_id: str, call_id: str, name: str, arguments: str, status: str = "completed") -> Object:
    """A function call item."""
    return {
        "arguments": arguments,
        "call_id": call_id,
        "id": item_id,
        "name": name,
        "status": status,
        "type": "function_call",
    }


def response_event(kind: str, number: int, **more: Any) -> bytes:
    """One event of a stream; its name is in the `event` line and in `type`."""
    data = dump(dict(sorted({**more, "sequence_number": number, "type": kind}.items())))
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)
