"""The tool that fits a text is found by shared word stems."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.request.tools import best_tool

WEATHER = ("get_current_weather", "Get the current weather in a given location")
STOCKS = ("getStockPrice", "Look up the last price of a share")
BOOKING = ("flight-booking", "Books flights between two cities")
TRAIN = ("search_trains", "Find train connections between two cities")
JAPANESE = ("予約", "レストラン を 予約 する")
GERMAN = ("wetter_abfragen", "Fragt das Wetter für eine Stadt ab")
TOOLS = [WEATHER, STOCKS, BOOKING, TRAIN, JAPANESE, GERMAN]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is the weather like in Boston?", WEATHER),
        ("Give me the PRICE of GOOG stock, please", STOCKS),
        ("I want to book a flight to Paris", BOOKING),
        ("Any trains between those cities?", TRAIN),
        ("two cities", BOOKING),
        ("明日 予約 お願いします", JAPANESE),
        ("Wie wird das Wetter in Köln?", GERMAN),
        ("Hello", None),
        ("What can you do for me?", None),
        ("What is the current president called", None),
        ("", None),
    ],
)
def test_best_tool_is_found(text: str, expected: tuple[str, str] | None) -> None:
    """The tool with the most shared words wins, names before descriptions, the first of equals."""
    assert best_tool(TOOLS, text) == (None if expected is None else TOOLS.index(expected))


@pytest.mark.parametrize(
    ("name", "text"), [("plan_trip", "planning"), ("list_parties", "a party"), ("HTTPProbe", "probe")]
)
def test_forms_of_a_word_are_one(name: str, text: str) -> None:
    """Plurals, -ing and the word boundaries of names make no difference."""
    assert best_tool([("other", ""), (name, "")], text) == 1


def test_no_tools_no_match() -> None:
    """Without tools there is nothing to find."""
    assert best_tool([], "weather") is None


@given(st.lists(st.tuples(st.text(), st.text())), st.text())
def test_any_text_can_be_matched(tools: list[tuple[str, str]], text: str) -> None:
    """For any names and texts the result is a valid index or None."""
    found = best_tool(tools, text)
    assert found is None or 0 <= found < len(tools)
