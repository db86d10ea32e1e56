"""Whether a value satisfies a schema: the part of JSON Schema that sampling understands, for choosing among branches.

Not judged: `unevaluatedProperties`, `unevaluatedItems`, `dependentSchemas`, `$dynamicRef`, formats without a checker.
"""

from collections.abc import Iterator
from typing import Any

from emulator.engine.sampling.formats import has_format
from emulator.engine.sampling.patterns import matches
from emulator.engine.sampling.schema import Document, Part, among, as_number, bounds, members, same, slots, types_of


def is_valid(value: Any, part: Part, document: Document, chain: frozenset[str] = frozenset()) -> bool:
    """Whether the value satisfies the schema.

    `chain` are the pointers of the schemas that led to this one for the same value: one that leads to itself is satisfied
    by nothing.

    Raises:
        AnswerError: A `$ref` points to nothing, or the schema has too many combinations.
    """
    document.spend(part)
    if part.never or part.pointer in chain:
        return False
    if not part.keywords:
        return True
    return (
        _has_type(value, part)
        and _is_listed(value, part)
        and _keeps_own_limits(value, part)
        and all(is_valid(item, inner, document) for item, inner in _children(value, part))
        and _has_contained(value, part, document)
        and _satisfies_branches(value, part, document, chain | {part.pointer})
    )


def is_type(value: Any, name: str) -> bool:
    """Whether a JSON value is of the named type; 1.0 is an integer too."""
    match value:
        case None:
            return name == "null"
        case bool():
            return name == "boolean"
        case int():
            return name in ("integer", "number")
        case float():
            return name == "number" or (name == "integer" and value.is_integer())
        case str():
            return name == "string"
        case list():
            return name == "array"
        case _:
            return name == "object"


def _has_type(value: Any, part: Part) -> bool:
    return any(is_type(value, name) for name in types_of(part))


def _is_listed(value: Any, part: Part) -> bool:
    values = part.keywords.get("enum")
    if isinstance(values, list) and not among(value, values):
        return False
    return "const" not in part.keywords or same(value, part.keywords["const"])


def _keeps_own_limits(value: Any, part: Part) -> bool:
    match value:
        case str():
            return _is_text(value, part)
        case list():
            return _is_counted(len(value), part, "Items") and not (
                part.keywords.get("uniqueItems") is True and _has_twins(value)
            )
        case dict():
            return _is_counted(len(value), part, "Properties") and _has_required(value, part)
        case _:
            return _is_number(value, part)


def _is_counted(length: int, part: Part, what: str) -> bool:
    least, most = part.count(f"min{what}"), part.count(f"max{what}")
    return (least is None or length >= least) and (most is None or length <= most)


def _is_text(value: str, part: Part) -> bool:
    pattern, name = part.text("pattern"), part.text("format")
    return (
        _is_counted(len(value), part, "Length")
        and (pattern is None or matches(pattern, value))
        and (name is None or has_format(value, name))
    )


def _is_number(value: Any, part: Part) -> bool:
    number = as_number(value)
    if number is None:
        return True
    for keyword, limit, strict in bounds(part):
        distance = number - limit if keyword == "minimum" else limit - number
        if distance < 0 or (strict and distance == 0):
            return False
    step = part.number("multipleOf")
    return step is None or step <= 0 or number % step == 0


def _has_twins(values: list[Any]) -> bool:
    return any(among(value, values[:index]) for index, value in enumerate(values))


def _has_required(value: dict[str, Any], part: Part) -> bool:
    dependent = part.mapping("dependentRequired")
    needed = [name for key, names in dependent.items() if key in value and isinstance(names, list) for name in names]
    return all(name in value for name in [*part.names("required"), *needed])


def _children(value: Any, part: Part) -> Iterator[tuple[Any, Part]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from ((item, inner) for inner in slots(part, index))
    if isinstance(value, dict):
        for name, item in value.items():
            yield from ((item, inner) for inner in members(part, name, matches))
            if part.has_schema("propertyNames"):
                yield name, part.at("propertyNames")


def _has_contained(value: Any, part: Part, document: Document) -> bool:
    if not isinstance(value, list) or not part.has_schema("contains"):
        return True
    wanted = part.at("contains")
    found = sum(is_valid(item, wanted, document) for item in value)
    least, most = part.count("minContains"), part.count("maxContains")
    return found >= (1 if least is None else least) and (most is None or found <= most)


def _satisfies_branches(value: Any, part: Part, document: Document, chain: frozenset[str]) -> bool:
    def holds(inner: Part) -> bool:
        return is_valid(value, inner, document, chain)

    target = document.target(part)
    any_of, one_of = part.each("anyOf"), part.each("oneOf")
    return (
        (target is None or holds(target))
        and all(holds(inner) for inner in part.each("allOf"))
        and (not any_of or any(holds(inner) for inner in any_of))
        and (not one_of or sum(holds(inner) for inner in one_of) == 1)
        and not (part.has_schema("not") and holds(part.at("not")))
        and _satisfies_condition(part, holds)
    )


def _satisfies_condition(part: Part, holds: Any) -> bool:
    if not part.has_schema("if"):
        return True
    branch = "then" if holds(part.at("if")) else "else"
    return not part.has_schema(branch) or bool(holds(part.at(branch)))
