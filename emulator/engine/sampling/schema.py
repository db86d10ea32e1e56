"""A JSON Schema document, read leniently: a keyword that is not what the specification asks for counts as absent.

Dialects: draft 2020-12 and 7, with what people bring along from draft 4 (`exclusiveMinimum: true`), from OpenAPI 3.0
(`nullable`, `example`) and from Google's own schemas (`type: "STRING"`, `minItems: "1"`).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from urllib.parse import unquote

from emulator.errors import AnswerError

TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_MOST_WORK = 1_000_000
_HINTS = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties", "propertyNames"),
    "array": ("items", "prefixItems", "minItems", "uniqueItems", "contains"),
    "string": ("pattern", "minLength", "maxLength", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One schema of the document: its keywords, and the JSON pointer where it stands."""

    pointer: str
    keywords: dict[str, Any] = field(default_factory=dict)
    never: bool = False
    """The schema `false`, which no value satisfies."""

    def at(self, *tokens: str | int) -> "Part":
        """The schema below this one at those tokens, which must exist."""
        schema: Any = self.keywords
        for token in tokens:
            schema = schema[token]
        return read(self.pointer + "".join(f"/{escape(str(token))}" for token in tokens), schema)

    def each(self, keyword: str) -> tuple["Part", ...]:
        """The schemas that a keyword lists: `allOf`, `anyOf`, `prefixItems`, ..."""
        if keyword not in self.keywords:
            return ()
        return tuple(self.at(keyword, index) for index in range(len(self.values(keyword))))

    def values(self, keyword: str) -> list[Any]:
        """A keyword that is a list; empty when it is anything else."""
        value = self.keywords.get(keyword)
        return value if isinstance(value, list) else []

    def mapping(self, keyword: str) -> dict[str, Any]:
        """A keyword that is an object; empty when it is anything else."""
        value = self.keywords.get(keyword)
        return value if isinstance(value, dict) else {}

    def has_schema(self, keyword: str) -> bool:
        """Whether a keyword holds a schema: an object, true or false."""
        return isinstance(self.keywords.get(keyword), dict | bool)

    def names(self, keyword: str) -> list[str]:
        """The strings that a keyword lists."""
        return [name for name in self.values(keyword) if isinstance(name, str)]

    def text(self, keyword: str) -> str | None:
        """A keyword that is a string."""
        value = self.keywords.get(keyword)
        return value if isinstance(value, str) else None

    def count(self, keyword: str) -> int | None:
        """A keyword that is a whole number from 0 on; Google writes it as a string too."""
        value = self.keywords.get(keyword)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:  # noqa: PLR2004  # beyond what any bound needs
            value = int(value)
        number = as_number(value)
        return int(number) if number is not None and number.denominator == 1 and number >= 0 else None

    def number(self, keyword: str) -> Fraction | None:
        """A keyword that is a finite number."""
        return as_number(self.keywords.get(keyword))


def read(pointer: str, schema: Any) -> Part:
    """What stands at a pointer as a schema; anything but an object or a boolean allows every value."""
    if isinstance(schema, dict):
        return Part(pointer, schema)
    return Part(pointer, never=schema is False)


def escape(token: str) -> str:
    """A key as one token of a JSON pointer."""
    return token.replace("~", "~0").replace("/", "~1")


def as_number(value: Any) -> Fraction | None:
    """The exact value a JSON number was written with (0.1 is one tenth); None for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return Fraction(value)
    return Fraction(repr(value)) if math.isfinite(value) else None


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    return bool(left == right)


def among(value: Any, values: list[Any]) -> bool:
    """Whether a JSON value is in a list, by `same`."""
    return any(same(value, other) for other in values)


def types_of(part: Part) -> tuple[str, ...]:
    """The JSON types a schema names, in its order; all types when it names none it could mean."""
    named = part.keywords.get("type")
    if named is None:
        return TYPES
    words = [named] if isinstance(named, str) else part.names("type")
    known = [word.lower() for word in words if word.lower() in TYPES]
    if known and part.keywords.get("nullable") is True:
        known.append("null")
    return tuple(dict.fromkeys(known)) or TYPES


def hinted_type(part: Part) -> str | None:
    """The type that a schema without `type` most likely means, judged by its keywords."""
    for name, keywords in _HINTS.items():
        if any(keyword in part.keywords for keyword in keywords):
            return name
    return None


def listed(part: Part) -> list[Any] | None:
    """The values of `enum` or `const`; None when the schema has neither."""
    if "const" in part.keywords:
        return [part.keywords["const"]]
    values = part.keywords.get("enum")
    return values if isinstance(values, list) else None


def bounds(part: Part) -> Iterator[tuple[str, Fraction, bool]]:
    """The numeric bounds of a schema: ("minimum" or "maximum", value, whether the value itself is excluded)."""
    for keyword, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        limit = part.number(keyword)
        if limit is not None:
            yield keyword, limit, part.keywords.get(exclusive) is True
        strict = part.number(exclusive)
        if strict is not None:
            yield keyword, strict, True


def members(part: Part, name: str, matches: Any) -> Iterator[Part]:
    """What a schema asks of the property of that name; `matches(pattern, name)` judges `patternProperties`."""
    known = False
    if name in part.mapping("properties"):
        known = True
        yield part.at("properties", name)
    for pattern in part.mapping("patternProperties"):
        if matches(pattern, name):
            known = True
            yield part.at("patternProperties", pattern)
    if not known and part.has_schema("additionalProperties"):
        yield part.at("additionalProperties")


def slots(part: Part, index: int) -> Iterator[Part]:
    """What a schema asks of the array item at an index; draft 7's list in `items` is read as `prefixItems`."""
    prefix = "items" if isinstance(part.keywords.get("items"), list) else "prefixItems"
    rest = "additionalItems" if prefix == "items" else "items"
    if index < len(part.values(prefix)):
        yield part.at(prefix, index)
    elif part.has_schema(rest):
        yield part.at(rest)


def prefix_length(part: Part) -> int:
    """How many array items a schema describes one by one."""
    return len(part.values("prefixItems")) or len(part.values("items"))


class Document:
    """The schema document as a whole, in which `$ref` finds its targets."""

    def __init__(self, schema: Any) -> None:
        self.root = read("#", schema)
        self._targets: dict[str, Part] = {}
        self._left = _MOST_WORK

    def spend(self, part: Part) -> None:
        """Count one use of a schema, so that no document keeps the server busy for more than a few seconds.

        Raises:
            TooLarge: The schemas of this document have been used a million times.
        """
        self._left -= 1
        if self._left < 0:
            raise too_large(part.pointer, "its branches have too many combinations")

    def target(self, part: Part) -> Part | None:
        """What the `$ref` of a schema points to; None without `$ref`.

        Raises:
            AnswerError: It points outside the document or to nothing in it.
        """
        reference = part.text("$ref")
        if reference is None:
            return None
        if reference not in self._targets:
            self._targets[reference] = self._find(reference, part.pointer)
        return self._targets[reference]

    def _find(self, reference: str, pointer: str) -> Part:
        base = self.root.text("$id")
        path = reference.removeprefix(base) if base else reference
        path = unquote(path)
        if path in ("#", ""):
            return self.root
        value: Any = self.root.keywords
        tokens = [token.replace("~1", "/").replace("~0", "~") for token in path.split("/")[1:]]
        if not path.startswith("#/"):
            raise self._dangling(reference, pointer)
        for token in tokens:
            if isinstance(value, dict) and token in value:
                value = value[token]
            elif isinstance(value, list) and token.isascii() and token.isdigit() and int(token[:9]) < len(value):
                value = value[int(token[:9])]
            else:
                raise self._dangling(reference, pointer)
        return read("#" + "".join(f"/{escape(token)}" for token in tokens), value)

    @staticmethod
    def _dangling(reference: str, pointer: str) -> AnswerError:
        return contradiction(pointer, f'$ref "{reference}" is not in the schema; a JSON pointer like "#/$defs/Name" is')


class TooLarge(AnswerError):  # noqa: N818 - errors of the house are named for what happened
    """The schema asks for more than the emulator makes; no other choice among its branches is tried."""


def contradiction(pointer: str, reason: str) -> AnswerError:
    """The error for a schema, named by its pointer, that no value made here satisfies."""
    return AnswerError(f"cannot make a value for the schema at {pointer}: {reason}")


def too_large(pointer: str, reason: str) -> TooLarge:
    """The error for a schema, named by its pointer, that asks for too much."""
    return TooLarge(f"cannot make a value for the schema at {pointer}: {reason}")
