"""Checks of JSON Schemas: those of function parameters, and that of a response format."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from pydantic_core import from_json

from emulator.budget import Budget, BudgetError
from emulator.catalogue.errors import entry
from emulator.engine.error_answers import values_for
from emulator.engine.vetting.context import JsonPath, VettingContext
from emulator.wire.errors import Refusal
from emulator.wire.json_text import dump

MOST_SCHEMAS = 10_000
"""How many schemas of the declared functions are looked at; those behind are accepted."""
MAX_SCHEMA_WORK = 20_000
"""Subschemas that are looked at to find out whether a schema has an end; beyond that it counts as having one."""
MAX_SCHEMA_DEPTH = 100
"""Subschemas within each other, references followed, that are looked at; deeper ones are not checked."""


class _Function(NamedTuple):
    """A declared function."""

    name: str
    parameters: Any
    path: JsonPath
    """The path of its parameters."""


def _declared(context: VettingContext) -> Iterator[_Function]:
    """The declared functions of a request to Gemini, in order; none of a request to other models."""
    if not context.is_gemini:
        return
    request = context.facts.request
    for at, tool in enumerate(request.get("tools") or ()):
        if function := tool.get("function"):
            yield _Function(
                function.get("name", ""), function.get("parameters"), ("tools", at, "function", "parameters")
            )
    for at, function in enumerate(request.get("functions") or ()):
        yield _Function(function.get("name", ""), function.get("parameters"), ("functions", at, "parameters"))


_SCHEMA_MAPS = ("properties", "$defs", "definitions", "patternProperties")
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_SCHEMAS = ("additionalProperties", "not")
_TOP_PROPERTY = "parameters.properties[0].value"


def check_schemas(context: VettingContext) -> Refusal | None:
    """Observed: a parameter that has something other than a schema is refused, with its place among the declarations.

    Assumed: true and false, which JSON Schema allows for schemas, and lists of `items` are accepted, as is null.
    """
    budget = Budget(MOST_SCHEMAS, 0)
    for number, function in enumerate(_declared(context)):
        try:
            found = _find_non_schema(function.parameters, function.path, budget)
        except BudgetError:
            return None
        if found is not None:
            return _refuse_schema(context, number, *found)
    return None


def _find_non_schema(schema: Any, path: JsonPath, budget: Budget) -> tuple[Any, JsonPath, str] | None:
    """The first value that is no schema where a schema is expected, its path, and its path as the service writes it.

    Raises BudgetError if there are too many schemas to look at.
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


_COMBINATORS = ("anyOf", "oneOf", "allOf")
# What gives a schema a type of another kind than `type`, or leads to one that has it.
_TYPED = frozenset({"type", "$ref", "ref", *_COMBINATORS})


def check_parameter_types(context: VettingContext) -> Refusal | None:
    """Observed on the native route: the parameters of a function are an object's schema, without a combinator at its top.

    Assumed: parameters that are absent or null are accepted, as are references and lists of types.
    """
    for function in _declared(context):
        schema = function.parameters
        if not isinstance(schema, dict) or "$ref" in schema or isinstance(schema.get("type"), list):
            continue
        found = next((key for key in _COMBINATORS if key in schema), None)
        if found is None and str(schema.get("type")).lower() == "object":
            continue
        has = (
            f"{found} at the top"
            if found
            else f"the type {dump(schema['type']).decode()[:80]}"
            if "type" in schema
            else "no type"
        )
        explanation = f'the parameters of {function.name} have {has}; expected {{"type": "object", "properties": ...}}'
        return context.refuse("tool_parameters_not_object", function.path, explanation, FUNCTION=function.name)
    return None


def check_property_types(context: VettingContext) -> Refusal | None:
    """Observed on the native route: each schema below the parameters of a function has a type, or a combinator in place of it."""
    for function in _declared(context):
        for schema, path, name in _inner_schemas(function):
            if _TYPED.isdisjoint(schema):
                explanation = f"{name} of {function.name} has no type; give it one"
                return context.refuse(
                    "tool_property_without_type", path, explanation, FUNCTION=function.name, PLACE=name
                )
    return None


def check_any_of(context: VettingContext) -> Refusal | None:
    """Observed on the native route: anyOf is the only key of its schema."""
    for function in _declared(context):
        for schema, path, name in _inner_schemas(function):
            if "anyOf" in schema and len(schema) > 1:
                others = ", ".join(sorted(key for key in schema if key != "anyOf"))
                explanation = f"{name} of {function.name} has {others} beside anyOf; put them into its branches"
                return context.refuse("any_of_with_siblings", path, explanation, FUNCTION=function.name, PLACE=name)
    return None


def check_any_of_arrays(context: VettingContext) -> Refusal | None:
    """Observed on backends of this kind: branches of anyOf are merged, which an array and another type do not survive."""
    for function in _declared(context):
        for schema, path, name in _inner_schemas(function):
            branches = schema.get("anyOf")
            types = [one.get("type") for one in branches if isinstance(one, dict)] if isinstance(branches, list) else []
            if "array" in types and any(one not in {"array", "null", None} for one in types if isinstance(one, str)):
                explanation = f"anyOf of {name} of {function.name} has an array and another type; declare one of them"
                return context.refuse("any_of_with_array", path, explanation, FUNCTION=function.name, PLACE=name)
    return None


def _inner_schemas(function: _Function) -> Iterator[tuple[dict[str, Any], JsonPath, str]]:
    """The schemas below a function's parameters, references followed once; each with its path and its name as the service writes it."""
    root, seen, count = function.parameters, set[str](), 0
    stack: list[tuple[Any, JsonPath, str]] = [(root, function.path, "parameters")]
    while stack and count < MOST_SCHEMAS:
        count += 1
        schema, path, name = stack.pop()
        if not isinstance(schema, dict):
            continue
        if name != "parameters":
            yield schema, path, name
        target = schema.get("$ref")
        if isinstance(target, str) and target not in seen:
            seen.add(target)
            stack.append((_resolve(root, target), path, name))
        inner: list[tuple[Any, JsonPath, str]] = []
        properties = schema.get("properties")
        if isinstance(properties, dict):
            inner += [(value, (*path, "properties", key), f"{name}.{key}") for key, value in properties.items()]
        if isinstance(schema.get("items"), dict):
            inner.append((schema["items"], (*path, "items"), f"{name}.items"))
        for key in _COMBINATORS:
            if isinstance(branches := schema.get(key), list):
                inner += [(one, (*path, key, at), f"{name}.{key}[{at}]") for at, one in enumerate(branches)]
        stack += reversed(inner)


def _resolve(root: Any, target: str) -> Any:
    """What a reference within a schema leads to; None for any other reference."""
    if not target.startswith("#"):
        return None
    found = root
    for key in target[1:].split("/")[1:]:
        name = key.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found


def check_response_schema(context: VettingContext) -> Refusal | None:
    """Documented: a schema that is recursive without end is refused; text unknown. One that a value can satisfy is not."""
    schema = context.facts.response_schema
    if schema is None or not context.facts.target.is_openapi or _has_end(schema[1]):
        return None
    explanation = (
        "the schema of response_format leads back to itself, so that no value satisfies it; make a property optional"
    )
    return context.refuse("generic_invalid_argument", ("response_format", "json_schema", "schema"), explanation)


def _has_end(root: Any) -> bool:
    """Whether a schema demands no value that contains itself; a schema that is too large to tell has an end."""
    budget = Budget(MAX_SCHEMA_WORK, 0)
    within, finite = set[int](), set[int]()

    def ends(schema: Any) -> bool:
        budget.spend(1)
        identity = id(schema)
        # What ends somewhere ends everywhere, but what leads back to something around it may end elsewhere.
        if not isinstance(schema, dict) or identity in finite:
            return True
        if len(within) > MAX_SCHEMA_DEPTH:
            raise BudgetError("it is too deep")
        if identity in within:
            return False
        within.add(identity)
        found = demands_end(schema)
        within.discard(identity)
        if found:
            finite.add(identity)
        return found

    def demands_end(schema: dict[str, Any]) -> bool:
        target = schema.get("$ref")
        if isinstance(target, str) and not ends(_resolve(root, target)):
            return False
        if "const" in schema or "enum" in schema:
            return True
        every, some = _demanded(schema)
        return all(map(ends, every)) and all(any(map(ends, branches)) for branches in some)

    try:
        return ends(root)
    except BudgetError:
        return True


def _demanded(schema: dict[str, Any]) -> tuple[list[Any], list[list[Any]]]:
    """The schemas that a value or a part of it has to satisfy, and the lists of which it has to satisfy one each."""
    every = list(schema["allOf"]) if isinstance(schema.get("allOf"), list) else []
    some = [schema[key] for key in ("anyOf", "oneOf") if isinstance(schema.get(key), list) and schema[key]]
    kind, properties, required = schema.get("type"), schema.get("properties"), schema.get("required")
    if kind in ("object", ["object"], None) and isinstance(properties, dict) and isinstance(required, list):
        every += [properties[key] for key in required if isinstance(key, str) and key in properties]
    least = schema.get("minItems")
    if kind in ("array", ["array"]) and isinstance(least, int) and least > 0:
        every.append(schema.get("items"))
    return every, some
