"""A JSON Schema document: its schemas with their pointers, and what `$ref` points to."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from urllib.parse import unquote

from emulator.engine.sampling.keywords import TYPES, Schema, as_number, normalize
from emulator.engine.sampling.patterns import matches
from emulator.errors import AnswerError

_MOST_USES = 1_000_000
_MOST_CONTAINERS = 100_000
_HINTS = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties", "propertyNames"),
    "array": ("items", "prefixItems", "minItems", "uniqueItems", "contains"),
    "string": ("pattern", "minLength", "maxLength", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One schema of the document, normalized: its keywords, and the JSON pointer where it stands."""

    pointer: str
    keywords: dict[str, Any] = field(default_factory=dict)
    never: bool = False
    """The schema `false`, which no value satisfies."""

    def at(self, *tokens: str | int) -> "Part":
        """The schema below this one at those tokens, which must exist."""
        schema: Any = self.keywords
        for token in tokens:
            schema = schema[token]
        return _part(self.pointer + "".join(f"/{escape(str(token))}" for token in tokens), schema)

    def each(self, keyword: str) -> tuple["Part", ...]:
        """The schemas that a keyword lists: `allOf`, `anyOf`, `prefixItems`, ..."""
        return tuple(self.at(keyword, index) for index in range(len(self.keywords.get(keyword, ()))))

    def mapping(self, keyword: str) -> dict[str, Any]:
        """A keyword that is an object; empty without the keyword."""
        found: dict[str, Any] = self.keywords.get(keyword, {})
        return found

    @property
    def required(self) -> list[str]:
        """The names of required properties."""
        names: list[str] = self.keywords.get("required", [])
        return names

    @property
    def types(self) -> tuple[str, ...]:
        """The JSON types the schema names, in its order; all types when it names none."""
        named = self.keywords.get("type", TYPES)
        return (named,) if isinstance(named, str) else tuple(named)

    @property
    def listed(self) -> list[Any] | None:
        """The values of `const` or `enum`; None when the schema has neither."""
        if "const" in self.keywords:
            return [self.keywords["const"]]
        return self.keywords.get("enum")

    @property
    def bounds(self) -> Iterator[tuple[str, Fraction, bool]]:
        """The numeric bounds: ("minimum" or "maximum", value, whether the value itself is excluded)."""
        for side, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            for keyword, is_excluded in ((side, False), (exclusive, True)):
                limit = as_number(self.keywords.get(keyword))
                if limit is not None:
                    yield side, limit, is_excluded

    @property
    def is_map(self) -> bool:
        """Whether the schema describes properties of any name."""
        return isinstance(self.keywords.get("additionalProperties"), dict)

    @property
    def alternatives(self) -> list[tuple["Part", ...]]:
        """The branches of `anyOf`, and those of `oneOf`."""
        return [self.each(keyword) for keyword in ("anyOf", "oneOf") if keyword in self.keywords]

    def hinted_type(self) -> str | None:
        """The type that a schema without `type` most likely means, judged by its keywords."""
        return next((name for name, hints in _HINTS.items() if any(hint in self.keywords for hint in hints)), None)

    def property_schemas(self, name: str) -> tuple["Part", ...]:
        """What the schema asks of the property of that name."""
        found = [self.at("properties", name)] if name in self.mapping("properties") else []
        patterns = self.mapping("patternProperties")
        found += [self.at("patternProperties", pattern) for pattern in patterns if matches(pattern, name)]
        if not found and "additionalProperties" in self.keywords:
            found = [self.at("additionalProperties")]
        return tuple(found)

    def item_schemas(self, index: int) -> tuple["Part", ...]:
        """What the schema asks of the array item at an index."""
        if index < len(self.keywords.get("prefixItems", ())):
            return (self.at("prefixItems", index),)
        return (self.at("items"),) if "items" in self.keywords else ()


Parts = tuple[Part, ...]
"""Schemas that a value satisfies together."""


def largest(parts: Parts, keyword: str) -> int:
    """The largest count that the schemas give for a keyword such as `minItems`, of which all must hold; else 0."""
    return max((part.keywords[keyword] for part in parts if keyword in part.keywords), default=0)


def smallest(parts: Parts, keyword: str, default: int) -> int:
    """The smallest count that the schemas give for a keyword such as `maxItems`, of which all must hold."""
    return min((part.keywords[keyword] for part in parts if keyword in part.keywords), default=default)


def pointer_of(parts: Parts, *keywords: str) -> str:
    """The pointer of the first of the schemas that has one of the keywords, for an error."""
    found = [part for part in parts if any(keyword in part.keywords for keyword in keywords)]
    return (found or list(parts))[0].pointer if parts else "#"


def _part(pointer: str, schema: Schema) -> Part:
    return Part(pointer, schema) if isinstance(schema, dict) else Part(pointer, never=not schema)


def escape(token: str) -> str:
    """A key as one token of a JSON pointer."""
    return token.replace("~", "~0").replace("/", "~1")


class Document:
    """The schema document as a whole, in which `$ref` finds its targets.

    Raises:
        TooLarge: It has more than 100,000 objects and lists.
        RecursionError: It nests too deeply.
    """

    def __init__(self, schema: Any) -> None:
        if _has_more_containers(schema, _MOST_CONTAINERS):
            raise too_large("#", f"it has more than {_MOST_CONTAINERS} objects and lists")
        self._schema = schema
        self.root = _part("#", normalize(schema))
        self._targets: dict[str, Part] = {}
        self._left = _MOST_USES

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
        reference = part.keywords.get("$ref")
        if reference is None:
            return None
        if reference not in self._targets:
            found = self._find(reference)
            if found is None:
                reason = f'$ref "{reference}" is not in the schema; a JSON pointer like "#/$defs/Name" is'
                raise contradiction(part.pointer, reason)
            self._targets[reference] = found
        return self._targets[reference]

    def conjuncts(self, part: Part) -> Parts:
        """The schemas that a value of the schema satisfies as well: those in `allOf`, and what `$ref` points to."""
        target = self.target(part)
        return (*part.each("allOf"), target) if target else part.each("allOf")

    def _find(self, reference: str) -> Part | None:
        base = self._schema.get("$id")
        path = unquote(reference.removeprefix(base) if isinstance(base, str) else reference)
        if path in ("#", ""):
            return self.root
        if not path.startswith("#/"):
            return None
        value = self._schema
        tokens = [token.replace("~1", "/").replace("~0", "~") for token in path.split("/")[1:]]
        for token in tokens:
            if isinstance(value, dict) and token in value:
                value = value[token]
            elif isinstance(value, list) and token.isascii() and token.isdigit() and int(token[:9]) < len(value):
                value = value[int(token[:9])]
            else:
                return None
        return _part("#" + "".join(f"/{escape(token)}" for token in tokens), normalize(value))


def _has_more_containers(value: Any, most: int) -> bool:
    """Whether JSON has more objects and lists than that; shared ones count each time, and it stops when there are more."""
    pending = [value]
    count = 0
    while pending and count <= most:
        value = pending.pop()
        if isinstance(value, dict | list):
            count += 1
            pending.extend(value.values() if isinstance(value, dict) else value)
    return count > most


class TooLarge(AnswerError):  # noqa: N818 - errors of the house are named for what happened
    """The schema asks for more than the emulator makes; no other choice among its branches is tried."""


def contradiction(pointer: str, reason: str) -> AnswerError:
    """The error for a schema, named by its pointer, that no value made here satisfies."""
    return AnswerError(f"cannot make a value for the schema at {pointer}: {reason}")


def too_large(pointer: str, reason: str) -> TooLarge:
    """The error for a schema, named by its pointer, that asks for too much."""
    return TooLarge(f"cannot make a value for the schema at {pointer}: {reason}")
