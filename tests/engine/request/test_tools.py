"""The tool that fits a text is found by shared word stems, and the tools of a turn are called one after the other."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.request.facts import Facts
from emulator.engine.request.tools import best_tool, next_tool, takes_answer
from emulator.wire.urls import Target

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


def tool(name: str, description: str = "", **properties: Any) -> Any:
    """The declaration of a function with these parameters."""
    parameters = {
        "type": "object",
        "properties": {key: {"type": "string", **value} for key, value in properties.items()},
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def called_in_turn(question: str, tools: list[Any], *, is_required: bool = False) -> list[str]:
    """The tools that are called for a question, one after the other, until none or one that takes the answer is called."""
    messages: list[Any] = [{"role": "user", "content": question}]
    called: list[str] = []
    while len(called) < 12:
        facts = Facts(Target("v1", "p", "global", "openapi"), (), {"messages": messages, "tools": tools})
        number = next_tool(facts, is_required=is_required)
        if number is None:
            return called
        name, description, _ = facts.tools[number]
        called.append(name)
        if takes_answer(name, description):
            return called
        call = {"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}}
        messages += [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": name, "content": "7"},
        ]
    raise AssertionError(called)


GET_WEATHER = tool("get_weather", "Get the weather of a city.", city={})
FORECAST = tool("get_forecast", "The forecast for a place", place={})
LONDON = "If it's too hot or too cold in London, set the temperature to a comfortable level."
READ_TEMPERATURE = tool(
    "get_current_temperature", "Gets the current weather temperature for a given location.", location={}
)
SET_TEMPERATURE = tool("set_thermostat_temperature", "Sets the thermostat to a desired temperature.", temperature={})
FINAL = tool("final_result", "The final response which ends this conversation", answer={})
SPANISH = tool("transfer_to_spanish_agent", "Handoff to the Spanish agent to handle the request. ")
ENGLISH = tool("transfer_to_english_agent", "Handoff to the English agent to handle the request. ")

AUTO: dict[str, tuple[str, list[Any], list[str]]] = {
    "no tools": ("weather", [], []),
    "a lone tool": ("Is it warm outside?", [GET_WEATHER], ["get_weather"]),
    "a lone tool and a greeting": ("Hello there!", [GET_WEATHER], []),
    "a lone tool and thanks": ("Thank you very much", [GET_WEATHER], []),
    "two tools, none of which suits": ("Is it warm?", [GET_WEATHER, FORECAST], []),
    "one of two": ("What is the weather in Oslo?", [FORECAST, GET_WEATHER], ["get_weather"]),
    "both": ("The weather and the forecast, please", [FORECAST, GET_WEATHER], ["get_forecast", "get_weather"]),
    "reading before changing": (
        LONDON,
        [SET_TEMPERATURE, READ_TEMPERATURE],
        ["get_current_temperature", "set_thermostat_temperature"],
    ),
    "a value of an enum": (
        "look up all my orders",
        [tool("Query", table={"enum": ["orders", "customers"]}), tool("Ping")],
        ["Query"],
    ),
    "the final answer after other tools (ADK)": (
        "What is the weather in Oslo?",
        [tool("set_model_response", "Set your final response using the required output schema."), GET_WEATHER],
        ["get_weather", "set_model_response"],
    ),
    "a handoff by language": ("Hola, ¿cómo estás?", [ENGLISH, SPANISH], ["transfer_to_spanish_agent"]),
    "a handoff where there is nothing else": ("Who is there?", [ENGLISH, SPANISH], ["transfer_to_english_agent"]),
    "a handoff to an agent that the question names": (
        "What is the weather in Oslo?",
        [tool("transfer_to_agent", "Transfer", agent_name={"enum": ["greeting_agent", "weather_agent"]})],
        ["transfer_to_agent"],
    ),
}


@pytest.mark.parametrize(("question", "tools", "expected"), AUTO.values(), ids=AUTO)
def test_tools_are_called_once_and_in_order(question: str, tools: list[Any], expected: list[str]) -> None:
    """What the question needs is called, what reads first; then the turn is over."""
    assert called_in_turn(question, tools) == expected


REQUIRED: dict[str, tuple[str, list[Any], list[str]]] = {
    "the end after what is needed": (
        "What is the weather in Oslo?",
        [FINAL, GET_WEATHER],
        ["get_weather", "final_result"],
    ),
    "no word decides": ("Is it warm?", [FINAL, GET_WEATHER], ["get_weather", "final_result"]),
    "no word decides among several": (
        "Is it warm?",
        [tool("delete_all"), FINAL, GET_WEATHER, FORECAST],
        ["get_weather", "final_result"],
    ),
    "an end alone": ("Is it warm?", [FINAL], ["final_result"]),
    "a greeting": ("Hello", [GET_WEATHER, FINAL], ["final_result"]),
    "final_answer (smolagents)": (
        "Is it warm?",
        [GET_WEATHER, tool("final_answer", "Provides a final answer to the given problem.", answer={})],
        ["get_weather", "final_answer"],
    ),
    "a tool named as a class (LangChain)": (
        "What is the weather in Oslo?",
        [tool("WeatherReport", "A report.", city={}), GET_WEATHER],
        ["get_weather", "WeatherReport"],
    ),
    "two ends": (
        "How many people live in the city?",
        [tool("look_up", "Find facts."), tool("final_result_Person", age={}), tool("final_result_City", city={})],
        ["look_up", "final_result_City"],
    ),
}


@pytest.mark.parametrize(("question", "tools", "expected"), REQUIRED.values(), ids=REQUIRED)
def test_required_calls_end_with_the_answer(question: str, tools: list[Any], expected: list[str]) -> None:
    """Where every round must call a tool, the one that takes the answer comes once what is needed has been called."""
    assert called_in_turn(question, tools, is_required=True) == expected


def test_agents_do_not_hand_a_question_to_and_fro() -> None:
    """The agent that was handed the question answers it, although it could hand it back."""
    call = {"id": "c", "type": "function", "function": {"name": "transfer_to_spanish_agent", "arguments": "{}"}}
    messages: Any = [
        {"role": "user", "content": "Hola, ¿cómo estás?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": '{"assistant": "Spanish agent"}'},
    ]
    triage = tool("transfer_to_triage_agent", "Handoff to the Triage agent")
    for tools in ([triage], [SPANISH, triage], [triage, ENGLISH]):
        facts = Facts(Target("v1", "p", "global", "openapi"), (), {"messages": messages, "tools": tools})
        assert next_tool(facts) is None


def test_a_required_call_is_made_even_if_all_tools_are_used() -> None:
    """The one that fits best is called again; nothing else would be an answer."""
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages: Any = [{"role": "user", "content": "weather"}, {"role": "assistant", "tool_calls": [call]}]
    facts = Facts(Target("v1", "p", "global", "openapi"), (), {"messages": messages, "tools": [GET_WEATHER]})
    assert (next_tool(facts), next_tool(facts, is_required=True)) == (None, 0)


WORDS = st.sampled_from(
    ["get", "set", "weather", "final", "answer", "transfer", "to", "agent", "orders", "send", "Report"]
)
NAMES = st.lists(WORDS, min_size=1, max_size=3).map("_".join)


@given(st.lists(NAMES, max_size=6, unique=True), st.lists(WORDS, max_size=6), st.booleans())
def test_no_tool_is_called_twice(names: list[str], words: list[str], is_required: bool) -> None:
    """Whatever the tools and the question, a turn calls each tool at most once, and ends by itself unless calls are required."""
    tools = [tool(name) for name in names]
    if is_required and not any(takes_answer(name, "") for name in names):
        return
    called = called_in_turn(" ".join(words), tools, is_required=is_required)
    assert len(called) == len(set(called))


def test_work_is_bounded() -> None:
    """A thousand tools and a megabyte of question are compared at once."""
    tools = [tool(f"get_{number}", "weather " * 100, city={"enum": ["x" * 100] * 100}) for number in range(1000)]
    messages: Any = [{"role": "user", "content": "weather hola " * 80_000}]
    start = time.perf_counter()
    facts = Facts(Target("v1", "p", "global", "openapi"), (), {"messages": messages, "tools": tools})
    assert next_tool(facts) is not None
    assert time.perf_counter() - start < 10
