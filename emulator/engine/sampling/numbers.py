"""Numbers within the bounds of a schema."""

import math
from collections.abc import Iterator
from fractions import Fraction
from random import Random

from emulator.engine.sampling.schema import as_number, bounds, contradiction
from emulator.engine.sampling.state import Parts, Spot, where
from emulator.engine.sampling.words import usual_range

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
    limits = [(limit, strict) for part in parts for keyword, limit, strict in bounds(part) if keyword == side]
    if not limits:
        return None
    pick = max if side == "minimum" else min
    tightest = pick(limit for limit, _ in limits)
    return tightest, any(strict for limit, strict in limits if limit == tightest)


def _step(parts: Parts, *, whole: bool) -> Fraction | None:
    """The least number of which all multiples satisfy every `multipleOf`."""
    steps = [step for part in parts if (step := part.number("multipleOf")) is not None and step > 0]
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
        exact, step = as_number(number), part.number("multipleOf")
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
