"""How a request is asked: whom, with which headers of Vertex's own, and with all of its body but the messages.

That is the same for many requests, and so is what follows from it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from emulator.catalogue.models import ModelCard, describe_model, find_model, generation
from emulator.engine.families import AnswerStyle, choose_style, family_of
from emulator.engine.lazy import Common
from emulator.engine.rendering.forms import Forms
from emulator.engine.request.token_estimates import CACHED_TOKENS, estimate_tokens
from emulator.scenario.rules import Endpoint, Traffic
from emulator.wire.requests import UNKNOWN_EFFECT, ChatRequest, google_options
from emulator.wire.urls import Target

_KNOWN = frozenset(ChatRequest.__annotations__) | UNKNOWN_EFFECT


def list_ignored(request: ChatRequest, target: Target) -> list[str]:
    """The top-level keys that the documentation does not list, sorted. Those of open models and containers go to their server."""
    publisher, slash, _ = (request.get("model") or "").partition("/")
    is_google = target.is_openapi and (publisher == "google" or not slash)
    return sorted(request.keys() - _KNOWN) if is_google else []


_JSON_FORMATS = frozenset({"json_object", "json_schema", "application/json"})


class RequestOptions:
    """What can be asked about a request without its messages."""

    def __init__(
        self,
        target: Target,
        headers: Sequence[tuple[bytes, bytes]],
        request: ChatRequest,
        endpoint: Endpoint | None = None,
        common: dict[str, Any] | None = None,
    ) -> None:
        """`endpoint` is what the scenario says of an endpoint of one's own.

        `common` is what is known already of requests that are asked alike, and is added to.
        """
        self.common: dict[str, Any] = {} if common is None else common
        self.target = target
        self.endpoint = endpoint
        self.request = request
        self.stream = bool(request.get("stream"))
        self.raw_headers = headers
        # What others have asked need not be asked again. Last of all, which is quickest.
        self.__dict__.update(self.common)

    @Common
    def forms(self) -> Forms:
        """The answers that were made for such requests; for the one who answers."""
        return Forms()

    @Common
    def passed(self) -> set[Any]:
        """The policies under which only the messages of such requests can be wrong; for the one who vets."""
        return set()

    @Common
    def model(self) -> str:
        """The model as the request names it, empty if it does not."""
        return self.request.get("model") or ""

    @property
    def publisher(self) -> str:
        """The part of the model before the slash, empty if there is none."""
        return self.model.partition("/")[0] if "/" in self.model else ""

    @Common
    def card(self) -> ModelCard | None:
        """What is known of the model; on the shared endpoint, what may be assumed of a Gemini that is not known."""
        return describe_model(self.model) if self.target.is_openapi else find_model(self.model)

    @Common
    def gemini(self) -> float | None:
        """The generation if the model is a Gemini on the shared endpoint, known or not; else None."""
        is_google = self.target.is_openapi and self.publisher in {"google", ""}
        return generation(self.model) if is_google else None

    @Common
    def answering_model(self) -> str:
        """The model that answers: the one named, else the endpoint's, else the endpoint's id."""
        return self.model or (self.endpoint and self.endpoint.model) or self.target.endpoint

    @Common
    def style(self) -> AnswerStyle:
        """How the model speaks."""
        if self.target.is_openapi:
            return choose_style(self.model, None)
        return choose_style(self.answering_model, family_of(self.target, self.endpoint))

    @Common
    def llm_headers(self) -> Mapping[str, str]:
        """The headers `x-vertex-ai-llm-…`, which choose how the request is paid for."""
        named = ((name.lower(), value) for name, value in self.raw_headers if name[:11].lower() == b"x-vertex-ai")
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in named if b"-llm-" in name}

    @Common
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

    @Common
    def tools(self) -> list[tuple[str, str, Any]]:
        """The declared functions as name, description and parameters; the deprecated `functions` too."""
        declared = [tool.get("function") for tool in self.request.get("tools") or ()]
        functions = [function for function in declared if function] + list(self.request.get("functions") or ())
        return [
            (function.get("name", ""), function.get("description") or "", function.get("parameters"))
            for function in functions
        ]

    @Common
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

    @Common
    def tool_choice(self) -> list[str]:
        """The mode of tool calling (`named` with the function's name beside it); without tools there is none."""
        if not self.tools:
            return ["none"]
        if self.named_tool is not None:
            return ["named", self.named_tool]
        choice = self.request.get("tool_choice") or self.request.get("function_call")
        return [choice if isinstance(choice, str) else "auto"]

    @Common
    def response_schema(self) -> tuple[str, Any] | None:
        """The name and schema of a `json_schema` response format."""
        schema = (self.request.get("response_format") or {}).get("json_schema")
        if not isinstance(schema, dict):
            return None
        return str(schema.get("name") or ""), schema.get("schema")

    @Common
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

    @Common
    def modalities(self) -> list[str]:
        """The demanded kinds of output, in lower case; text if none is named."""
        return [kind.lower() for kind in self.request.get("modalities") or ["text"]]

    @Common
    def google(self) -> dict[str, Any]:
        """`extra_body.google`."""
        return google_options(self.request)

    @property
    def wants_usage(self) -> bool:
        """Whether `stream_options` asks for usage, which only the servers of own endpoints heed."""
        return bool((self.request.get("stream_options") or {}).get("include_usage"))

    @property
    def cached_tokens(self) -> int:
        """The tokens of `cached_content`: a fixed estimate, for what the cache holds cannot be known."""
        return CACHED_TOKENS if self.google.get("cached_content") else 0

    @Common
    def tokens_beside(self) -> int:
        """An estimate of the tokens of the prompt that are not in its messages: of what is cached, and of tools."""
        total = self.cached_tokens
        for name, description, parameters in self.tools:
            total += estimate_tokens(name) + estimate_tokens(description)
            total += estimate_tokens(json.dumps(parameters, separators=(",", ":"))) if parameters else 0
        return total
