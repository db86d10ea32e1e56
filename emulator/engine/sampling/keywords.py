"""The JSON Schema keywords that are understood, and the shape each must have; one of another shape counts as absent.

`normalize` turns what people send into valid draft 2020-12. Besides that draft it reads draft 7 (a list in `items`), draft 4
(`exclusiveMinimum: true`), OpenAPI 3.0 (`nullable`, `example`) and Google's own schemas (`type: "STRING"`, `minItems: "1"`).

To support another keyword, add it to `_READERS`. What makes values stands in `sampler`,
`numbers` and `strings`; what judges them, in `validity`.
"""

import math
from collections.abc import Callable, Hashable
from fractions import Fraction
from typing import Any

_LARGEST_HASHED = 2**60
TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
NumberOrNone = int | float | None
Schema = dict[str, Any] | bool
Reader = Callable[[Any], Any]
"""Reads the value of a keyword; None for one of the wrong shape."""


def normalize(schema: Any) -> Schema:
    """The schema with nothing in it but well-formed keywords, in their order; what is no schema allows every value.

    `$ref` stays as it is written.

    Raises:
        RecursionError: It nests too deeply.
    """
    if not isinstance(schema, dict):
        return schema is not False
    normal: dict[str, Any] = {}
    for keyword, value in _in_current_dialect(schema).items():
        if keyword in _AS_WRITTEN:
            normal[keyword] = value
        elif keyword in _READERS and (read := _READERS[keyword](value)) is not None:
            normal[keyword] = read
    return normal


def _in_current_dialect(schema: dict[str, Any]) -> dict[str, Any]:
    """The keywords of a schema, those of older dialects replaced by today's."""
    changed = schema
    if isinstance(schema.get("items"), list):
        changed = {**schema, "prefixItems": schema["items"], "items": schema.get("additionalItems")}
    if schema.get("nullable") is True and (types := _types(schema.get("type"))):
        changed = {**changed, "type": [*([types] if isinstance(types, str) else types), "null"]}
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if schema.get(exclusive) is True:
            changed = {**changed, exclusive: schema.get(bound)}
    return changed


def as_number(value: Any) -> Fraction | None:
    """The exact value a JSON number was written with (0.1 is one tenth); None for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return Fraction(value)
    return Fraction(repr(value)) if math.isfinite(value) else None


def key_of(value: Any) -> Hashable:
    """A key that is equal for equal JSON values: 1 and 1.0 are, 1 and true are not.

    Numbers that a request could choose so that their hashes collide are keyed by their text.
    """
    match value:
        case bool():
            return (value,)
        case list():
            return ("[", *map(key_of, value))
        case dict():
            return ("{", frozenset((name, key_of(each)) for name, each in value.items()))
        case int() | float():
            exact = int(value) if isinstance(value, float) and value.is_integer() else value
            is_small = isinstance(exact, int) and -_LARGEST_HASHED < exact < _LARGEST_HASHED
            return exact if is_small else ("#", hex(exact) if isinstance(exact, int) else repr(exact))
        case _:
            return value  # type: ignore[no-any-return]  # a text or null


def measure(value: Any, most: int) -> tuple[int, int]:
    """How many values JSON consists of, and about how many characters; it stops when there are more values than that.

    What is shared counts each time.
    """
    pending, count, characters = [value], 0, 0
    while pending and count <= most:
        each = pending.pop()
        count += 1
        match each:
            case str():
                characters += len(each) + 2
            case dict():
                count += len(each)
                characters += 2 + sum(map(len, each)) + 4 * len(each)
                pending.extend(each.values())
            case list():
                characters += 2 + len(each)
                pending.extend(each)
            case int() if not isinstance(each, bool):
                characters += 1 + each.bit_length() // 3
            case _:
                characters += 5
    return count, characters


def _schema(value: Any) -> Schema | None:
    return normalize(value) if isinstance(value, dict | bool) else None


def _schemas(value: Any) -> list[Schema] | None:
    """A list of schemas; an empty one asks for nothing."""
    return [normalize(each) for each in value] or None if isinstance(value, list) else None


def _schema_map(value: Any) -> dict[str, Schema] | None:
    if not isinstance(value, dict):
        return None
    return {name: normalize(each) for name, each in value.items() if isinstance(name, str)}


def _types(value: Any) -> str | list[str] | None:
    """One known type or several, in lower case; those that are not known are left out."""
    if isinstance(value, str):
        return value.lower() if value.lower() in TYPES else None
    return list(dict.fromkeys(each.lower() for each in _strings(value) or () if each.lower() in TYPES)) or None


def _count(value: Any) -> int | None:
    """A whole number from 0 on; Google writes it as a string too."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:  # noqa: PLR2004  # beyond what any bound needs
        value = int(value)
    number = as_number(value)
    return int(number) if number is not None and number.denominator == 1 and number >= 0 else None


def _number(value: Any) -> NumberOrNone:
    return value if as_number(value) is not None else None


def _step(value: Any) -> NumberOrNone:
    number = as_number(value)
    return value if number is not None and number > 0 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _list(value: Any) -> list[Any] | None:
    return value if isinstance(value, list) else None


def _strings(value: Any) -> list[str] | None:
    """The strings of a list, each once."""
    return list(dict.fromkeys(each for each in value if isinstance(each, str))) if isinstance(value, list) else None


def _strings_map(value: Any) -> dict[str, list[str]] | None:
    if not isinstance(value, dict):
        return None
    return {name: strings for name, each in value.items() if (strings := _strings(each)) is not None}


def _only(wanted: bool) -> Reader:
    return lambda value: value if value is wanted else None


_AS_WRITTEN = ("const", "default", "example")
_READERS: dict[str, Reader] = {
    "$ref": _text,
    "title": _text,
    "description": _text,
    "examples": _list,
    # any type
    "type": _types,
    "enum": _list,
    "allOf": _schemas,
    "anyOf": _schemas,
    "oneOf": _schemas,
    "not": _schema,
    "if": _schema,
    "then": _schema,
    "else": _schema,
    # objects
    "properties": _schema_map,
    "required": _strings,
    "additionalProperties": _schema,
    "patternProperties": _schema_map,
    "propertyNames": _schema,
    "minProperties": _count,
    "maxProperties": _count,
    "dependentRequired": _strings_map,
    "unevaluatedProperties": _only(wanted=False),
    # arrays
    "prefixItems": _schemas,
    "items": _schema,
    "contains": _schema,
    "minContains": _count,
    "maxContains": _count,
    "minItems": _count,
    "maxItems": _count,
    "uniqueItems": _only(wanted=True),
    # strings
    "minLength": _count,
    "maxLength": _count,
    "pattern": _text,
    "format": _text,
    # numbers
    "minimum": _number,
    "maximum": _number,
    "exclusiveMinimum": _number,
    "exclusiveMaximum": _number,
    "multipleOf": _step,
}
