"""A request seen as facts: what rules, vetting and templates want to know about it, each worked out once and only if asked."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from emulator.catalogue.models import ModelCard, describe_model, find_model, generation
from emulator.engine.containers import family_of
from emulator.engine.counting import CACHED_TOKENS, SentMedium, count_medium, resolution_of
from emulator.engine.dialogue import Spoken, read_dialogue
from emulator.engine.enclosures import list_kinds, list_media, media_in
from emulator.engine.families import Voice, choose_voice
from emulator.engine.lazy import Lazy
from emulator.engine.roles import MODEL_ROLES, SYSTEM_ROLES, TOOL_ROLES, USER_ROLES, text_of
from emulator.engine.thoughts import read_text
from emulator.engine.tokens import estimate_tokens
from emulator.scenario.rules import Endpoint, Traffic
from emulator.wire.requests import ChatRequest, google_options
from emulator.wire.shapes import Message
from emulator.wire.targets import Target

__all__ = ["MODEL_ROLES", "SYSTEM_ROLES", "TOOL_ROLES", "USER_ROLES", "Facts", "media_in", "text_of"]

_JSON_FORMATS = frozenset({"json_object", "json_schema", "application/json"})


class Facts:
    """What can be asked about one request."""

    def __init__(
        self,
        target: Target,
        headers: Sequence[tuple[bytes, bytes]],
        request: ChatRequest,
        endpoint: Endpoint | None = None,
    ) -> None:
        """`endpoint` is what the scenario says of an endpoint of one's own."""
        self.target = target
        self.endpoint = endpoint
        self.request = request
        self.messages: Sequence[Message] = request.get("messages") or ()
        self.stream = bool(request.get("stream"))
        self.raw_headers = headers
        self.ready: tuple[Any, ...] | None = None
        """An answer that was made for the request, with what it was made from; for the one who answers."""
        self.holding: dict[Any, Any] = {}
        """Which rules of a lot hold for the request, as far as it is known; for the one who chooses."""
        self.terms: Any = None
        """On what the request was answered before; for the server."""

    # The target.

    @Lazy
    def model(self) -> str:
        """The model as the request names it, empty if it does not."""
        return self.request.get("model") or ""

    @property
    def publisher(self) -> str:
        """The part of the model before the slash, empty if there is none."""
        return self.model.partition("/")[0] if "/" in self.model else ""

    @Lazy
    def card(self) -> ModelCard | None:
        """What is known of the model; on the shared endpoint, what may be assumed of a Gemini that is not known."""
        return describe_model(self.model) if self.target.is_openapi else find_model(self.model)

    @Lazy
    def gemini(self) -> float | None:
        """The generation if the model is a Gemini on the shared endpoint, known or not; else None."""
        is_google = self.target.is_openapi and self.publisher in {"google", ""}
        return generation(self.model) if is_google else None

    @Lazy
    def answering_model(self) -> str:
        """The model that answers: the one named, else the endpoint's, else the endpoint's id."""
        return self.model or (self.endpoint and self.endpoint.model) or self.target.endpoint

    @Lazy
    def voice(self) -> Voice:
        """How the model speaks."""
        if self.target.is_openapi:
            return choose_voice(self.model, None)
        return choose_voice(self.answering_model, family_of(self.target, self.endpoint))

    @Lazy
    def llm_headers(self) -> Mapping[str, str]:
        """The headers `x-vertex-ai-llm-…`, which choose how the request is paid for."""
        named = ((name.lower(), value) for name, value in self.raw_headers if name[:11].lower() == b"x-vertex-ai")
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in named if b"-llm-" in name}

    @Lazy
    def traffic(self) -> Traffic:
        """The traffic type that those headers ask for (documented: throughput pages); anything else is on demand.

        A quota of provisioned throughput that carries the request changes it.
        """
        if not self.llm_headers:
            return "ON_DEMAND"
        if self.llm_headers.get("x-vertex-ai-llm-request-type", "").lower() == "dedicated":
            return "PROVISIONED_THROUGHPUT"
        shared = self.llm_headers.get("x-vertex-ai-llm-shared-request-type", "").lower()
        return "ON_DEMAND_FLEX" if shared == "flex" else "ON_DEMAND_PRIORITY" if shared == "priority" else "ON_DEMAND"

    @Lazy
    def headers(self) -> Mapping[str, str]:
        """The request headers, names in lower case, repeated ones joined by commas."""
        found: dict[str, str] = {}
        for raw_name, raw_value in self.raw_headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    # The conversation.

    @Lazy
    def message_keys(self) -> frozenset[str]:
        """All keys that messages have: what is in none of them need not be looked for in each."""
        return frozenset().union(*self.messages)

    @Lazy
    def may_enclose(self) -> bool:
        """Whether there may be something besides text in a message."""
        return "extra_content" in self.message_keys or any(type(one.get("content")) is list for one in self.messages)

    @Lazy
    def last_user(self) -> str | None:
        """The text of the last user message."""
        for message in reversed(self.messages):
            if message.get("role") in USER_ROLES:
                return text_of(message)
        return None

    @Lazy
    def any_user(self) -> list[str]:
        """The texts of all user messages."""
        return [text_of(message) for message in self.messages if message.get("role") in USER_ROLES]

    @Lazy
    def system(self) -> str | None:
        """The system messages, joined by line breaks."""
        texts = [text_of(message) for message in self.messages if message.get("role") in SYSTEM_ROLES]
        return "\n".join(texts) if texts else None

    @property
    def last(self) -> str | None:
        """The role of the last message."""
        return self.messages[-1].get("role") if self.messages else None

    @Lazy
    def turn(self) -> int:
        """How many user turns there are; user messages next to each other are one turn."""
        turns, inside = 0, False
        for message in self.messages:
            is_user = message.get("role") in USER_ROLES
            turns += is_user and not inside
            inside = is_user
        return turns

    @Lazy
    def dialogue(self) -> Sequence[Spoken]:
        """The messages as turns, system messages left out; what conversation rules compare with their transcripts."""
        return read_dialogue(self.messages, self.google.get("thought_tag_marker"))

    @Lazy
    def _results(self) -> list[Message]:
        """The tool messages that end the conversation."""
        end = len(self.messages)
        start = end
        while start and self.messages[start - 1].get("role") in TOOL_ROLES:
            start -= 1
        return list(self.messages[start:end])

    @Lazy
    def answered_tools(self) -> list[str]:
        """The names of the tools whose results end the conversation, found by call id where the result does not name it."""
        names = {
            call.get("id"): call.get("function", {}).get("name", "")
            for message in self.messages
            for call in message.get("tool_calls") or ()
        }
        return [names.get(result.get("tool_call_id")) or result.get("name") or "" for result in self._results]

    @Lazy
    def tool_results(self) -> list[str]:
        """The texts of the tool results that end the conversation."""
        return [text_of(result) for result in self._results]

    # The request.

    @Lazy
    def tools(self) -> list[tuple[str, str, Any]]:
        """The declared functions as name, description and parameters; the deprecated `functions` too."""
        declared = [tool.get("function") for tool in self.request.get("tools") or ()]
        functions = [function for function in declared if function] + list(self.request.get("functions") or ())
        return [
            (function.get("name", ""), function.get("description") or "", function.get("parameters"))
            for function in functions
        ]

    @Lazy
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

    @Lazy
    def tool_choice(self) -> list[str]:
        """The mode of tool calling (`named` with the function's name beside it); without tools there is none."""
        if not self.tools:
            return ["none"]
        if self.named_tool is not None:
            return ["named", self.named_tool]
        choice = self.request.get("tool_choice") or self.request.get("function_call")
        return [choice if isinstance(choice, str) else "auto"]

    @Lazy
    def response_schema(self) -> tuple[str, Any] | None:
        """The name and schema of a `json_schema` response format."""
        schema = (self.request.get("response_format") or {}).get("json_schema")
        if not isinstance(schema, dict):
            return None
        return str(schema.get("name") or ""), schema.get("schema")

    @Lazy
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

    @Lazy
    def modalities(self) -> list[str]:
        """The demanded kinds of output, in lower case; text if none is named."""
        return [kind.lower() for kind in self.request.get("modalities") or ["text"]]

    @Lazy
    def has(self) -> frozenset[str]:
        """The kinds of input in the messages: image, audio, video, document, gs_uri."""
        return list_kinds(self.messages) if self.may_enclose else frozenset()

    @Lazy
    def google(self) -> dict[str, Any]:
        """`extra_body.google`."""
        return google_options(self.request)

    @property
    def wants_usage(self) -> bool:
        """Whether `stream_options` asks for usage, which only the servers of own endpoints heed."""
        return bool((self.request.get("stream_options") or {}).get("include_usage"))

    @Lazy
    def media(self) -> list[SentMedium]:
        """The media in the messages."""
        resolution = resolution_of(self.google.get("media_resolution"))
        return list_media(self.messages, resolution) if self.may_enclose else []

    @property
    def cached_tokens(self) -> int:
        """The tokens of `cached_content`: a fixed estimate, for what the cache holds cannot be known."""
        return CACHED_TOKENS if self.google.get("cached_content") else 0

    @Lazy
    def prompt_tokens(self) -> int:
        """An estimate of the prompt's tokens: texts, calls, tools, media, and what is cached."""
        total = self.cached_tokens + sum(count_medium(one, generation(self.answering_model)) for one in self.media)
        marker = self.google.get("thought_tag_marker")
        marker = marker if isinstance(marker, str) else None
        total += sum([estimate_tokens(read_text(message, marker)) for message in self.messages])
        for message in self.messages if "tool_calls" in self.message_keys else ():
            for call in message.get("tool_calls") or ():
                function = call.get("function", {})
                total += estimate_tokens(function.get("name", "")) + estimate_tokens(function.get("arguments") or "")
        for name, description, parameters in self.tools:
            total += estimate_tokens(name) + estimate_tokens(description)
            total += estimate_tokens(json.dumps(parameters, separators=(",", ":"))) if parameters else 0
        return total
