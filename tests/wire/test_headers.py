"""Response headers: their values, what replaces what, in which order, and what is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.wire.errors import JSON_TYPE
from emulator.wire.headers import (
    MAAS_HEADERS,
    MAAS_JSON_TYPE,
    MAX_HEADER_VALUE,
    Headers,
    encode_headers,
    find_value_problem,
    header_text,
    replace_headers,
    write_lines,
)


def lines(headers: Headers, status: int = 200) -> list[str]:
    """The encoded header lines."""
    return [f"{name.decode()}: {value.decode()}" for name, value in encode_headers(headers, status)]


def test_headers_of_open_models() -> None:
    """Those that were captured, in the captured order."""
    assert lines((("content-type", MAAS_JSON_TYPE), *MAAS_HEADERS)) == [
        "content-type: application/json",
        "vary: X-Origin",
        "vary: Referer",
        "vary: Origin,Accept-Encoding",
        "server: scaffolding on HTTPServer2",
        "x-xss-protection: 0",
        "x-frame-options: SAMEORIGIN",
        "x-content-type-options: nosniff",
        "accept-ranges: none",
    ]


def test_repeated_and_removed_headers() -> None:
    """A list of lines takes the place of the front end's, null leaves them out, and new ones stand at the end."""
    given = (
        ("content-type", JSON_TYPE),
        ("Vary", "a"),
        ("vary", "b"),
        ("Server", None),
        ("x-mine", "1"),
        ("X-Mine", "2"),
    )
    written = lines(given)
    assert written[:3] == [f"content-type: {JSON_TYPE}", "vary: a", "vary: b"]
    assert not [line for line in written if line.startswith("server")]
    assert written[-2:] == ["x-mine: 1", "x-mine: 2"]


def test_the_front_end_of_refused_credentials_can_be_replaced() -> None:
    """Its server has another name, unless the answer gives one."""
    assert "server: ESF" in lines((("content-type", JSON_TYPE),), 401)
    assert "server: mine" in lines((("content-type", JSON_TYPE), ("server", "mine")), 401)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ((), "a=1 b=2 a=3"),
        ((("A", "9"),), "A=9 b=2"),
        ((("a", "8"), ("c", "7"), ("a", "9")), "a=8 a=9 b=2 c=7"),
        ((("b", None), ("c", None)), "a=1 b=None a=3 c=None"),
    ],
)
def test_replacing(others: Headers, expected: str) -> None:
    """All lines of a name are replaced by all given ones, at the place of the first."""
    found = replace_headers((("a", "1"), ("b", "2"), ("a", "3")), others)
    assert " ".join(f"{name}={value}" for name, value in found) == expected


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
