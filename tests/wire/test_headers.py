"""Values of response headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.wire.headers import MAX_HEADER_VALUE, find_value_problem, header_text, write_lines

TEXTS = st.text(st.characters()) | st.integers(0, 10_000).map(lambda count: "aé\n" * count)


@given(TEXTS)
def test_header_texts_are_one_short_line(text: str) -> None:
    """Whatever the text, HTTP allows the value."""
    value = header_text(text)
    assert len(value) <= MAX_HEADER_VALUE
    assert not value or (value.isascii() and value.isprintable())
    write_lines([(b"x-a", value.encode())])


@given(TEXTS)
def test_values_without_a_problem_can_be_sent(text: str) -> None:
    """HTTP allows all values in which no problem is found."""
    if not find_value_problem(text):
        assert len(text) <= MAX_HEADER_VALUE
        write_lines([(b"x-a", text.encode("latin-1", "replace"))])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a\r\n b", "a b"),
        ("a\x1b[0m", "a?[0m"),
        ("größe", "gr??e"),
        ("x" * 4096, "x" * 4096),
        ("x" * 4097, "x" * 4093 + "..."),
        ("", ""),
    ],
)
def test_header_texts(text: str, value: str) -> None:
    """White space becomes a space, other characters a question mark; a long text is cut."""
    assert header_text(text) == value
