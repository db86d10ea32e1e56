"""Budgets of work: short ones end early, and otherwise say the same."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.budget import SHORT_SHARE, Budget, BudgetError, LongWorkError
from emulator.engine.request.readings import MAX_SEARCH_SECONDS, Readings
from emulator.scenario.patterns import PatternError, compile_pattern


@given(st.lists(st.integers(0, 300), max_size=20))
def test_a_short_budget_ends_early_or_like_any_other(steps: list[int]) -> None:
    """Up to a part of the work it lets everything pass; an error that it raises is that of the whole budget."""
    whole, short = Budget(1000, 0), Budget(1000, 0, is_short=True)
    spent = 0
    for units in steps:
        try:
            short.spend(units)
        except LongWorkError:
            assert 1000 // SHORT_SHARE < spent + units <= 1000
            return
        except BudgetError:
            with pytest.raises(BudgetError):
                whole.spend(units)
            return
        whole.spend(units)
        spent += units
        assert spent <= 1000 // SHORT_SHARE


def test_searches_on_the_event_loop_end_when_their_time_is_over() -> None:
    """The clock is read behind each search in a long text, and behind some in short ones; without a clock there is no end."""
    now = [0.0]
    readings = Readings(lambda: now[0])
    pattern = compile_pattern(r"\d\d")
    texts = (str(number) + "a" * 10 for number in count(100))
    for _ in range(100):
        assert readings.is_found(pattern, next(texts))
    now[0] = MAX_SEARCH_SECONDS + 0.001
    with pytest.raises(LongWorkError):
        readings.is_found(pattern, "a" * 100_000)
    reads = [False]
    while not reads[-1]:
        try:
            readings.is_found(pattern, next(texts))
            reads.append(False)
        except LongWorkError:
            reads.append(True)
    assert 2 < len(reads) < 20
    Readings().is_found(pattern, "a" * 100_000)


def test_searches_of_one_request_are_bounded_together() -> None:
    """However many rules have patterns, each of which is bearable; each is searched for once in a text."""
    readings = Readings()
    text = "lorem ipsum " * 20_000
    patterns = [compile_pattern(rf"(?!z)\w+\s\d{{{number}}}") for number in range(1, 100)]
    for _ in range(1000):
        assert not readings.is_found(patterns[0], text)
    with pytest.raises(PatternError, match=r'all rules together would take too long on this request; "\(\?!z'):
        any(readings.is_found(pattern, text) for pattern in patterns)
