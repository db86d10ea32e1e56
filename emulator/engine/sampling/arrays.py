"""Arrays: as many items as must be, or a few."""

from random import Random
from typing import Any

from emulator.engine.sampling.schema import Part, TooLarge, contradiction, prefix_length, slots, too_large
from emulator.engine.sampling.state import Maker, Parts, Spot, highest, lowest, where
from emulator.errors import AnswerError

MOST_ITEMS = 1_000
_FEW = 2


def make_array(parts: Parts, spot: Spot, maker: Maker) -> list[Any]:
    """An array that satisfies all the schemas.

    Raises:
        AnswerError: The items that must be there cannot be made.
    """
    least, most = highest(parts, "minItems"), lowest(parts, "maxItems", MOST_ITEMS)
    if least > MOST_ITEMS:
        raise too_large(where(parts, "minItems"), f"minItems {least} is above {MOST_ITEMS}, the most items made")
    contained = [part for part in parts if part.has_schema("contains")]
    wanted = max((1 if (count := part.count("minContains")) is None else count for part in contained), default=0)
    # What must be contained comes after the items that are described one by one, if there is room.
    first = min(max((prefix_length(part) for part in parts), default=0), max(most - wanted, 0)) if wanted else 0
    least = max(least, first + wanted)
    if least > most:
        raise contradiction(where(parts, "minItems", "maxItems"), f"minItems {least} is above maxItems {most}")
    inner = spot.below(parts)
    is_unique = any(part.keywords.get("uniqueItems") is True for part in parts)
    made: list[Any] = []
    for index in range(_length(parts, inner, maker.random, (least, most))):
        item = tuple(slot for part in parts for slot in slots(part, index))
        if index >= least and not _is_wanted(item, inner, maker):
            break
        if first <= index < first + wanted:
            item += tuple(part.at("contains") for part in contained)
        try:
            made.append(maker.make(item or _anything(parts), inner, made if is_unique else ()))
        except TooLarge:
            raise
        except AnswerError:
            if index < least:
                raise
            break
    return made


def _length(parts: Parts, inner: Spot, random: Random, size: tuple[int, int]) -> int:
    """How many items to try for: all of a tuple, one or two of a list, only what must be when nesting is deep."""
    least, most = size
    few = max((prefix_length(part) for part in parts), default=0)
    if not inner.is_lean and (inner.is_retry or any(part.has_schema("items") for part in parts)):
        few = max(few, random.randint(0 if inner.is_retry else 1, 1 if inner.depth > _FEW else _FEW))
    return min(max(least, few), most)


def _is_wanted(item: Parts, inner: Spot, maker: Maker) -> bool:
    """Whether an item is made that need not be there: not if it leads back into what is around it."""
    return not maker.comes_round(item, inner) and not any(maker.heights.is_endless(part) for part in item)


def _anything(parts: Parts) -> Parts:
    return (Part(f"{parts[0].pointer}/items" if parts else "#/items"),)
