"""A request seen as facts: what rules, vetting and templates want to know about it, each worked out once and only if asked."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from emulator.engine.media import medium_of, mime_type_of
from emulator.engine.tokens import estimate_tokens
from emulator.wire.requests import ChatRequest, google_options
from emulator.wire.shapes import Message, Part
from emulator.wire.targets import Target

USER_ROLES = frozenset({"user"})
SYSTEM_ROLES = frozenset({"system", "developer"})
MODEL_ROLES = frozenset({"assistant", "model"})
TOOL_ROLES = frozenset({"tool", "function"})
_JSON_FORMATS = frozenset({"json_object", "json_schema", "application/json"})


def text_of(message: Message) -> str:
    """The text of a message: its content, or its text parts one after the other."""
    content = message.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content)


class Facts:
    """What can be asked about one request."""

    def __init__(self, target: Target, headers: Sequence[tuple[bytes, bytes]], request: ChatRequest) -> None:
        self.target = target
        self.request = request
        self.messages: Sequence[Message] = request.get("messages") or ()
        self.stream = bool(request.get("stream"))
        self._headers = headers

    # The target.

    @cached_property
    def model(self) -> str:
        """The model as the request names it, empty if it does not."""
        return self.request.get("model") or ""

    @property
    def publisher(self) -> str:
        """The part of the model before the slash, empty if there is none."""
        return self.model.partition("/")[0] if "/" in self.model else ""

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The request headers, names in lower case, repeated ones joined by commas."""
        found: dict[str, str] = {}
        for raw_name, raw_value in self._headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    # The conversation.

    @cached_property
    def last_user(self) -> str | None:
        """The text of the last user message."""
        for message in reversed(self.messages):
            if message.get("role") in USER_ROLES:
                return text_of(message)
        return None

    @cached_property
    def any_user(self) -> list[str]:
        """The texts of all user messages."""
        return [text_of(message) for message in self.messages if message.get("role") in USER_ROLES]

    @cached_property
    def system(self) -> str | None:
        """The system messages, joined by line breaks."""
        texts = [text_of(message) for message in self.messages if message.get("role") in SYSTEM_ROLES]
        return "\n".join(texts) if texts else None

    @property
    def last(self) -> str | None:
        """The role of the last message."""
        return self.messages[-1].get("role") if self.messages else None

    @cached_property
    def turn(self) -> int:
        """How many user turns there are; user messages next to each other are one turn."""
        turns, inside = 0, False
        for message in self.messages:
            is_user = message.get("role") in USER_ROLES
            turns += is_user and not inside
            inside = is_user
        return turns

    @cached_property
    def _results(self) -> list[Message]:
        """The tool messages that end the conversation."""
        end = len(self.messages)
        start = end
        while start and self.messages[start - 1].get("role") in TOOL_ROLES:
            start -= 1
        return list(self.messages[start:end])

    @cached_property
    def answered_tools(self) -> list[str]:
        """The names of the tools whose results end the conversation, found by call id where the result does not name it."""
        names = {
            call.get("id"): call.get("function", {}).get("name", "")
            for message in self.messages
            for call in message.get("tool_calls") or ()
        }
        return [names.get(result.get("tool_call_id")) or result.get("name") or "" for result in self._results]

    @cached_property
    def tool_results(self) -> list[str]:
        """The texts of the tool results that end the conversation."""
        return [text_of(result) for result in self._results]

    # The request.

    @cached_property
    def tools(self) -> list[tuple[str, str, Any]]:
        """The declared functions as name, description and parameters; the deprecated `functions` too."""
        declared = [tool.get("function") for tool in self.request.get("tools") or ()]
        functions = [function for function in declared if function] + list(self.request.get("functions") or ())
        return [
            (function.get("name", ""), function.get("description") or "", function.get("parameters"))
            for function in functions
        ]

    @cached_property
    def named_tool(self) -> str | None:
        """The function that `tool_choice` (or `function_call`) demands by name."""
        choice = self.request.get("tool_choice")
        if isinstance(choice, dict):
            function = choice.get("function")
            name = function.get("name") if isinstance(function, dict) else choice.get("name")
            return name if isinstance(name, str) else None
        call = self.request.get("function_call")
        name = call.get("name") if isinstance(call, dict) else None
        return name if isinstance(name, str) else None

    @cached_property
    def tool_choice(self) -> list[str]:
        """The mode of tool calling (`named` with the function's name beside it); without tools there is none."""
        if not self.tools:
            return ["none"]
        if self.named_tool is not None:
            return ["named", self.named_tool]
        choice = self.request.get("tool_choice") or self.request.get("function_call")
        return [choice if isinstance(choice, str) else "auto"]

    @cached_property
    def response_schema(self) -> tuple[str, Any] | None:
        """The name and schema of a `json_schema` response format."""
        schema = (self.request.get("response_format") or {}).get("json_schema")
        if not isinstance(schema, dict):
            return None
        return str(schema.get("name") or ""), schema.get("schema")

    @cached_property
    def response_format(self) -> list[str]:
        """What the response format can be called: its type, its MIME type and its schema's name."""
        kind = (self.request.get("response_format") or {}).get("type")
        kind = kind if isinstance(kind, str) else "text"
        names = [kind]
        if kind in _JSON_FORMATS and kind != "application/json":
            names.append("application/json")
        elif kind == "text":
            names.append("text/plain")
        if self.response_schema is not None and self.response_schema[0]:
            names.append(self.response_schema[0])
        return names

    @cached_property
    def modalities(self) -> list[str]:
        """The demanded kinds of output, in lower case; text if none is named."""
        return [kind.lower() for kind in self.request.get("modalities") or ["text"]]

    @cached_property
    def has(self) -> frozenset[str]:
        """The kinds of input in the messages: image, audio, video, document, gs_uri."""
        kinds: set[str] = set()
        for message in self.messages:
            content = message.get("content")
            if isinstance(content, list):
                for part in content:
                    kinds |= _media_in(part)
            kinds |= _media_of_result(message)
        return frozenset(kinds)

    @cached_property
    def google(self) -> dict[str, Any]:
        """`extra_body.google`."""
        return google_options(self.request)

    @cached_property
    def prompt_tokens(self) -> int:
        """An estimate of the prompt's tokens, media not counted."""
        total = 0
        for message in self.messages:
            total += estimate_tokens(text_of(message))
            for call in message.get("tool_calls") or ():
                function = call.get("function", {})
                total += estimate_tokens(function.get("name", "")) + estimate_tokens(function.get("arguments") or "")
        for name, description, parameters in self.tools:
            total += estimate_tokens(name) + estimate_tokens(description)
            total += estimate_tokens(json.dumps(parameters, separators=(",", ":"))) if parameters else 0
        return total


def media_address(part: Part) -> tuple[str, str] | None:
    """The address and stated MIME type (empty if none) of a part that holds media."""
    image = part.get("image_url")
    if image is not None:
        return (image if isinstance(image, str) else image.get("url", "")), ""
    audio = part.get("input_audio")
    if audio is not None:
        stated = audio.get("format") or ""
        return audio.get("data", ""), stated if "/" in stated or not stated else f"audio/{stated}"
    return None


def _media_in(part: Part) -> set[str]:
    found = media_address(part)
    if found is None:
        return set()
    address, stated = found
    kinds = {"gs_uri"} if address.startswith("gs://") else set[str]()
    if address.startswith("data:"):
        stated = address[5:].partition(";")[0].partition(",")[0] or stated
    if stated or part.get("input_audio") is not None:
        return kinds | {medium_of(stated or mime_type_of(address) or "audio/wav")}
    # Documented: a URI in `image_url` is an image, whatever its name; only a data URL says otherwise.
    return kinds | {"image"}


def _media_of_result(message: Message) -> set[str]:
    """The kinds of media in a multimodal tool result (documented: seed, `extra_content.google.parts`)."""
    parts = ((message.get("extra_content") or {}).get("google") or {}).get("parts")
    kinds: set[str] = set()
    for part in parts if isinstance(parts, list) else ():
        data = part.get("file_data") or part.get("inline_data") if isinstance(part, dict) else None
        if not isinstance(data, dict):
            continue
        if str(data.get("file_uri", "")).startswith("gs://"):
            kinds.add("gs_uri")
        if isinstance(data.get("mime_type"), str):
            kinds.add(medium_of(data["mime_type"]))
    return kinds
