"""A value for a JSON Schema: the ways of satisfying it are tried one by one, and what comes out is judged."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from emulator.engine.sampling.keywords import TYPES, among
from emulator.engine.sampling.schema import Document, Part, TooLarge, contradiction, too_large
from emulator.engine.sampling.state import Heights, Parts, Spot, expand, where
from emulator.engine.sampling.validity import Validity
from emulator.engine.sampling.values import make_array, make_number, make_object, make_text
from emulator.errors import AnswerError

_MOST_VALUES = 20_000
_MANY_VALUES = 300
_DEEPEST = 40
_SHALLOW = 4
_WAYS = 24
_ATTEMPTS = 8
_TWIN_ATTEMPTS = 60


class Sampler:
    """One sampling: makes values of schemas inside the document, out of one source of randomness."""

    def __init__(self, document: Document, random: Random) -> None:
        self.document = document
        self.heights = Heights(document)
        self._validity = Validity(document)
        self.random = random
        self._made = 0
        self._failed: dict[tuple[str, ...], str] = {}

    def make(self, parts: Parts, spot: Spot, avoided: Sequence[Any] = ()) -> Any:
        """A value that satisfies all the schemas and is none of those avoided.

        Raises:
            AnswerError: No value was found.
        """
        self._made += 1
        pointer = parts[0].pointer
        if self._made > _MOST_VALUES:
            raise too_large(pointer, f"it asks for more than {_MOST_VALUES} values")
        if spot.depth > _DEEPEST:
            raise contradiction(pointer, f"it nests deeper than {_DEEPEST} levels, or without end")
        key = tuple(part.pointer for part in parts)
        if key in self._failed:
            raise AnswerError(self._failed[key])
        try:
            return self._make(parts, spot, avoided)
        except TooLarge:
            raise
        except AnswerError as error:
            if not avoided:
                self._failed[key] = str(error)
            raise

    def _make(self, parts: Parts, spot: Spot, avoided: Sequence[Any]) -> Any:
        if spot.depth >= _SHALLOW or self._made > _MANY_VALUES or self.comes_round(parts, spot):
            spot = replace(spot, is_lean=True)
        failure: AnswerError | None = None
        for number, way in enumerate(expand(parts, self.document, lambda group: self._rank(group, spot))):
            if number >= _WAYS:
                break
            kinds = self._kinds(way)
            if not kinds:
                failure = failure or contradiction(
                    where(way, "type"), f"the types {_show_types(way)} exclude each other"
                )
            for kind in kinds:
                try:
                    for value in self._attempts(way, kind, spot, avoided):
                        if not among(value, list(avoided)) and self.is_satisfied(value, parts):
                            return value
                except TooLarge:
                    raise
                except AnswerError as error:
                    failure = failure or error
        raise failure or contradiction(parts[0].pointer, self._why(parts, avoided))

    def is_satisfied(self, value: Any, parts: Parts) -> bool:
        """Whether the value satisfies all the schemas."""
        return all(self._validity.is_valid(value, part) for part in parts)

    def comes_round(self, parts: Parts, spot: Spot) -> bool:
        """Whether the schemas force the value into a schema it already stands in."""
        seen: set[str] = set()
        return any(self._comes_round(part, spot.trail, seen) for part in parts)

    def _comes_round(self, part: Part, trail: frozenset[str], seen: set[str]) -> bool:
        if part.pointer in trail:
            return True
        if part.pointer in seen:
            return False
        seen.add(part.pointer)
        target = self.document.target(part)
        joined = part.each("allOf") + ((target,) if target else ())
        if any(self._comes_round(inner, trail, seen) for inner in joined):
            return True
        groups = [group for group in (part.each("anyOf"), part.each("oneOf")) if group]
        return any(all(self._comes_round(inner, trail, seen) for inner in group) for group in groups)

    def _rank(self, group: list[Parts], spot: Spot) -> list[Parts]:
        """Branches at random, null last and recursion after that; when nesting must stop, those that end soonest first."""
        branches = [branch for branch in group if not any(self.heights.is_endless(part) for part in branch)]
        self.random.shuffle(branches)
        if spot.is_lean:
            return sorted(branches, key=lambda branch: max((self.heights.of(part) for part in branch), default=0))
        return sorted(branches, key=lambda branch: (self.comes_round(branch, spot), _is_null(branch)))

    def _kinds(self, way: Parts) -> list[str]:
        """The types that all the schemas allow, in the order in which they are tried."""
        kinds = [kind for kind in TYPES if all(_allows(part, kind) for part in way)]
        hinted = [hint for part in way if (hint := part.hinted_type()) is not None] or ["string"]
        named = [part for part in way if part.types != TYPES]
        if named:
            kinds = [kind for kind in kinds if kind != "null"]
            if "integer" in kinds and "number" in kinds:
                kinds.remove("integer")
            self.random.shuffle(kinds)
            return kinds + (["null"] if all(_allows(part, "null") for part in way) else [])
        return sorted(kinds, key=lambda kind: kind not in hinted)

    def _attempts(self, way: Parts, kind: str, spot: Spot, avoided: Sequence[Any]) -> Iterator[Any]:
        """Values of one type that are worth judging, the best looking first."""
        lists = [values for part in way if (values := part.listed) is not None]
        if lists:
            chosen = [value for value in lists[0] if value is not None or kind == "null"]
            yield from self.random.sample(chosen, len(chosen))
            return
        if not spot.is_retry and not avoided:
            yield from self._preferred(way)
        tries = _TWIN_ATTEMPTS if avoided else _ATTEMPTS
        for attempt in range(tries):
            retry = replace(spot, is_retry=True, is_lean=spot.is_lean or attempt == tries - 1) if attempt else spot
            yield self._build(way, kind, retry)

    def _preferred(self, way: Parts) -> Iterator[Any]:
        """Defaults, then examples in random order; what is null or empty shows nothing."""
        defaults = [part.keywords["default"] for part in way if "default" in part.keywords]
        examples = [part.keywords["example"] for part in way if "example" in part.keywords]
        examples += [example for part in way for example in part.keywords.get("examples", ())]
        yield from (
            value
            for value in [*defaults, *self.random.sample(examples, len(examples))]
            if value is not None and value not in ("", [], {})
        )

    def _build(self, way: Parts, kind: str, spot: Spot) -> Any:
        match kind:
            case "null":
                return None
            case "boolean":
                return self.random.random() < 0.5  # noqa: PLR2004  # even odds
            case "integer" | "number":
                return make_number(way, spot, self.random, whole=kind == "integer")
            case "string":
                return make_text(way, spot, self.random)
            case "array":
                return make_array(way, spot, self)
            case _:
                return make_object(way, spot, self)

    def _why(self, parts: Parts, avoided: Sequence[Any]) -> str:
        """What is most likely contradictory where nothing could even be tried or nothing was valid."""
        if any(part.never for part in parts):
            return "the schema false allows no value"
        if avoided:
            return f"it has no value that differs from the other {len(avoided)}, as uniqueItems asks"
        if any(self.heights.is_endless(part) for part in parts):
            return "it is recursive without end, or none of its branches can be satisfied"
        present = dict.fromkeys(key for part in parts for key in part.keywords if key not in _SILENT)
        return f"no value satisfies {', '.join(present) or 'it'} together"


_SILENT = {
    "title",
    "description",
    "default",
    "example",
    "examples",
    "$defs",
    "definitions",
    "$schema",
    "$id",
    "$comment",
}


def _show_types(way: Parts) -> str:
    return " and ".join(dict.fromkeys("/".join(part.types) for part in way if part.types != TYPES))


def _is_null(branch: Parts) -> bool:
    return any(part.types == ("null",) or part.listed == [None] for part in branch)


def _allows(part: Part, kind: str) -> bool:
    kinds = part.types
    return kind in kinds or (kind == "integer" and "number" in kinds)


_OBJECT = Part("#(object)", {"type": "object"})


def sample(schema: Any, random: Random) -> Any:
    """A JSON value that satisfies the schema: all properties near the top, only the required ones further down.

    The same schema and the same state of `random` give the same value.

    Raises:
        AnswerError: No value was found; the message names the place in the schema and what is contradictory.
    """
    return _make(schema, (), random)


def sample_arguments(parameters: Any, random: Random) -> dict[str, Any]:
    """Arguments for a tool that declares those `parameters` (a JSON Schema); empty when it declares none.

    Raises:
        AnswerError: The parameters allow no object.
    """
    if not isinstance(parameters, dict) or not parameters:
        return {}
    made = _make(parameters, (_OBJECT,), random)
    return made if isinstance(made, dict) else {}


def _make(schema: Any, others: Parts, random: Random) -> Any:
    try:
        document = Document(schema)
        return Sampler(document, random).make((document.root, *others), Spot())
    except RecursionError:
        raise contradiction("#", "it nests too deeply") from None
