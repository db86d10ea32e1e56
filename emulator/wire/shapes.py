"""The shape of a request body: what is read of it, with its types. Every key is optional and unknown keys are kept.

Statuses: all keys are documented unless a line says otherwise. Whether a value makes sense is for `engine.vetting`; only its
JSON type is checked here.
"""

from typing import Annotated, Any, TypedDict

from emulator.validation.annotations import field

_Number = Annotated[float, field(allow_inf_nan=False)]
Object = dict[str, Any]


class ExtraContent(TypedDict, total=False):
    """`extra_content` of a message, a part or a tool call."""

    google: Object | None
    """`thought`, `thought_signature`, `parts`."""


class ImageUrl(TypedDict, total=False):
    """The object form of `image_url`, as SDKs send it."""

    url: str
    detail: str | None


class InputAudio(TypedDict, total=False):
    """`input_audio`; the data may be a URI, base64 or a data URL, and the format any MIME type."""

    data: str
    format: str | None


class Part(TypedDict, total=False):
    """One part of a message's content."""

    type: str
    text: str | None
    image_url: str | ImageUrl | None
    input_audio: InputAudio | None
    extra_content: ExtraContent | None


class FunctionCall(TypedDict, total=False):
    """The function of a tool call in the history."""

    name: str
    arguments: str | None


class ToolCall(TypedDict, total=False):
    """A tool call in the history."""

    id: str | None
    type: str | None
    function: FunctionCall
    extra_content: ExtraContent | None


class Message(TypedDict, total=False):
    """One message; an assistant's content may be a string, null or absent (documented: seed)."""

    role: str
    content: str | list[Part] | None
    name: str | None
    tool_calls: list[ToolCall] | None
    tool_call_id: str | None
    function_call: FunctionCall | None
    extra_content: ExtraContent | None


class Function(TypedDict, total=False):
    """A declared function."""

    name: str
    description: str | None
    parameters: Any


class Tool(TypedDict, total=False):
    """A declared tool."""

    type: str | None
    function: Function | None


class StreamOptions(TypedDict, total=False):
    """Accepted without effect (assumed)."""

    include_usage: bool | None


class ExtraBody(TypedDict, total=False):
    """`extra_body`, literally in the JSON."""

    google: Object | None


class ChatRequest(TypedDict, total=False):
    """The body of a chat-completions request."""

    model: str | None
    messages: list[Message] | None
    stream: bool | None
    stream_options: StreamOptions | None
    max_tokens: int | None
    max_completion_tokens: int | None
    temperature: _Number | None
    top_p: _Number | None
    frequency_penalty: _Number | None
    presence_penalty: _Number | None
    stop: str | list[str] | None
    seed: int | None
    n: int | None
    modalities: list[str] | None
    reasoning_effort: str | None
    response_format: Object | None
    tools: list[Tool] | None
    tool_choice: str | Object | None
    functions: list[Function] | None
    function_call: str | Object | None
    web_search_options: Object | None
    extra_body: ExtraBody | None
    google: Object | None
    """Alias of `extra_body.google` (assumed; observed to be sent)."""


UNKNOWN_EFFECT = frozenset({"stream_options"})
"""Known keys that change nothing."""
