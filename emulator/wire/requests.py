"""Parsing request bodies: bytes to a `ChatRequest`, or MalformedRequestError with the reason."""

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, with_config
from pydantic_core import SchemaValidator, ValidationError, core_schema, from_json, to_json
from typing_extensions import TypedDict

_Number = Annotated[float, Field(allow_inf_nan=False)]


def _read_whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_read_whole)]
"""A whole number; `1.0` is one, because JSON has one kind of number (assumed)."""
Object = dict[str, Any]
_Item = TypeVar("_Item")
ListOf = Annotated[list[_Item], Field(fail_fast=True)]
"""A list that is read up to its first wrong item: a description of each of a million would take minutes."""

REQUEST_CONFIG = ConfigDict(extra="allow", strict=True, defer_build=True)
"""How request bodies are read: unknown keys are kept and nothing is converted; the validator is built at first use."""


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
    content: str | ListOf[Part] | None
    name: str | None
    tool_calls: ListOf[ToolCall] | None
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


@with_config(REQUEST_CONFIG)
class ChatRequest(TypedDict, total=False):
    """The body of a chat-completions request."""

    model: str | None
    messages: ListOf[Message] | None
    stream: bool | None
    stream_options: StreamOptions | None
    max_tokens: Whole | None
    max_completion_tokens: Whole | None
    temperature: _Number | None
    top_p: _Number | None
    frequency_penalty: _Number | None
    presence_penalty: _Number | None
    stop: str | ListOf[str] | None
    seed: Whole | None
    n: Whole | None
    modalities: ListOf[str] | None
    reasoning_effort: str | None
    response_format: Object | None
    tools: ListOf[Tool] | None
    tool_choice: str | Object | None
    functions: ListOf[Function] | None
    function_call: str | Object | None
    web_search_options: Object | None
    extra_body: ExtraBody | None
    google: Object | None
    """Alias of `extra_body.google` (assumed; observed to be sent)."""


CHAT_REQUEST = TypeAdapter(ChatRequest)
_CHAT_FIELDS = frozenset(ChatRequest.__annotations__)
_MESSAGES = TypeAdapter(ListOf[Message], config=REQUEST_CONFIG)

UNKNOWN_EFFECT = frozenset({"stream_options"})
"""Known keys that change nothing."""


def fields_for_chat(request: Mapping[str, Any], declared: AbstractSet[str]) -> Object:
    """The fields of another route's request that its equivalent chat request has: those declared, and those that chat does not know.

    A field of chat requests that the route does not declare means nothing there (assumed), whatever its type.
    """
    return {name: value for name, value in request.items() if name in declared or name not in _CHAT_FIELDS}


PlainMessages = tuple[AbstractSet[str], list[str]]
"""The set of roles, and the text of each message, for messages that contain only `role` and a string `content`."""


def read_plain_messages(messages: Any) -> PlainMessages | None:
    """Read messages that consist only of roles and texts; None for any other content or shape."""
    roles: set[str] = set()
    texts: list[str] = []
    if not isinstance(messages, list):
        return None
    try:
        for message in messages:
            first, _ = message
            # Only in the order of `Message`, so that the keys need no reordering.
            if first != "role":
                return None
            roles.add(message["role"])
            texts.append(message["content"])
        # `join` raises TypeError for anything but strings.
        "".join(roles)
        "".join(texts)
    except (KeyError, TypeError, ValueError):
        return None
    return roles, texts


Shape = TypeVar("Shape")


MAX_VALUES = 300_000
"""Values that a body may have: items of lists, fields of objects, and objects and lists themselves."""
VERY_LARGE_BODY = 2 * MAX_VALUES
"""Bytes of a body that may have more values, and that is read with pauses; a thread does it."""
_COUNTED_BYTES = 1024 * 1024
_ESCAPES = re.compile(rb"\\+[^\\]?")
_CALL = b'"tool_call'
_LONG = 8192
"""Bytes from which a body counts as long, and the bytes at its end that are searched for tool calls."""
_JSON_PLACE = re.compile(r" at line (\d+) column (\d+)$")
_REPAIRED = "dropped the backslashes before line ends: the body as sent is not JSON (use --strict-json to refuse it)"
_TYPE_NAMES = {
    "bool": "a boolean",
    "bool_type": "a boolean",
    "dict_type": "an object",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_from_float": "an integer",
    "int_type": "an integer",
    "list_type": "a list",
    "string_type": "a string",
}


class MalformedRequestError(Exception):
    """The body is not JSON (`is_json` is false) or its JSON does not have the documented shape."""

    def __init__(self, explanation: str, *, is_json: bool, place: str = "", snippet: str = "") -> None:
        self.explanation = explanation
        self.is_json = is_json
        self.place = place
        self.snippet = snippet
        super().__init__(explanation)


class ParsedRequest(NamedTuple):
    """A parsed request body, and warnings about what was repaired."""

    request: ChatRequest
    plain: PlainMessages | None
    """Its messages' roles and texts, if they contain nothing else."""
    warnings: tuple[str, ...] = ()


class SupportsRequest(Protocol):
    """An object with the request without its messages, such as `RequestOptions`."""

    request: ChatRequest


class ParsedOptions:
    """A request without its messages, parsed from JSON."""

    def __init__(self, options: bytes) -> None:
        """Raises ValueError if the JSON does not have the documented shape."""
        self.json = options
        self.request: ChatRequest = CHAT_REQUEST.validator.validate_json(options)


Options = TypeVar("Options", bound=SupportsRequest)


def parse_request(
    body: bytes, find_options: Callable[[bytes], Options], *, strict_json: bool = False
) -> tuple[ParsedRequest, Options]:
    """Parse the body of a chat-completions request. Raises MalformedRequestError.

    `find_options` gets the JSON of the request without its messages; it parses it (`ParsedOptions`) or finds the result in a cache.
    """
    # Long conversations with tool calls need full validation, which is faster from bytes than from Python objects.
    if len(body) < _LONG or _CALL not in body[-_LONG:]:
        try:
            sent = from_json(body, allow_inf_nan=False)
            if isinstance(sent, dict):
                messages = sent.get("messages")
                if messages is not None:
                    # Keeps the key's position.
                    sent["messages"] = None
                options = find_options(to_json(sent, inf_nan_mode="constants"))
                request, plain = options.request.copy(), None
                if messages is not None:
                    plain = read_plain_messages(messages)
                    request["messages"] = messages if plain else _MESSAGES.validator.validate_python(messages)
                return ParsedRequest(request, plain), options
        except ValueError:
            # The full validation below reports what is wrong, or repairs it.
            pass
    request, warnings = parse_shape(CHAT_REQUEST, body, strict_json=strict_json)
    without_messages: dict[str, Any] = {**request, "messages": None} if "messages" in request else {**request}
    return ParsedRequest(request, None, warnings), find_options(to_json(without_messages, inf_nan_mode="constants"))


def read_request(body: bytes) -> ChatRequest:
    """Parse a body to its request. Raises MalformedRequestError."""
    if len(body) > VERY_LARGE_BODY:
        return parse_shape(CHAT_REQUEST, body)[0]
    return parse_request(body, ParsedOptions)[0].request


def parse_shape(shape: TypeAdapter[Shape], body: bytes, *, strict_json: bool = False) -> tuple[Shape, tuple[str, ...]]:
    """Validate a body; backslashes before line ends, as in the documented curl samples, are dropped if that makes it JSON.

    What the real service does with such bodies is unknown (assumed to be lenient, because the samples are documented).
    Raises MalformedRequestError.
    """
    if has_too_many_values(body):
        raise MalformedRequestError(f"the body has more than {MAX_VALUES:,} values", is_json=True)
    found = _validate(shape, body)
    if found is not None:
        return found, ()
    if not strict_json:
        repaired = body.replace(b"\\\r\n", b"\r\n").replace(b"\\\n", b"\n")
        if repaired != body:
            found = _validate(shape, repaired)
            if found is not None:
                return found, (_REPAIRED,)
            body = repaired
    raise _not_json(body)


def _validate(shape: TypeAdapter[Shape], body: bytes) -> Shape | None:
    """Validate a body; None if it is not JSON. Raises MalformedRequestError if its shape is wrong."""
    found: Shape
    try:
        if len(body) > VERY_LARGE_BODY:
            sent = from_json(body, allow_inf_nan=False)
            found = _build_pausing_validator(shape).validate_python(sent)
            return found
        # pydantic accepts them; JSON has neither (RFC 8259), so Google's parser does not either (assumed).
        if b"NaN" in body or b"Infinity" in body:
            from_json(body, allow_inf_nan=False)
        found = shape.validator.validate_json(body)
    except ValidationError as error:
        if error.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid":
            raise _wrong_shape(error) from None
        return None
    except ValueError:
        return None
    return found


@cache
def _build_pausing_validator(shape: TypeAdapter[Any]) -> SchemaValidator:
    """A shape's validator that calls a Python function for each item of its lists, so that other threads get their turns meanwhile."""
    shape.rebuild()

    def rewrite(schema: Any) -> Any:
        if isinstance(schema, list | tuple):
            return type(schema)(map(rewrite, schema))
        if not isinstance(schema, dict):
            return schema
        found = {name: rewrite(one) for name, one in schema.items()}
        if found.get("type") == "list" and "items_schema" in found:
            found["items_schema"] = core_schema.no_info_before_validator_function(_pause, found["items_schema"])
        return found

    return SchemaValidator(rewrite(shape.core_schema))


def _pause(value: Any) -> Any:
    return value


def has_too_many_values(body: bytes) -> bool:
    """Whether a body has more values than one may have."""
    return len(body) > VERY_LARGE_BODY and count_values(body) > MAX_VALUES


def count_values(body: bytes) -> int:
    """The values of a body of JSON, counted by the signs between them outside of its texts, a piece at a time."""
    count = start = 0
    is_inside = False
    while start < len(body):
        end = start + _COUNTED_BYTES
        # An escape is not cut in two.
        if escape := _ESCAPES.match(body, end - 1):
            end = escape.end()
        # Without escapes, every quote begins or ends a text.
        parts = body[start:end].replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(parts[is_inside::2])
        count += sum(map(outside.count, (b",", b"[", b"{")))
        is_inside = is_inside != (len(parts) % 2 == 0)
        start = end
    return count


def _not_json(body: bytes) -> MalformedRequestError:
    try:
        from_json(body, allow_inf_nan=False)
        reason = "a number is not finite"
    except ValueError as error:
        reason = str(error)
    found = _JSON_PLACE.search(reason)
    line, column = (int(found[1]), int(found[2])) if found else (1, 1)
    begin = 0
    for _ in range(line - 1):
        begin = body.find(b"\n", begin) + 1
    end = body.find(b"\n", begin)
    # A character has at most four bytes.
    text = body[begin : len(body) if end < 0 else end][: 4 * (column + 80)].decode("utf-8", "replace")
    start = max(0, column - 41)
    snippet = f"{text[start : column + 39].rstrip()}\n{' ' * max(0, column - 1 - start)}^"
    reason = _JSON_PLACE.sub("", reason)
    if "EOF" in reason:
        explanation = (
            f"the body ends at line {line}, column {column}, before its JSON does; was it cut short by the shell?"
        )
    else:
        explanation = f"not JSON at line {line}, column {column}: {reason}"
    return MalformedRequestError(explanation, is_json=False, place=f"line {line}, column {column}", snippet=snippet)


def _wrong_shape(error: ValidationError) -> MalformedRequestError:
    problems = error.errors(include_url=False)
    # A union reports an error per branch; the deepest is the most specific.
    problem = max(problems, key=lambda one: len(_keys(one["loc"])))
    place = write_place(_keys(problem["loc"]))
    at_place = [one for one in problems if _keys(one["loc"]) == _keys(problem["loc"])]
    expected = list(dict.fromkeys(_TYPE_NAMES.get(one["type"], "another type") for one in at_place))
    got = _describe(problem["input"])
    where = place or "the body"
    return MalformedRequestError(f"{where} is {got}; expected {' or '.join(expected)}", is_json=True, place=place)


def _keys(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    # pydantic puts the names of union branches among the keys: `str`, `ImageUrl`, `list[Part]`.
    return tuple(key for key in loc if isinstance(key, int) or not re.fullmatch(r"str|[A-Z]\w*|(list|dict)\[.*\]", key))


def write_place(keys: tuple[int | str, ...]) -> str:
    """Format a path in a request: `messages[3].tool_calls[0]`."""
    written = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return written.removeprefix(".")


def _describe(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"


def google_options(request: ChatRequest) -> dict[str, Any]:
    """`extra_body.google` (documented), over a top-level `google` (assumed to be its alias)."""
    alias = request.get("google") or {}
    documented = (request.get("extra_body") or {}).get("google") or {}
    return {**alias, **documented} if alias else documented
