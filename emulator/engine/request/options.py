"""Request options: target, Vertex headers and every body field except `messages`; and the one cache of a server, which keeps them."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from emulator.catalogue.models import ModelCard, describe_model, find_model, generation
from emulator.engine.families import AnswerStyle, choose_style, family_of
from emulator.engine.request.token_estimates import CACHED_TOKENS, estimate_tokens
from emulator.scenario.rules import Endpoint, Traffic
from emulator.wire.requests import UNKNOWN_EFFECT, ChatRequest, ParsedOptions, google_options
from emulator.wire.urls import Target

MAX_CACHED_BYTES = 4 * 1024 * 1024
"""Bound on the cached options of a server and the answers encoded for them, in estimated bytes."""
MAX_OPTIONS_BYTES = 64 * 1024
"""Bytes of JSON up to which options are cached; larger ones are parsed for each request."""
_ENTRY_SIZE = 256
"""Bytes that an encoded reply takes besides its body, estimated."""
_OPTIONS_SIZE = 2048
"""Estimated bytes that options take in memory besides their JSON and what it is parsed to."""
_VALUE_SIZES = ((b"{", 192), (b"[", 88), (b",", 72), (b":", 80))
"""Estimated bytes in memory of what begins or goes on with these characters of JSON: small values take many times their text."""
_KNOWN = frozenset(ChatRequest.__annotations__) | UNKNOWN_EFFECT
_JSON_FORMATS = frozenset({"json_object", "json_schema", "application/json"})

_REQUEST_TYPE, _SHARED_REQUEST_TYPE = b"x-vertex-ai-llm-request-type", b"x-vertex-ai-llm-shared-request-type"

ToolStems = tuple[frozenset[str], frozenset[str]]
"""The word stems in a tool's name, and those in its description alone."""
VertexHeaders = tuple[bytes | None, bytes | None]
"""The headers `x-vertex-ai-llm-request-type` and `x-vertex-ai-llm-shared-request-type`; None where there is none."""


class RequestOptions:
    """Every field of a request except its messages, and what follows from them. Immutable, shared by many requests."""

    implicit_tokens = 0
    """The tokens of a prompt's prefix that implicit caching finds again; set for one request by whoever knows the earlier ones."""

    def __init__(
        self, target: Target, vertex_headers: VertexHeaders, request: ChatRequest, endpoint: Endpoint | None = None
    ) -> None:
        """`endpoint` is the scenario's declaration of a deployed endpoint."""
        self.target = target
        self.endpoint = endpoint
        self.request = request
        self.stream = bool(request.get("stream"))
        self.model: str = request.get("model") or ""
        """The request's `model`; empty if there is none."""
        self.publisher = self.model.partition("/")[0] if "/" in self.model else ""
        """The part of the model before the slash, empty if there is none."""
        self.answering_model: str = self.model or (endpoint and endpoint.model) or target.endpoint
        """The model that answers: the request's, else the endpoint's, else the endpoint's id."""
        self.card: ModelCard | None = describe_model(self.model) if target.is_openapi else find_model(self.model)
        """The model's catalogue card; on the shared endpoint, assumed values for an unknown Gemini."""
        is_google = target.is_openapi and self.publisher in {"google", ""}
        self.gemini: float | None = generation(self.model) if is_google else None
        """The generation if the model is a Gemini on the shared endpoint, known or not; else None."""
        self.style: AnswerStyle = (
            choose_style(self.model, None)
            if target.is_openapi
            else choose_style(self.answering_model, family_of(target, endpoint))
        )
        """The answer style of the model's family."""
        self.llm_headers: Mapping[str, str] = {
            name.decode(): value.decode("latin-1")
            for name, value in zip((_REQUEST_TYPE, _SHARED_REQUEST_TYPE), vertex_headers, strict=True)
            if value is not None
        }
        self.traffic: Traffic = _traffic_of(self.llm_headers)
        """The traffic type that those headers request; a provisioned throughput quota that admits the request changes it."""
        self.google: dict[str, Any] = google_options(request)
        """`extra_body.google`."""
        self.tools: list[tuple[str, str, Any]] = _list_tools(request)
        """The declared functions as name, description and parameters; the deprecated `functions` too."""
        self.tool_names: list[str] = [name for name, _, _ in self.tools]
        self.tool_stems: list[ToolStems] = []
        """The word stems of each tool; empty until `engine.request.tools` is asked for the tool that fits a text."""
        self.named_tool: str | None = _find_named_tool(request)
        """The function that `tool_choice` (or `function_call`) names."""
        self.modalities: list[str] = [kind.lower() for kind in request.get("modalities") or ["text"]]
        """The requested kinds of output, in lower case; text if there are none."""
        self.wants_usage = bool((request.get("stream_options") or {}).get("include_usage"))
        """Whether `stream_options` requests usage, which only the servers of deployed endpoints honour."""
        self.cached_tokens = CACHED_TOKENS if self.google.get("cached_content") else 0
        """The tokens of `cached_content`: a fixed estimate, because the cached content is unknown."""
        self.tokens_outside_messages = self.cached_tokens + sum(map(_count_tool, self.tools))
        """Estimated prompt tokens outside the messages: cached content and tool declarations."""
        self.vetted: dict[Any, Any] = {}
        """The vetting policies that these options are known to pass, each with the warnings of them; maintained by `vetting`."""
        self.encoded: dict[Any, Any] = {}
        """Literal replies, encoded for these options; `engine.answer` adds to it by `keep_encoded`."""
        self.on_growth: Callable[[int], object] = lambda _size: None
        """Called with the size in bytes of each encoded reply that is added."""

    def keep_encoded(self, key: Any, encoded: Any, size: int) -> None:
        """Cache a literal reply encoded for these options; `size` is in bytes."""
        self.encoded[key] = encoded
        self.on_growth(size + _ENTRY_SIZE)

    @property
    def tool_choice(self) -> list[str]:
        """The mode of tool calling; `named` is followed by the function's name. Without tools it is `none`."""
        if not self.tools:
            return ["none"]
        if self.named_tool is not None:
            return ["named", self.named_tool]
        choice = self.request.get("tool_choice") or self.request.get("function_call")
        return [choice if isinstance(choice, str) else "auto"]

    @property
    def response_schema(self) -> tuple[str, Any] | None:
        """The name and schema of a `json_schema` response format."""
        schema = (self.request.get("response_format") or {}).get("json_schema")
        if not isinstance(schema, dict):
            return None
        return str(schema.get("name") or ""), schema.get("schema")

    @property
    def response_format(self) -> list[str]:
        """The names of the response format: its type, its MIME type and its schema's name."""
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


def vertex_headers(headers: Mapping[bytes, bytes]) -> VertexHeaders:
    """The values of the headers that choose the traffic type; names are in lower case."""
    return headers.get(_REQUEST_TYPE), headers.get(_SHARED_REQUEST_TYPE)


def list_ignored(request: ChatRequest, target: Target) -> list[str]:
    """The undocumented top-level keys, which Vertex ignores, sorted; empty for open models and containers, whose servers get them."""
    publisher, slash, _ = (request.get("model") or "").partition("/")
    is_google = target.is_openapi and (publisher == "google" or not slash)
    return sorted(request.keys() - _KNOWN) if is_google else []


def _traffic_of(llm_headers: Mapping[str, str]) -> Traffic:
    """The traffic type that the headers select (documented: throughput pages); other values mean on demand."""
    if not llm_headers:
        return "ON_DEMAND"
    if llm_headers.get("x-vertex-ai-llm-request-type", "").lower() == "dedicated":
        return "PROVISIONED_THROUGHPUT"
    shared = llm_headers.get("x-vertex-ai-llm-shared-request-type", "").lower()
    return "ON_DEMAND_FLEX" if shared == "flex" else "ON_DEMAND_PRIORITY" if shared == "priority" else "ON_DEMAND"


def _list_tools(request: ChatRequest) -> list[tuple[str, str, Any]]:
    declared = [tool.get("function") for tool in request.get("tools") or ()]
    functions = [function for function in declared if function] + list(request.get("functions") or ())
    return [
        (function.get("name", ""), function.get("description") or "", function.get("parameters"))
        for function in functions
    ]


def _find_named_tool(request: ChatRequest) -> str | None:
    choice = request.get("tool_choice")
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else choice.get("name")
    else:
        call = request.get("function_call")
        name = call.get("name") if isinstance(call, dict) else None
    return name if isinstance(name, str) else None


# One encoder: `json.dumps` makes a new one each time.
_write_compact = json.JSONEncoder(separators=(",", ":")).encode


def _count_tool(tool: tuple[str, str, Any]) -> int:
    name, description, parameters = tool
    written = _write_compact(parameters) if parameters else ""
    return estimate_tokens(name) + estimate_tokens(description) + estimate_tokens(written)


_Key = tuple[Target, VertexHeaders, bytes]


def _estimate_size(key: _Key) -> int:
    """Estimated bytes in memory of cached options and their key."""
    target, headers, options = key
    # The JSON itself, and its texts: a single character outside of ASCII may make each of a text's characters take four bytes.
    size = _OPTIONS_SIZE + len(options) * (2 if options.isascii() else 5)
    size += sum(options.count(mark) * bytes_each for mark, bytes_each in _VALUE_SIZES)
    return size + sum(2 * len(part) for part in (*target, *headers) if part is not None)


class OptionsCache:
    """LRU cache of request options, keyed by target, Vertex headers and JSON; bounded in estimated bytes."""

    def __init__(self, max_bytes: int = MAX_CACHED_BYTES) -> None:
        self._max_bytes = max_bytes
        self._options: OrderedDict[_Key, RequestOptions] = OrderedDict()
        self._sizes: dict[_Key, int] = {}
        self.size = 0
        """Estimated bytes in use."""

    def find(
        self, target: Target, vertex_headers: VertexHeaders, options: bytes, endpoint: Endpoint | None
    ) -> RequestOptions:
        """The options for a request's JSON without messages. Raises ValueError if it does not have the documented shape."""
        key = target, vertex_headers, options
        found = self._options.get(key)
        # The endpoint's declaration changes when a scenario is reloaded.
        if found is not None and found.endpoint is endpoint:
            self._options.move_to_end(key)
            return found
        found = RequestOptions(target, vertex_headers, ParsedOptions(options).request, endpoint)
        if len(options) <= MAX_OPTIONS_BYTES and (size := _estimate_size(key)) <= self._max_bytes:
            self._evict(key)
            self._options[key], self._sizes[key] = found, 0
            found.on_growth = partial(self._grow, key, found)
            self._grow(key, found, size)
        return found

    def _grow(self, key: _Key, options: RequestOptions, added: int) -> None:
        if self._options.get(key) is not options:
            return
        self._sizes[key] += added
        self.size += added
        while self.size > self._max_bytes and self._options:
            self._evict(next(iter(self._options)))

    def _evict(self, key: _Key) -> None:
        if self._options.pop(key, None) is not None:
            self.size -= self._sizes.pop(key)
