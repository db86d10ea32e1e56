"""Schemas of declared functions: that there are schemas where schemas are expected."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from emulator.catalogue.errors import entry
from emulator.catalogue.models import LEVELS_FROM
from emulator.engine.refusals import values_for
from emulator.engine.vetting.case import Case, Keys
from emulator.wire.errors import Refusal
from emulator.wire.json_text import dump

_SEARCHES = ("google_search", "googleSearch", "google_search_retrieval", "googleSearchRetrieval")


def check_tools_with_json(case: Case) -> Refusal | None:
    """Observed: before Gemini 3, functions and a JSON answer exclude each other. Assumed: not if tool_choice is none."""
    facts = case.facts
    if not case.is_before(LEVELS_FROM) or not facts.tools or facts.tool_choice == ["none"] or not _asks_for_json(case):
        return None
    explanation = (
        f"tools are declared and response_format asks for JSON; {facts.model} does one or the other: "
        "leave one of them out, or take a model from Gemini 3 on"
    )
    return case.refuse("tools_with_json_mime", ("response_format",), explanation)


def check_search(case: Case) -> Refusal | None:
    """Observed: on older models, Google Search and a JSON answer exclude each other. Assumed: on those before Gemini 3."""
    if not case.is_before(LEVELS_FROM) or not _searches(case) or not _asks_for_json(case):
        return None
    explanation = (
        f"web search is on and response_format asks for JSON; {case.facts.model} does one or the other: "
        "leave one of them out, or take a model from Gemini 3 on"
    )
    return case.refuse("controlled_generation_with_search", ("response_format",), explanation)


def _asks_for_json(case: Case) -> bool:
    return bool(case.facts.request.get("response_format")) and "application/json" in case.facts.response_format


def _searches(case: Case) -> bool:
    if case.facts.request.get("web_search_options") is not None:
        return True
    tools = case.facts.google.get("tools")
    return isinstance(tools, list) and any(
        isinstance(tool, dict) and tool.get(name) is not None for tool in tools for name in _SEARCHES
    )


_MAPS = ("properties", "$defs", "definitions", "patternProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_ONE = ("additionalProperties", "not")
_TOP_PROPERTY = "parameters.properties[0].value"


def check_schemas(case: Case) -> Refusal | None:
    """Observed: a parameter that has something other than a schema is refused, with its place among the declarations.

    Assumed: true and false, which JSON Schema allows for schemas, and lists of `items` are accepted, as is null.
    """
    request = case.facts.request
    if not case.is_gemini or not (request.get("tools") or request.get("functions")):
        return None
    declared: list[tuple[Keys, Any]] = [
        (("tools", at, "function"), tool.get("function")) for at, tool in enumerate(request.get("tools") or ())
    ]
    declared = [(keys, function) for keys, function in declared if function]
    declared += [(("functions", at), function) for at, function in enumerate(request.get("functions") or ())]
    for number, (keys, function) in enumerate(declared):
        found = _find_wrong(function.get("parameters"), (*keys, "parameters"), "parameters")
        if found is not None:
            return _refuse_schema(case, number, *found)
    return None


def _find_wrong(schema: Any, keys: Keys, path: str) -> tuple[Keys, str, Any] | None:
    """What stands where a schema is expected and is none: its place, its path in the words of the service, and itself."""
    waiting = [(schema, keys, path)]
    while waiting:
        value, here, name = waiting.pop()
        if isinstance(value, dict):
            waiting += reversed(list(_parts_of(value, here, name)))
        elif value is not None and not isinstance(value, bool):
            return here, name, value
    return None


def _parts_of(schema: dict[str, Any], keys: Keys, path: str) -> Iterator[tuple[Any, Keys, str]]:
    """What stands in a schema where schemas are expected."""
    for key, inner in schema.items():
        if key in _MAPS and isinstance(inner, dict):
            for at, (name, value) in enumerate(inner.items()):
                yield value, (*keys, key, name), f"{path}.{key}[{at}].value"
        elif key in _LISTS and isinstance(inner, list):
            for at, value in enumerate(inner):
                yield value, (*keys, key, at), f"{path}.{key}[{at}]"
        elif key in _MAPS or key in _LISTS or key in _ONE:
            yield inner, (*keys, key), f"{path}.{key}"


def _refuse_schema(case: Case, number: int, keys: Keys, path: str, value: Any) -> Refusal:
    """The catalogue's text names a property of the top level; any other place is written in its stead (assumed)."""
    written = value if isinstance(value, str) else dump(value).decode()
    values = values_for(case.facts.target, case.facts.model) | {"I": str(number), "J": "0", "VALUE": written}
    message, details = entry("bad_schema_type").fill(**values)
    details = from_json(dump(details).decode().replace(_TOP_PROPERTY, path)) if details else None
    where = ".".join(str(key) for key in keys[keys.index("parameters") :])
    found = dump(value).decode()[:80]
    explanation = f'{where} of a function is {found}; expected a schema, such as {{"type": "string"}}'
    message = message.replace(_TOP_PROPERTY, path)
    return case.refuse("bad_schema_type", keys, explanation, message=message, details=details)
