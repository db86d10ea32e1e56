"""Whether a value satisfies a schema, in work that the budget counts.

A validator of our own: what the packages do is not bounded by the size of schema and value. jsonschema-rs 0.61 takes 35 s for twenty
`allOf` with `unevaluatedProperties` around each other, and all of them judge a value as often as `$ref`s lead to a schema. Here each
schema judges a value once.

Not judged: `unevaluatedItems`, `dependentSchemas`, `$dynamicRef`, formats that are not known here, and what the network has.
"""

from collections.abc import Hashable
from typing import Any

from emulator.engine.sampling.formats import has_format
from emulator.engine.sampling.keywords import as_number
from emulator.engine.sampling.schema import Document, Part, Parts
from emulator.errors import AnswerError

_VISIT = 12
"""Units of work for a schema and a value that it judges."""
_BRANCHES = frozenset(("$ref", "allOf", "anyOf", "oneOf", "not", "if"))


class Validity:
    """Judges values by the schemas of one document."""

    def __init__(self, document: Document, *, with_formats: bool = True) -> None:
        """Formats say what a model should write, but it need not."""
        self._document = document
        self._with_formats = with_formats
        self._spend = document.budget.spend
        self._enums: dict[str, frozenset[Hashable]] = {}
        self._known: dict[tuple[str, int], bool] = {}
        """What schemas, by pointer, say of values, by identity."""
        self._alive: list[Any] = []
        """The values that have been judged, so that no other gets their identity; they do not change any more."""

    def is_valid(self, value: Any, part: Part) -> bool:
        """Whether the value, which must not change any more, satisfies the schema. Raises BudgetError."""
        self._alive.append(value)
        return self._judge(value, part)

    def _judge(self, value: Any, part: Part) -> bool:
        if part.never or not part.keywords:
            return not part.never
        key, known = (part.pointer, id(value)), self._known
        if key not in known:
            self._spend(_VISIT + _VISIT * part.width + len(part.pointer) // 32)
            known[key] = True  # a schema that leads back to itself adds nothing
            known[key] = (
                self._has_type(value, part)
                and self._is_listed(value, part)
                and self._is_valid_for_type(value, part)
                and (_BRANCHES.isdisjoint(part.keywords) or self._fits_branches(value, part))
                and self._has_only_evaluated(value, part)
            )
        return known[key]

    def _has_type(self, value: Any, part: Part) -> bool:
        return "type" not in part.keywords or any(_is_of(value, name) for name in part.types)

    def _is_listed(self, value: Any, part: Part) -> bool:
        for keyword in ("const", "enum"):
            if keyword not in part.keywords:
                continue
            pointer = f"{part.pointer}/{keyword}"
            if pointer not in self._enums:
                listed = part.keywords[keyword] if keyword == "enum" else [part.keywords[keyword]]
                self._enums[pointer] = frozenset(self._document.key(each) for each in listed)
            if self._document.key(value) not in self._enums[pointer]:
                return False
        return True

    def _is_valid_for_type(self, value: Any, part: Part) -> bool:
        match value:
            case str():
                return self._is_valid_text(value, part)
            case dict():
                return self._is_valid_object(value, part)
            case list():
                return self._is_valid_array(value, part)
            case int() | float() if not isinstance(value, bool):
                return self._is_valid_number(value, part)
            case _:
                return True

    def _is_valid_text(self, text: str, part: Part) -> bool:
        keywords = part.keywords
        if not _is_between(len(text), keywords, "minLength", "maxLength"):
            return False
        if "pattern" in keywords and self._document.patterns.find(keywords["pattern"], text) is False:
            return False
        if "format" not in keywords or not self._with_formats:
            return True
        return has_format(text, keywords["format"], self._document.budget)

    def _is_valid_number(self, number: float, part: Part) -> bool:
        keywords = part.keywords
        if not _is_between(number, keywords, "minimum", "maximum"):
            return False
        if "exclusiveMinimum" in keywords and number <= keywords["exclusiveMinimum"]:
            return False
        if "exclusiveMaximum" in keywords and number >= keywords["exclusiveMaximum"]:
            return False
        if "multipleOf" not in keywords:
            return True
        step, exact = as_number(keywords["multipleOf"]), as_number(number)
        if step is None or exact is None:
            return True
        self._spend(_VISIT + exact.numerator.bit_length() // 64)
        return exact % step == 0

    def _is_valid_object(self, value: dict[str, Any], part: Part) -> bool:
        keywords = part.keywords
        self._spend(len(part.required))
        if not all(name in value for name in part.required):
            return False
        if not _is_between(len(value), keywords, "minProperties", "maxProperties"):
            return False
        for name, others in part.mapping("dependentRequired").items():
            self._spend(1 + len(others))
            if name in value and not all(other in value for other in others):
                return False
        if "propertyNames" in keywords:
            names = part.at("propertyNames")
            if not all(self._judge(name, names) for name in value):
                return False
        if not any(keyword in keywords for keyword in ("properties", "patternProperties", "additionalProperties")):
            return True
        return all(
            self._judge(each, schema)
            for name, each in value.items()
            for schema in self._document.property_schemas(part, name)
        )

    def _is_valid_array(self, value: list[Any], part: Part) -> bool:
        keywords = part.keywords
        if not _is_between(len(value), keywords, "minItems", "maxItems"):
            return False
        if "items" in keywords or "prefixItems" in keywords:
            self._spend(len(value))
            if not all(
                self._judge(each, schema) for index, each in enumerate(value) for schema in part.item_schemas(index)
            ):
                return False
        if "uniqueItems" in keywords and len({self._document.key(each) for each in value}) < len(value):
            return False
        if "contains" not in keywords:
            return True
        contained = part.at("contains")
        count = sum(self._judge(each, contained) for each in value)
        return _is_between(count, {"minContains": 1, **keywords}, "minContains", "maxContains")

    def _conjuncts(self, part: Part) -> Parts:
        """The schemas that hold as well; a `$ref` that points to nothing asks for nothing."""
        try:
            return self._document.conjuncts(part)
        except AnswerError:
            return part.each("allOf")

    def _fits_branches(self, value: Any, part: Part) -> bool:
        keywords = part.keywords

        def judge(inner: Part) -> bool:
            return self._judge(value, inner)

        if not all(map(judge, self._conjuncts(part))):
            return False
        if "anyOf" in keywords and not any(map(judge, part.each("anyOf"))):
            return False
        if "oneOf" in keywords and sum(map(judge, part.each("oneOf"))) != 1:
            return False
        if "not" in keywords and judge(part.at("not")):
            return False
        branch = ("then" if judge(part.at("if")) else "else") if "if" in keywords else None
        return branch not in keywords or judge(part.at(branch))

    def _has_only_evaluated(self, value: Any, part: Part) -> bool:
        """Whether `unevaluatedProperties: false` leaves every property of an object."""
        if "unevaluatedProperties" not in part.keywords or not isinstance(value, dict):
            return True
        return len(self._evaluated(value, part, set())) == len(value)

    def _evaluated(self, value: dict[str, Any], part: Part, seen: set[str]) -> set[str]:
        """The names of the properties that a schema says something of, itself or through those that hold with it."""
        if part.pointer in seen:
            return set()
        seen.add(part.pointer)
        self._spend(len(value) + _VISIT)
        names = {name for name in value if self._document.property_schemas(part, name)}
        inner = [*self._conjuncts(part), *part.each("anyOf"), *part.each("oneOf")]
        if "if" in part.keywords:
            condition = part.at("if")
            branch = "then" if self._judge(value, condition) else "else"
            inner += [condition, *([part.at(branch)] if branch in part.keywords else [])]
        for each in inner:
            if self._judge(value, each):
                if "unevaluatedProperties" in each.keywords:
                    return set(value)
                names |= self._evaluated(value, each, seen)
        return names


def _is_between(size: float, keywords: dict[str, Any], least: str, most: str) -> bool:
    return bool(keywords.get(least, size) <= size <= keywords.get(most, size))


def _is_of(value: Any, type_: str) -> bool:
    match value:
        case None:
            return type_ == "null"
        case bool():
            return type_ == "boolean"
        case str():
            return type_ == "string"
        case int():
            return type_ in ("integer", "number")
        case float():
            return type_ == "number" or (type_ == "integer" and value.is_integer())
        case list():
            return type_ == "array"
        case _:
            return type_ == "object"
