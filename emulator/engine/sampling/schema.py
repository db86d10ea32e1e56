"""A JSON Schema document: its schemas with their pointers, and what `$ref` points to."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote

from emulator.budget import Budget, BudgetError
from emulator.engine.sampling.keywords import TYPES, Schema, as_number, key_of, measure, normalize
from emulator.engine.sampling.patterns import Patterns
from emulator.errors import AnswerError

_READING = 4
"""Units of work to read one value of a schema."""
_LONGEST_TOKEN = 200
_LONGEST_SHOWN = 500
_EXCLUSIVE = {"minimum": "exclusiveMinimum", "maximum": "exclusiveMaximum"}
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

    def bounds(self, side: str) -> Iterator[tuple[Fraction, bool]]:
        """The numeric bounds on one side, "minimum" or "maximum": the value, and whether it is excluded itself."""
        for keyword, is_excluded in ((side, False), (_EXCLUSIVE[side], True)):
            if keyword in self.keywords and (limit := as_number(self.keywords[keyword])) is not None:
                yield limit, is_excluded

    @property
    def is_map(self) -> bool:
        """Whether the schema describes properties of any name."""
        return isinstance(self.keywords.get("additionalProperties"), dict)

    @property
    def alternatives(self) -> list[tuple["Part", ...]]:
        """The branches of `anyOf`, and those of `oneOf`."""
        return [self.each(keyword) for keyword in ("anyOf", "oneOf") if keyword in self.keywords]

    @property
    def width(self) -> int:
        """How many schemas it lists that judge the same value."""
        return sum(len(self.keywords[keyword]) for keyword in ("allOf", "anyOf", "oneOf") if keyword in self.keywords)

    def hinted_type(self) -> str | None:
        """The type that a schema without `type` most likely means, judged by its keywords."""
        return next((name for name, hints in _HINTS.items() if any(hint in self.keywords for hint in hints)), None)

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
    """A key as one token of a JSON pointer; of a long one the beginning and a checksum."""
    if len(token) > _LONGEST_TOKEN:
        checksum = blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        token = f"{token[:40]}...{checksum}"
    return token.replace("~", "~0").replace("/", "~1")


class Document:
    """The schema document as a whole, in which `$ref` finds its targets, and the budget of the value that is made for it.

    Raises:
        BudgetError: It is too large.
        RecursionError: It nests too deeply.
    """

    def __init__(self, schema: Any, budget: Budget, patterns: Patterns) -> None:
        self.budget = budget
        self.patterns = patterns
        self._schema = schema
        self.root = _part("#", self._read(schema))
        self._targets: dict[str, Part] = {}

    def _read(self, schema: Any) -> Schema:
        count, _ = measure(schema, self.budget.work // _READING)
        self.budget.spend(_READING * count, "it is too large")
        return normalize(schema)

    def key(self, value: Any) -> Hashable:
        """A key that is equal for equal JSON values. Raises BudgetError."""
        if isinstance(value, list | dict):
            self.budget.spend(measure(value, self.budget.work)[0])
        return key_of(value)

    def property_schemas(self, part: Part, name: str) -> tuple[Part, ...]:
        """What a schema asks of the property of that name. Raises BudgetError."""
        found = [part.at("properties", name)] if name in part.mapping("properties") else []
        patterns = part.mapping("patternProperties")
        found += [part.at("patternProperties", each) for each in patterns if self.patterns.find(each, name)]
        if not found and "additionalProperties" in part.keywords:
            found = [part.at("additionalProperties")]
        return tuple(found)

    def target(self, part: Part) -> Part | None:
        """What the `$ref` of a schema points to; None without `$ref`.

        Raises:
            AnswerError: It points outside the document or to nothing in it.
            BudgetError: It is too large.
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
        self.budget.spend(len(reference))
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
        return _part("#" + "".join(f"/{escape(token)}" for token in tokens), self._read(value))


class TooLarge(BudgetError):  # noqa: N818  # errors of the house are named for what happened
    """The schema asks for more than the emulator makes; no other choice among its branches is tried."""

    def __init__(self, pointer: str, reason: str) -> None:
        self.pointer = pointer
        super().__init__(reason)


def contradiction(pointer: str, reason: str) -> AnswerError:
    """The error for a schema, named by its pointer, that no value made here satisfies."""
    return AnswerError(f"cannot make a value for the schema at {_shorten(pointer)}: {_shorten(reason)}")


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
