"""What the makers of objects, arrays, texts and numbers share: the state of one sampling and where in it they stand."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Protocol

from emulator.engine.sampling.choices import Parts
from emulator.engine.sampling.heights import Heights
from emulator.engine.sampling.schemas import Document, Part
from emulator.values import dataclass


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
    return max((count for part in parts if (count := part.count(keyword)) is not None), default=default)


def lowest(parts: Parts, keyword: str, default: int) -> int:
    """The smallest count that the schemas give for a keyword (`maxItems`: all must hold)."""
    return min((count for part in parts if (count := part.count(keyword)) is not None), default=default)


def where(parts: Parts, *keywords: str) -> str:
    """The pointer of the first of the schemas that has one of the keywords, for an error."""
    found = [part for part in parts if any(keyword in part.keywords for keyword in keywords)]
    return (found or list(parts))[0].pointer if parts else "#"
