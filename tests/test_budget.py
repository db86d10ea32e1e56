"""Budgets of work: short ones end early, and otherwise say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.budget import SHORT_SHARE, Budget, BudgetError, LongWorkError
from emulator.engine.request.readings import MAX_SEARCH_SECONDS, Readings


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
    for _ in range(100):
        readings.check_time(10)
    now[0] = MAX_SEARCH_SECONDS + 0.001
    with pytest.raises(LongWorkError):
        readings.check_time(100_000)
    reads = [False]
    while not reads[-1]:
        try:
            readings.check_time(10)
            reads.append(False)
        except LongWorkError:
            reads.append(True)
    assert 2 < len(reads) < 20
    Readings().check_time(100_000)
