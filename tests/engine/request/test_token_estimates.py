"""Token estimates: deterministic, never zero for a text, growing with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.request.token_estimates import estimate_all, estimate_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("four", 1), ("fives", 2), ("ééé", 2), ("天気", 2), ("\ud800", 1), ("x" * 4001, 1001)],
)
def test_four_bytes_are_a_token(text: str, tokens: int) -> None:
    """A token is four bytes of UTF-8, rounded up."""
    assert estimate_tokens(text) == tokens


@given(st.text(), st.text())
def test_longer_text_has_no_fewer_tokens(left: str, right: str) -> None:
    """An estimate never falls when text is added, nor rises above the sum of its parts."""
    assert estimate_tokens(left) <= estimate_tokens(left + right) <= estimate_tokens(left) + estimate_tokens(right)


@given(st.lists(st.text()))
def test_several_texts_have_the_tokens_of_each(texts: list[str]) -> None:
    """Added: as many as if each were estimated alone."""
    assert estimate_all(texts) == sum(estimate_tokens(text) for text in texts)
