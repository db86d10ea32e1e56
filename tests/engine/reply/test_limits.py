"""Output limits: token limit and stop sequences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.reply.limits import OutputLimits, apply_limits, read_limits
from emulator.engine.reply.parts import CallPart, Part, TextPart, make_text
from emulator.engine.request.token_estimates import estimate_tokens

CALL = CallPart("get_weather", '{"city":"Oslo"}', "id", None, None)


def texts(parts: tuple[Part, ...]) -> list[str]:
    """The texts of parts."""
    return [part.text if isinstance(part, TextPart) else "call" for part in parts]


def test_requests_without_limits_have_none() -> None:
    """A request without limits is not searched."""
    assert read_limits({}) is None
    assert read_limits({"stop": None, "max_tokens": None}) is None
    assert read_limits({"stop": ""}) is None
    assert read_limits({"stop": "x"}) == OutputLimits(None, ("x",))
    assert read_limits({"stop": ["x", ""], "max_tokens": 9, "max_completion_tokens": 5}) == OutputLimits(5, ("x",))


def test_texts_are_cut_at_the_estimate() -> None:
    """Four bytes a token; the pieces stay as they were divided."""
    kept, finish = apply_limits((make_text(("One ", "two ", "three.")),), OutputLimits(2, ()))
    assert (texts(kept), finish) == (["One two "], "length")
    assert isinstance(kept[0], TextPart)
    assert kept[0].pieces == ("One ", "two ")


def test_what_fits_is_left_alone() -> None:
    """No cut, no finish reason."""
    parts: tuple[Part, ...] = (make_text(("12345678",)), CALL)
    assert apply_limits(parts, OutputLimits(100, ())) == (parts, None)


def test_thoughts_count_towards_the_limit() -> None:
    """They can leave no content at all."""
    parts: tuple[Part, ...] = (make_text(("12345678",), is_thought=True), make_text(("Answer.",)))
    assert texts(apply_limits(parts, OutputLimits(3, ()))[0]) == ["12345678", "Answ"]
    assert texts(apply_limits(parts, OutputLimits(2, ()))[0]) == ["12345678"]
    assert texts(apply_limits(parts, OutputLimits(1, ()))[0]) == ["1234"]


def test_calls_that_do_not_fit_are_left_out() -> None:
    """A call is whole or not there."""
    assert texts(apply_limits((make_text(("1234",)), CALL), OutputLimits(3, ()))[0]) == ["1234"]


@pytest.mark.parametrize(
    ("stops", "left"),
    [
        (("two",), ["One "]),
        (("e tw",), ["On"]),
        (("three", "O"), [""]),
        (("xyz",), ["One ", "two three"]),
        (("ee",), ["One ", "two thr"]),
    ],
)
def test_stop_sequences_stop_wherever_they_begin(stops: tuple[str, ...], left: list[str]) -> None:
    """The earliest counts, also across steps; it is not in the answer."""
    parts = (make_text(("One ",)), make_text(("two ", "three")))
    kept, finish = apply_limits(parts, OutputLimits(None, stops))
    assert texts(kept) == left
    assert finish == (None if stops == ("xyz",) else "stop")


def test_stop_sequences_do_not_look_into_thoughts() -> None:
    """Only what is visible stops; calls behind the stop are gone."""
    parts = (make_text(("END",), is_thought=True), make_text(("Hello END",)), CALL)
    assert texts(apply_limits(parts, OutputLimits(None, ("END",)))[0]) == ["END", "Hello "]


@given(
    st.lists(st.text(max_size=20), min_size=1, max_size=5),
    st.integers(1, 20),
    st.lists(st.text(min_size=1, max_size=2), max_size=2),
)
def test_limited_texts_begin_the_whole_and_keep_the_limits(pieces: list[str], most: int, stops: list[str]) -> None:
    """Whatever the text, what is left is its beginning, short enough, and without the stop sequences."""
    whole = "".join(pieces)
    kept, _ = apply_limits((make_text(tuple(pieces)),), OutputLimits(most, tuple(stops)))
    left = "".join(texts(kept))
    assert whole.startswith(left)
    assert estimate_tokens(left) <= most
    assert not any(stop in left for stop in stops)
