"""Checks of tools: function schemas, and tools or search together with a JSON answer."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from pydantic_core import from_json

from emulator.budget import Budget, BudgetError
from emulator.catalogue.errors import entry
from emulator.catalogue.models import LEVELS_FROM
from emulator.engine.error_answers import values_for
from emulator.engine.vetting.context import JsonPath, VettingContext
from emulator.wire.errors import Refusal
from emulator.wire.json_text import dump

_SEARCHES = ("google_search", "googleSearch", "google_search_retrieval", "googleSearchRetrieval")


def check_tools_with_json(context: VettingContext) -> Refusal | None:
    """Observed: before Gemini 3, functions and a JSON answer exclude each other. Assumed: not if tool_choice is none."""
    facts = context.facts
    if (
        not context.is_before(LEVELS_FROM)
        or not facts.tools
        or facts.tool_choice == ["none"]
        or not _asks_for_json(context)
    ):
        return None
    explanation = (
        f"tools are declared and response_format asks for JSON; {facts.model} does one or the other: "
        "leave one of them out, or take a model from Gemini 3 on"
    )
    return context.refuse("tools_with_json_mime", ("response_format",), explanation)


def check_search_with_json(context: VettingContext) -> Refusal | None:
    """Observed: on older models, Google Search and a JSON answer exclude each other. Assumed: on those before Gemini 3."""
    if not context.is_before(LEVELS_FROM) or not _searches(context) or not _asks_for_json(context):
        return None
    explanation = (
        f"web search is on and response_format asks for JSON; {context.facts.model} does one or the other: "
        "leave one of them out, or take a model from Gemini 3 on"
    )
    return context.refuse("controlled_generation_with_search", ("response_format",), explanation)


def _asks_for_json(context: VettingContext) -> bool:
    return bool(context.facts.request.get("response_format")) and "application/json" in context.facts.response_format


def _searches(context: VettingContext) -> bool:
    if context.facts.request.get("web_search_options") is not None:
        return True
    tools = context.facts.google.get("tools")
    return isinstance(tools, list) and any(
        isinstance(tool, dict) and tool.get(name) is not None for tool in tools for name in _SEARCHES
    )


_SCHEMA_MAPS = ("properties", "$defs", "definitions", "patternProperties")
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_SCHEMAS = ("additionalProperties", "not")
_TOP_PROPERTY = "parameters.properties[0].value"
MOST_SCHEMAS = 10_000
"""How many schemas of the declared functions are looked at; those behind are accepted."""


def check_schemas(context: VettingContext) -> Refusal | None:
    """Observed: a parameter that has something other than a schema is refused, with its place among the declarations.

    Assumed: true and false, which JSON Schema allows for schemas, and lists of `items` are accepted, as is null.
    """
    request = context.facts.request
    if not context.is_gemini or not (request.get("tools") or request.get("functions")):
        return None
    declared: list[tuple[JsonPath, Any]] = [
        (("tools", at, "function"), function)
        for at, tool in enumerate(request.get("tools") or ())
        if (function := tool.get("function"))
    ]
    declared += [(("functions", at), function) for at, function in enumerate(request.get("functions") or ())]
    budget = Budget(MOST_SCHEMAS, 0)
    for number, (path, function) in enumerate(declared):
        try:
            found = _find_non_schema(function.get("parameters"), (*path, "parameters"), budget)
        except BudgetError:
            return None
        if found is not None:
            return _refuse_schema(context, number, *found)
    return None


def _find_non_schema(schema: Any, path: JsonPath, budget: Budget) -> tuple[Any, JsonPath, str] | None:
    """The first value that is no schema where a schema is expected, its path, and its path as the service writes it.

    Raises:
        BudgetError: There are too many schemas to look at.
    """
    stack = [(schema, path, "parameters")]
    while stack:
        value, path, name = stack.pop()
        if isinstance(value, dict):
            inner = list(islice(_subschemas(value, path, name), budget.work + 1))
            budget.spend(len(inner) + len(path) // 16)
            stack += reversed(inner)
        elif value is not None and not isinstance(value, bool):
            return value, path, name
    return None


def _subschemas(schema: dict[str, Any], path: JsonPath, name: str) -> Iterator[tuple[Any, JsonPath, str]]:
    for key, inner in schema.items():
        if key in _SCHEMA_MAPS and isinstance(inner, dict):
            for at, (property_, value) in enumerate(inner.items()):
                yield value, (*path, key, property_), f"{name}.{key}[{at}].value"
        elif key in _SCHEMA_LISTS and isinstance(inner, list):
            for at, value in enumerate(inner):
                yield value, (*path, key, at), f"{name}.{key}[{at}]"
        elif key in _SCHEMA_MAPS or key in _SCHEMA_LISTS or key in _SCHEMAS:
            yield inner, (*path, key), f"{name}.{key}"


def _refuse_schema(context: VettingContext, number: int, value: Any, path: JsonPath, name: str) -> Refusal:
    """Assumed: the catalogue's text, with the path in place of the property of the top level that it names."""
    written = value if isinstance(value, str) else dump(value).decode()
    values = values_for(context.facts.target, context.facts.model) | {"I": str(number), "J": "0", "VALUE": written}
    message, details = entry("bad_schema_type").fill(**values)
    details = from_json(dump(details).decode().replace(_TOP_PROPERTY, name)) if details else None
    message = message.replace(_TOP_PROPERTY, name)
    where = ".".join(str(key) for key in path[path.index("parameters") :])
    found = dump(value).decode()[:80]
    explanation = f'{where} of a function is {found}; expected a schema, such as {{"type": "string"}}'
    return context.refuse("bad_schema_type", path, explanation, message=message, details=details)
