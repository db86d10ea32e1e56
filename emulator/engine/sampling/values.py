"""Objects: every property near the top, only the required ones further down."""

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from random import Random
from typing import Any

from emulator.engine.sampling.formats import has_format, is_known, write_format
from emulator.engine.sampling.keywords import as_number
from emulator.engine.sampling.patterns import LONGEST_TEXT, matches, write_matching
from emulator.engine.sampling.schema import (
    Part,
    TooLarge,
    contradiction,
    escape,
    too_large,
)
from emulator.engine.sampling.state import Maker, Parts, Spot, highest, lowest, where
from emulator.engine.sampling.words import plausible, usual_range, write_name, write_words
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
    contained = [part for part in parts if "contains" in part.keywords]
    wanted = max((1 if (count := part.keywords.get("minContains")) is None else count for part in contained), default=0)
    # What must be contained comes after the items that are described one by one, if there is room.
    first = min(max((len(part.keywords.get("prefixItems", ())) for part in parts), default=0), max(most - wanted, 0)) if wanted else 0
    least = max(least, first + wanted)
    if least > most:
        raise contradiction(where(parts, "minItems", "maxItems"), f"minItems {least} is above maxItems {most}")
    inner = spot.below(parts)
    is_unique = any(part.keywords.get("uniqueItems") is True for part in parts)
    made: list[Any] = []
    for index in range(_length(parts, inner, maker.random, (least, most))):
        item = tuple(slot for part in parts for slot in part.item_schema(index))
        if index >= least and not _is_wanted_item(item, inner, maker):
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
    few = max((len(part.keywords.get("prefixItems", ())) for part in parts), default=0)
    if not inner.is_lean and (inner.is_retry or any("items" in part.keywords for part in parts)):
        few = max(few, random.randint(0 if inner.is_retry else 1, 1 if inner.depth > _FEW else _FEW))
    return min(max(least, few), most)


def _is_wanted_item(item: Parts, inner: Spot, maker: Maker) -> bool:
    """Whether an item is made that need not be there: not if it leads back into what is around it."""
    return not maker.comes_round(item, inner) and not any(maker.heights.is_endless(part) for part in item)


def _anything(parts: Parts) -> Parts:
    return (Part(f"{parts[0].pointer}/items" if parts else "#/items"),)


_SPAN = 100
_WIDE_SPAN = 10**6
_TRIES = 40
_MOST_DECIMALS = 12
_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")


def make_number(parts: Parts, spot: Spot, random: Random, *, whole: bool) -> int | float:
    """A number within all bounds; one that its property's name makes plausible where the bounds allow.

    Raises:
        AnswerError: The bounds leave no number.
    """
    low, high = _limit(parts, "minimum"), _limit(parts, "maximum")
    step = _step(parts, whole=whole)
    pointer = where(parts, *_BOUNDS)
    if low and high and low[0] > high[0]:
        raise contradiction(pointer, f"the minimum {_show(low[0])} is above the maximum {_show(high[0])}")
    usual = None if spot.is_retry else usual_range(spot.name)
    span = _WIDE_SPAN if spot.is_retry else _SPAN
    for start, end in _spans(low and low[0], high and high[0], usual, span):
        for number in _candidates(start, end, step, random):
            exact = as_number(number)
            if exact is not None and _is_within(exact, low, high) and _divides(number, parts):
                return number
    raise contradiction(pointer, f"no {'integer' if whole else 'number'} lies within its bounds ({_given(parts)})")


def _limit(parts: Parts, side: str) -> tuple[Fraction, bool] | None:
    """The tightest bound of a side and whether it is excluded itself."""
    limits = [(limit, strict) for part in parts for keyword, limit, strict in part.bounds if keyword == side]
    if not limits:
        return None
    pick = max if side == "minimum" else min
    tightest = pick(limit for limit, _ in limits)
    return tightest, any(strict for limit, strict in limits if limit == tightest)


def _step(parts: Parts, *, whole: bool) -> Fraction | None:
    """The least number of which all multiples satisfy every `multipleOf`."""
    steps = [step for part in parts if (step := as_number(part.keywords.get("multipleOf"))) is not None and step > 0]
    if whole:
        steps.append(Fraction(1))
    if not steps:
        return None
    common = steps[0]
    for step in steps[1:]:
        common = Fraction(math.lcm(common.numerator, step.numerator), math.gcd(common.denominator, step.denominator))
    return common


def _spans(
    low: Fraction | None, high: Fraction | None, usual: tuple[int, int] | None, span: int
) -> Iterator[tuple[Fraction, Fraction]]:
    """Where to look for a number, the most plausible span first."""
    if usual and (low is None or low <= usual[0]) and (high is None or high >= usual[1]):
        yield Fraction(usual[0]), Fraction(usual[1])
    if low is None:
        top = Fraction(span) if high is None else min(high, Fraction(span))
        yield (Fraction(1), top) if top >= 1 else (top - span, top)
        return
    yield low, low + span if high is None else min(high, low + span)
    if high is not None:
        yield low, high


def _candidates(low: Fraction, high: Fraction, step: Fraction | None, random: Random) -> Iterator[int | float]:
    if step is not None:
        first, last = math.ceil(low / step), math.floor(high / step)
        # In a span without a multiple the nearest ones on either side may still lie within the bounds.
        if first <= last:
            yield from (form for _ in range(_TRIES) for form in _forms(random.randint(first, last) * step))
        yield from (form for count in (first, last, first + 1, last - 1) for form in _forms(count * step))
        return
    for decimals in (2, 2, 4, 8, _MOST_DECIMALS):
        share = Fraction(random.randint(0, 10**decimals), 10**decimals)
        yield from _forms(round(low + (high - low) * share, decimals))
    yield from (form for exact in ((low + high) / 2, low, high) for form in _forms(exact))


def _forms(exact: Fraction) -> Iterator[int | float]:
    """A number as JSON writes it: an int where it is whole, else the nearest float."""
    if exact.denominator == 1:
        yield int(exact)
        return
    try:
        yield float(exact)
    except OverflowError:
        yield int(exact)


def _is_within(number: Fraction, low: tuple[Fraction, bool] | None, high: tuple[Fraction, bool] | None) -> bool:
    above = low is None or number > low[0] or (number == low[0] and not low[1])
    return above and (high is None or number < high[0] or (number == high[0] and not high[1]))


def _divides(number: float, parts: Parts) -> bool:
    """Whether a number is a multiple for those, too, who divide floats: 0.3 is not one of 0.1 to them."""
    for part in parts:
        exact, step = as_number(number), as_number(part.keywords.get("multipleOf"))
        if exact is None or step is None or step <= 0:
            continue
        if exact % step != 0:
            return False
        written = part.keywords["multipleOf"]
        if isinstance(number, float) or isinstance(written, float):
            try:
                quotient = number / written
            except OverflowError:
                continue
            if not float(quotient).is_integer():
                return False
    return True


def _given(parts: Parts) -> str:
    return ", ".join(f"{key} {part.keywords[key]}" for part in parts for key in _BOUNDS if key in part.keywords)


def _show(number: Fraction) -> str:
    return str(int(number)) if number.denominator == 1 else str(float(number))


MOST_PROPERTIES = 1_000
_NAME_TRIES = 30
_LONGEST_NAME = 60


def make_object(parts: Parts, spot: Spot, maker: Maker) -> dict[str, Any]:
    """An object that satisfies all the schemas, its properties in the order of the schemas.

    Raises:
        AnswerError: A property that must be there cannot be made or is not allowed.
    """
    least, most = highest(parts, "minProperties"), lowest(parts, "maxProperties", MOST_PROPERTIES)
    required = _required(parts)
    if max(least, len(required)) > MOST_PROPERTIES:
        raise too_large(where(parts, "minProperties"), f"more than {MOST_PROPERTIES} properties are asked for")
    if max(least, len(required)) > most:
        reason = f"maxProperties {most} is below the {max(least, len(required))} properties that must be there"
        raise contradiction(where(parts, "maxProperties"), reason)
    inner = spot.below(parts)
    made = {name: _make_required(name, parts, inner, maker) for name in required}
    optional = [name for name in _named(parts) if name not in made]
    for name in optional:
        if len(made) < most and _is_wanted_property(name, parts, inner, maker):
            _add(made, name, parts, inner, maker)
    names = chain(optional, _other_names(parts, inner, maker))
    wanted = max(least, len(made) + _extras(parts, made, inner, maker))
    while len(made) < min(wanted, most) and (other := next(names, None)) is not None:
        if other not in made:
            _add(made, other, parts, inner, maker)
    if len(made) < least:
        raise contradiction(where(parts, "minProperties"), f"minProperties {least}, but only {len(made)} could be made")
    return _complete(_sorted(made, parts), parts, inner, maker)


def _named(parts: Parts) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part.mapping("properties")))


def _required(parts: Parts) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part.required))


def _sorted(made: dict[str, Any], parts: Parts) -> dict[str, Any]:
    order = {name: index for index, name in enumerate(dict.fromkeys([*_named(parts), *made]))}
    return dict(sorted(made.items(), key=lambda item: order[item[0]]))


def _property(name: str, parts: Parts) -> Parts:
    """What the schemas together ask of a property; free when they say nothing."""
    found = tuple(member for part in parts for member in part.property_schemas(name))
    return found or (Part(f"{where(parts, 'required')}/properties/{escape(name)}"),)


def _make_required(name: str, parts: Parts, inner: Spot, maker: Maker) -> Any:
    wanted = _property(name, parts)
    if any(part.never for part in wanted) or not _may_be_called(name, parts, maker):
        raise contradiction(where(parts, "required"), f'property "{name}" is required but not allowed')
    return maker.make(wanted, inner.named(name))


def _may_be_called(name: str, parts: Parts, maker: Maker) -> bool:
    return maker.is_satisfied(
        name, tuple(part.at("propertyNames") for part in parts if "propertyNames" in part.keywords)
    )


def _is_wanted_property(name: str, parts: Parts, inner: Spot, maker: Maker) -> bool:
    """Whether an optional property is put in: near the top, unless it leads back into what is around it."""
    wanted = _property(name, parts)
    if inner.is_lean or maker.comes_round(wanted, inner) or any(maker.heights.is_endless(part) for part in wanted):
        return False
    return not inner.is_retry or maker.random.random() < 0.5  # noqa: PLR2004  # even odds


def _add(made: dict[str, Any], name: str, parts: Parts, inner: Spot, maker: Maker) -> None:
    """Put a property in that need not be there, if it can be made."""
    wanted = _property(name, parts)
    if any(part.never for part in wanted) or not _may_be_called(name, parts, maker):
        return
    try:
        made[name] = maker.make(wanted, inner.named(name))
    except TooLarge:
        raise
    except AnswerError:
        return


def _extras(parts: Parts, made: dict[str, Any], inner: Spot, maker: Maker) -> int:
    """How many properties to make up: one for a plain map, none beside named properties."""
    values = [
        part.at("additionalProperties") for part in parts if isinstance(part.keywords.get("additionalProperties"), dict)
    ]
    is_map = bool(values) and not made and not _named(parts)
    return 1 if is_map and not inner.is_lean and not maker.comes_round(tuple(values), inner) else 0


def _other_names(parts: Parts, inner: Spot, maker: Maker) -> Iterator[str]:
    """Names for properties that the schemas do not name, as far as they may have any."""
    if any(part.keywords.get("unevaluatedProperties") is False for part in parts):
        return
    rules = tuple(part.at("propertyNames") for part in parts if "propertyNames" in part.keywords)
    patterns = list(dict.fromkeys(pattern for part in parts for pattern in part.mapping("patternProperties")))
    taken: list[str] = []
    for attempt in range(MOST_PROPERTIES + _NAME_TRIES):
        for pattern in patterns:
            yield from list(write_matching(pattern, maker.random, 1, _LONGEST_NAME))[:2]
        if not rules:
            name = write_name(maker.random)
            yield f"{name}_{attempt}" if attempt > _NAME_TRIES else name
            continue
        try:
            name = maker.make((*rules, Part("#(name)", {"type": "string"})), inner, taken)
        except AnswerError:
            return
        taken.append(name)
        yield name


def _complete(made: dict[str, Any], parts: Parts, inner: Spot, maker: Maker) -> dict[str, Any]:
    """Add what `dependentRequired` asks for beside the properties that are there."""
    todo = list(made)
    for name in todo:
        for part in parts:
            names = part.mapping("dependentRequired").get(name)
            for other in names if isinstance(names, list) else []:
                if isinstance(other, str) and other not in made:
                    made[other] = _make_required(other, parts, inner, maker)
                    todo.append(other)
    return made


_USUAL_ROOM = 200
_SHORT = 20


def make_text(parts: Parts, spot: Spot, random: Random) -> str:
    """A string that satisfies all the schemas; empty only if it must be.

    Raises:
        AnswerError: Length, format and pattern exclude each other, or the pattern is too hard.
    """
    least, most = highest(parts, "minLength"), lowest(parts, "maxLength", LONGEST_TEXT)
    if least > most:
        pointer = where(parts, "minLength", "maxLength")
        if most == LONGEST_TEXT:
            raise too_large(pointer, f"minLength {least} is above {LONGEST_TEXT}, the longest text made")
        raise contradiction(pointer, f"minLength {least} is above maxLength {most}")
    formats = [name for part in parts if (name := part.keywords.get("format")) is not None]
    patterns = [pattern for part in parts if (pattern := part.keywords.get("pattern")) is not None]
    for text in _text_candidates(parts, spot, random, (max(least, min(most, 1)), most)):
        if all(matches(pattern, text) for pattern in patterns) and all(has_format(text, name) for name in formats):
            return text
    if (
        least == 0
        and all(matches(pattern, "") for pattern in patterns)
        and all(has_format("", name) for name in formats)
    ):
        return ""
    wanted = [f"format {name}" for name in formats] + [f'pattern "{pattern}"' for pattern in patterns]
    raise contradiction(
        where(parts, "pattern", "format"),
        f"no text of {least} to {most} characters was found for {' and '.join(wanted)}",
    )


def _text_candidates(parts: Parts, spot: Spot, random: Random, size: tuple[int, int]) -> Iterator[str]:
    least, most = size
    known = [name for part in parts if (name := part.keywords.get("format")) is not None and is_known(name)]
    patterns = [pattern for part in parts if (pattern := part.keywords.get("pattern")) is not None]
    if not known and not spot.is_retry:
        name = spot.name or next((title for part in parts if (title := part.keywords.get("title"))), "")
        description = next((text for part in parts if (text := part.keywords.get("description"))), "")
        yield from (text for text in plausible(name, description, random) if least <= len(text) <= most)
    for name in known:
        yield from write_format(name, random, least, most)
    for pattern in patterns:
        yield from write_matching(pattern, random, least, most)
    # Long words are not tried on a pattern: it would hardly match, and some take for ever to find that out.
    if not patterns or least <= _SHORT:
        yield write_words(random, least, min(most, max(least, _SHORT if patterns else _USUAL_ROOM)))
