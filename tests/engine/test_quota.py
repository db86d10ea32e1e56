"""Token buckets as values: continuous refill, bursts, waits that are long enough."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.quota import Levels, Limits, compile_quotas, fill, find_shortage, may_wait, refill, settle, take
from emulator.scenario.loading import read_text


def quota_of(text: str) -> Limits:
    """The limits of a scenario's only quota."""
    (quota,) = compile_quotas(read_text(f"quota: {text}\nrules: [{{reply: x}}]").scenarios)
    return quota.limits


def try_take(quota: Limits, levels: Levels, now: float, tokens: int = 0) -> tuple[bool, Levels]:
    """Take a request's share if it is there."""
    levels = refill(quota, levels, now)
    if find_shortage(quota, levels, tokens) is not None:
        return False, levels
    return True, take(quota, levels, tokens)


def test_buckets_refill_continuously() -> None:
    """60 in a minute are one each second, not sixty after a minute."""
    quota = quota_of("{requests_per_minute: 60}")
    levels = fill(quota, 100.0)
    for _ in range(60):
        passed, levels = try_take(quota, levels, 100.0)
        assert passed
    assert not try_take(quota, levels, 100.0)[0]
    assert not try_take(quota, levels, 100.9)[0]
    passed, levels = try_take(quota, levels, 101.0)
    assert passed
    assert not try_take(quota, levels, 101.5)[0]


@given(st.integers(1, 100), st.lists(st.tuples(st.floats(0, 30, allow_nan=False), st.integers(0, 300)), max_size=60))
def test_no_more_is_admitted_than_refilled(limit: int, demands: list[tuple[float, int]]) -> None:
    """From the start to any moment at most one minute's worth and what was refilled since; the level never exceeds one minute's."""
    quota = replace(quota_of("{requests_per_minute: 1}"), requests=float(limit))
    levels, now, count = fill(quota, 0.0), 0.0, 0
    for pause, tokens in demands:
        now += pause
        passed, levels = try_take(quota, levels, now, tokens)
        count += passed
        assert levels.requests <= limit
        assert count <= limit + limit * now / 60 + 1e-3


@given(
    st.integers(1, 1000),
    st.integers(1, 5000),
    st.lists(st.tuples(st.floats(0, 20), st.integers(0, 4000)), min_size=1, max_size=30),
)
def test_the_wait_of_a_shortage_is_enough(requests: int, tokens: int, demands: list[tuple[float, int]]) -> None:
    """The wait that a shortage names is enough, and a tenth less is not."""
    quota = replace(quota_of("{requests_per_minute: 1, tokens_per_minute: 1}"), requests=requests, tokens=tokens)
    levels, now = fill(quota, 5.0), 5.0
    for pause, size in demands:
        now += pause
        levels = refill(quota, levels, now)
        shortage = find_shortage(quota, levels, size)
        if shortage is not None:
            if shortage.seconds > 0.001:
                assert find_shortage(quota, refill(quota, levels, now + shortage.seconds * 0.9), size) is not None
            now += shortage.seconds
            levels = refill(quota, levels, now)
            assert find_shortage(quota, levels, size) is None
        levels = take(quota, levels, size)


def test_queued_requests_take_their_share_at_once() -> None:
    """Three at once when one passes each second: 0, 1 and 2 seconds; the queue's length and timeout bound them."""
    quota = quota_of("{requests_per_minute: 60, queue: {length: 2, wait_ms: 1500}}")
    levels = replace(fill(quota, 0.0), requests=0.0)
    shortage = find_shortage(quota, levels, 0)
    assert shortage is not None
    assert shortage.limit == "requests"
    assert shortage.seconds == pytest.approx(1.0)
    assert may_wait(quota, levels, shortage)
    levels = take(quota, levels, 0, shortage)
    second = find_shortage(quota, levels, 0)
    assert second is not None
    assert second.seconds == pytest.approx(2.0)
    assert not may_wait(quota, levels, second)
    patient = replace(quota, queue_timeout=10.0)
    levels = take(patient, levels, 0, second)
    assert len(levels.queued) == 2
    third = find_shortage(patient, levels, 0)
    assert third is not None
    assert not may_wait(patient, levels, third), "the queue is full"
    later = refill(patient, levels, 1.5)
    assert len(later.queued) == 1


def test_a_request_larger_than_a_full_bucket_is_admitted() -> None:
    """Otherwise it never would; it leaves a debt that the next ones wait for."""
    quota = quota_of("{tokens_per_minute: 100}")
    passed, levels = try_take(quota, fill(quota, 0.0), 0.0, 250)
    assert passed
    assert levels.tokens == -150
    shortage = find_shortage(quota, levels, 10)
    assert shortage is not None
    assert shortage.seconds == pytest.approx(96.0)


def test_tokens_are_settled() -> None:
    """Tokens beyond the estimate are taken, fewer are given back, but never beyond a full bucket."""
    quota = quota_of("{tokens_per_minute: 100}")
    assert settle(quota, Levels(0.0, tokens=50.0), 70).tokens == -20
    assert settle(quota, Levels(0.0, tokens=50.0), -20).tokens == 70
    assert settle(quota, Levels(0.0, tokens=90.0), -20).tokens == 100
    assert settle(quota_of("{concurrent: 1}"), Levels(0.0), 70).tokens == 0
