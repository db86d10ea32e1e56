"""What the makers of objects, arrays, texts and numbers share: the state of one sampling and where in it they stand."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from random import Random
from typing import Any, Protocol

from emulator.engine.sampling.schema import Document, Part

ENDLESS = 65
"""The height of a schema that never ends, or not within what is made: 64 steps, `$ref`s and branches included."""


class Heights:
    """The heights of the schemas of one document, each worked out once."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._fits: dict[tuple[str, int], bool] = {}
        self._heights: dict[str, int] = {}

    def of(self, part: Part) -> int:
        """The least number of steps below the schema, or ENDLESS.

        Raises:
            AnswerError: A `$ref` on the way points to nothing.
        """
        if part.pointer not in self._heights:
            low, high = 0, ENDLESS
            if self._can_end(part, ENDLESS - 1):
                high = ENDLESS - 1
                while low < high:
                    middle = (low + high) // 2
                    low, high = (low, middle) if self._can_end(part, middle) else (middle + 1, high)
            self._heights[part.pointer] = high
        return self._heights[part.pointer]

    def is_endless(self, part: Part) -> bool:
        """Whether no value of the schema can be finished."""
        return not self._can_end(part, ENDLESS - 1)

    def _can_end(self, part: Part, steps: int) -> bool:
        """Whether a value can be finished in so many steps; every hop costs one, so this ends even where schemas do not."""
        if part.never or steps < 0:
            return False
        if not part.keywords:
            return True
        key = (part.pointer, steps)
        if key not in self._fits:
            self._fits[key] = self._reaches(part, steps - 1)
        return self._fits[key]

    def _reaches(self, part: Part, steps: int) -> bool:
        target = self._document.target(part)
        needed = list(part.each("allOf")) + ([target] if target else [])
        if part.listed is None:
            needed += self._forced_children(part)
        if not all(self._can_end(inner, steps) for inner in needed):
            return False
        groups = [group for group in (part.each("anyOf"), part.each("oneOf")) if group]
        return all(any(self._can_end(inner, steps) for inner in group) for group in groups)

    @staticmethod
    def _forced_children(part: Part) -> list[Part]:
        kinds = part.types
        if kinds == ("object",):
            return [inner for name in part.required for inner in part.property_schemas(name)]
        if kinds == ("array",) and part.keywords.get("minItems"):
            return list(part.item_schema(0))
        return []


Parts = tuple[Part, ...]
Ranking = Callable[[list[Parts]], list[Parts]]
"""Puts the branches of an `anyOf`, `oneOf` or `if` in the order in which they are tried, and leaves hopeless ones out."""

_MOST_PARTS = 300


def expand(parts: Parts, document: Document, rank: Ranking) -> Iterator[Parts]:
    """Each way to satisfy all the schemas, as the flat list of schemas that then hold together.

    `oneOf`, `not` and a failing `if` are left for the finished value to be judged by. A schema that leads only to itself
    has no way.
    """
    yield from _expand(tuple((part, frozenset[str]()) for part in parts), (), document, rank)


def _expand(
    todo: tuple[tuple[Part, frozenset[str]], ...], done: Parts, document: Document, rank: Ranking
) -> Iterator[Parts]:
    """`todo` carries for each schema the pointers of those that led to it without going down into the value."""
    while todo:
        (part, chain), *others = todo
        todo = tuple(others)
        document.spend(part)
        if part.never or part.pointer in chain or len(done) > _MOST_PARTS:
            return
        if not part.keywords or any(part.pointer == other.pointer for other in done):
            continue
        done = (*done, part)
        chain |= {part.pointer}
        target = document.target(part)
        joined = part.each("allOf") + ((target,) if target else ())
        todo += tuple((inner, chain) for inner in joined)
        groups = _groups(part)
        if groups:
            for picks in product(*(rank(group) for group in groups)):
                picked = tuple((inner, chain) for pick in picks for inner in pick)
                yield from _expand(todo + picked, done, document, rank)
            return
    yield done


def _groups(part: Part) -> list[list[Parts]]:
    groups: list[list[Parts]] = [
        [(inner,) for inner in part.each(keyword)] for keyword in ("anyOf", "oneOf") if keyword in part.keywords
    ]
    if "if" in part.keywords:
        then: Parts = (part.at("then"),) if "then" in part.keywords else ()
        otherwise: Parts = (part.at("else"),) if "else" in part.keywords else ()
        groups.append([(part.at("if"), *then), otherwise])
    return groups


@dataclass(frozen=True, slots=True)
class Spot:
    """Where in the value something is made, and in what mood."""

    depth: int = 0
    """Objects and arrays around it."""
    trail: frozenset[str] = frozenset()
    """The pointers of the schemas of all that is around it."""
    name: str = ""
    """The name of the nearest property around it."""
    is_lean: bool = False
    """Only what must be there: nesting is deep, or a recursive schema has come round again."""
    is_retry: bool = False
    """An earlier attempt was not valid: leave defaults and examples, take optional properties at random."""

    def below(self, parts: Iterable[Part]) -> "Spot":
        """The spot of something inside a value of these schemas."""
        return replace(self, depth=self.depth + 1, trail=self.trail | {part.pointer for part in parts})

    def named(self, name: str) -> "Spot":
        """The spot of the property of that name."""
        return replace(self, name=name)


class Maker(Protocol):
    """One sampling: makes values of schemas inside the document, out of one source of randomness."""

    document: Document
    heights: Heights
    random: Random

    def make(self, parts: Parts, spot: Spot, avoided: Sequence[Any] = ()) -> Any:
        """A value that satisfies all the schemas and is none of those avoided.

        Raises:
            AnswerError: No value was found.
        """

    def is_satisfied(self, value: Any, parts: Parts) -> bool:
        """Whether the value satisfies all the schemas."""

    def comes_round(self, parts: Parts, spot: Spot) -> bool:
        """Whether the schemas force the value into a schema it already stands in."""


def highest(parts: Parts, keyword: str, default: int = 0) -> int:
    """The largest count that the schemas give for a keyword (`minItems`: all must hold)."""
    return max((count for part in parts if (count := part.keywords.get(keyword)) is not None), default=default)


def lowest(parts: Parts, keyword: str, default: int) -> int:
    """The smallest count that the schemas give for a keyword (`maxItems`: all must hold)."""
    return min((count for part in parts if (count := part.keywords.get(keyword)) is not None), default=default)


def where(parts: Parts, *keywords: str) -> str:
    """The pointer of the first of the schemas that has one of the keywords, for an error."""
    found = [part for part in parts if any(keyword in part.keywords for keyword in keywords)]
    return (found or list(parts))[0].pointer if parts else "#"
