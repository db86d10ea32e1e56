"""JSON as it is written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.wire.json_text import dump, dump_in_pieces

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
)


@given(VALUES)
def test_pieces_join_to_what_is_written_at_once(value: Any) -> None:
    """Of any value."""
    assert b"".join(dump_in_pieces(value)) == dump(value, infinite="strings")


@pytest.mark.parametrize("text", ["a" * 3_000_001, '\u00e9"\\\n\ud800' * 500_000, "\U0001f600" * 1_100_000])
def test_long_texts_are_written_in_pieces(text: str) -> None:
    """None of them long."""
    pieces = list(dump_in_pieces({"a": [text]}))
    assert b"".join(pieces) == dump({"a": [text]}, infinite="strings")
    assert len(pieces) > 4
