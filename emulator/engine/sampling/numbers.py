"""Numbers within the bounds of schemas, exact where floats are not: 0.3 is three times 0.1."""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from random import Random

from emulator.budget import Budget
from emulator.engine.sampling.keywords import as_number
from emulator.engine.sampling.schema import Part, Parts, contradiction, pointer_of
from emulator.engine.sampling.strings import usual_range

_USUAL_SPAN = 100
_WIDE_SPAN = 10**6
_TRIES = 40
_MOST_DECIMALS = 12
_MOST_BITS = 14_000
"""The longest numbers; Python reads and writes 4,300 digits."""
_BOUNDS = 10
_CANDIDATE = 40
"""Units of work to read the bounds of a schema, and to try a number."""
_KEYWORDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")
_Bound = tuple[Fraction, bool]
"""A bound, and whether it is excluded itself."""


def make_number(parts: Parts, name: str, random: Random, budget: Budget, *, whole: bool, is_retry: bool) -> int | float:
    """A number within all bounds; one that suits the property's name where the bounds allow, unless it is a retry.

    Raises:
        AnswerError: The bounds leave no number.
        BudgetError: To find one takes too much work.
    """
    steps = [part for part in parts if "multipleOf" in part.keywords]
    budget.spend(_BOUNDS * len(parts))
    low, high = _tightest(parts, "minimum"), _tightest(parts, "maximum")
    pointer = pointer_of(parts, *_KEYWORDS)
    if low and high and low[0] > high[0]:
        raise contradiction(pointer, f"the minimum {_show(low[0])} is above the maximum {_show(high[0])}")
    step = _common_step(parts, whole=whole)
    usual = None if is_retry else usual_range(name)
    span = _WIDE_SPAN if is_retry else _USUAL_SPAN
    for start, end in _spans(low and low[0], high and high[0], usual, span):
        for number in _candidates(start, end, step, random):
            budget.spend(_CANDIDATE * (1 + len(steps)) + int(number).bit_length() // 8)
            exact = as_number(number)
            if exact is not None and _is_within(exact, low, high) and _is_multiple(number, exact, steps):
                return number
    given = ", ".join(f"{key} {part.keywords[key]}" for part in parts for key in _KEYWORDS if key in part.keywords)
    raise contradiction(pointer, f"no {'integer' if whole else 'number'} lies within its bounds ({given})")


def _tightest(parts: Parts, side: str) -> _Bound | None:
    limits = [(limit, is_excluded) for part in parts for limit, is_excluded in part.bounds(side)]
    if not limits:
        return None
    pick = max if side == "minimum" else min
    tightest = pick(limit for limit, _ in limits)
    return tightest, any(is_excluded for limit, is_excluded in limits if limit == tightest)


def _common_step(parts: Parts, *, whole: bool) -> Fraction | None:
    """The least number of which all multiples satisfy every `multipleOf`."""
    steps = [step for part in parts if (step := as_number(part.keywords.get("multipleOf"))) is not None]
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
            yield from (form for _ in range(_TRIES) for form in _as_json(_multiple(random.randint(first, last), step)))
        yield from (form for count in (first, last, first + 1, last - 1) for form in _as_json(_multiple(count, step)))
        return
    for decimals in (2, 2, 4, 8, _MOST_DECIMALS):
        share = Fraction(random.randint(0, 10**decimals), 10**decimals)
        yield from _as_json(round(low + (high - low) * share, decimals))
    yield from (form for exact in ((low + high) / 2, low, high) for form in _as_json(exact))


def _multiple(count: int, step: Fraction) -> int | Fraction:
    # Whole numbers are much faster than fractions.
    return count * step.numerator if step.denominator == 1 else count * step


def _as_json(exact: int | Fraction) -> Iterator[int | float]:
    """A number as JSON writes it: an int where it is whole, else the nearest float; none of thousands of digits."""
    if exact.numerator.bit_length() > _MOST_BITS or exact.denominator.bit_length() > _MOST_BITS:
        return
    if exact.denominator == 1:
        yield int(exact)
        return
    try:
        yield float(exact)
    except OverflowError:
        yield int(exact)


def _is_within(number: Fraction, low: _Bound | None, high: _Bound | None) -> bool:
    above = low is None or number > low[0] or (number == low[0] and not low[1])
    return above and (high is None or number < high[0] or (number == high[0] and not high[1]))


def _is_multiple(number: float, exact: Fraction, parts: Iterable[Part]) -> bool:
    """Whether a number is a multiple for clients, too, that divide floats: 0.3 is not one of 0.1 to them."""
    for written in (part.keywords["multipleOf"] for part in parts):
        step = as_number(written)
        if step is None or exact % step != 0:
            return False
        if isinstance(number, float) or isinstance(written, float):
            try:
                quotient = number / written
            except OverflowError:
                continue
            if not float(quotient).is_integer():
                return False
    return True


def _show(number: Fraction) -> str:
    return str(int(number)) if number.denominator == 1 else str(float(number))
