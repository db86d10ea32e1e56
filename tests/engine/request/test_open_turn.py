"""The open turn: the question, what has been called since, and the results."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.request.open_turn import OpenTurn, read_open_turn

CALL = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
ASKED = {"role": "user", "content": "What is the weather?"}

CASES: dict[str, tuple[list[Any], OpenTurn]] = {
    "nothing": ([], OpenTurn("", (), ())),
    "a question": ([{"role": "system", "content": "Hi"}, ASKED], OpenTurn("What is the weather?", (), ())),
    "a call": (
        [ASKED, {"role": "assistant", "tool_calls": [CALL]}],
        OpenTurn("What is the weather?", ("get_weather",), ()),
    ),
    "a result": (
        [
            ASKED,
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        ],
        OpenTurn("What is the weather?", ("get_weather",), (("get_weather", "sunny"),)),
    ),
    "a result whose message is a user's": (
        [
            ASKED,
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "user", "tool_call_id": "c1", "content": "sunny"},
        ],
        OpenTurn("What is the weather?", ("get_weather",), (("get_weather", "sunny"),)),
    ),
    "the deprecated functions": (
        [
            ASKED,
            {"role": "assistant", "function_call": {"name": "get_weather", "arguments": "{}"}},
            {"role": "function", "name": "get_weather", "content": "sunny"},
        ],
        OpenTurn("What is the weather?", ("get_weather",), (("get_weather", "sunny"),)),
    ),
    "the next question": (
        [
            ASKED,
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            {"role": "user", "content": "And tomorrow?"},
        ],
        OpenTurn("And tomorrow?", (), ()),
    ),
    "calls and results as text (smolagents)": (
        [
            {"role": "user", "content": [{"type": "text", "text": "New task:\nWhat is the weather?"}]},
            {
                "role": "assistant",
                "content": "Calling tools:\n[{'id': 'c1', 'type': 'function', 'function': {'name': 'get_weather', 'arguments': {}}}]",
            },
            {"role": "user", "content": "Observation:\nsunny"},
        ],
        OpenTurn("New task:\nWhat is the weather?", ("get_weather",), (("get_weather", "sunny"),)),
    ),
    "another agent's calls as text (ADK)": (
        [
            ASKED,
            {
                "role": "user",
                "content": "For context: below is a transcript of what another agent did.[root] called tool `transfer_to_agent` with parameters: {}",
            },
            {
                "role": "user",
                "content": "For context: [root] `transfer_to_agent` tool returned result: {'result': None}",
            },
        ],
        OpenTurn("What is the weather?", ("transfer_to_agent",), ()),
    ),
    "the form of the answer in a message of its own (Genkit)": (
        [ASKED, {"role": "user", "content": "Output should be in JSON format."}],
        OpenTurn("What is the weather?\n\nOutput should be in JSON format.", (), ()),
    ),
    "a form that follows an answer": (
        [ASKED, {"role": "assistant", "content": "Sunny."}, {"role": "user", "content": "Say it in JSON format."}],
        OpenTurn("Say it in JSON format.", (), ()),
    ),
    "a user's words that are like a report": (
        [{"role": "user", "content": "Observation decks in Oslo, please."}],
        OpenTurn("Observation decks in Oslo, please.", (), ()),
    ),
}


@pytest.mark.parametrize(("messages", "expected"), CASES.values(), ids=CASES)
def test_turn_is_read_off_the_messages(messages: list[Any], expected: OpenTurn) -> None:
    """Calls and results count from the last question on, however they are written."""
    assert read_open_turn(messages) == expected


@pytest.mark.parametrize(
    ("question", "task"),
    [
        ("Hello", "Hello"),
        ("New task:\nCount the birds", "Count the birds"),
        (
            "Ann is 30.\n\nReturn the correct JSON response within a ```json codeblock. not the JSON_SCHEMA",
            "Ann is 30.",
        ),
        ("Tell me a joke about cats. Respond in JSON with `setup` and `punchline` keys.", "Tell me a joke about cats."),
        ("[[ ## question ## ]]\nWhy?\n\nRespond with the corresponding output fields, starting with `a`.", "Why?"),
        ('Ann is 30.\n{\n  "properties": {}\n}', "Ann is 30."),
        ("Respond in JSON.", "Respond in JSON."),
    ],
)
def test_task_is_the_question_without_its_form(question: str, task: str) -> None:
    """What is said about JSON is no part of what is asked, unless nothing else is."""
    assert OpenTurn(question, (), ()).task == task


@given(
    st.lists(
        st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool", "system"]), "content": st.text()})
    )
)
def test_any_messages_can_be_read(messages: list[Any]) -> None:
    """There is a question if and only if a user has said something that is no report."""
    turn = read_open_turn(messages)
    assert isinstance(turn.task, str)
    assert turn.question == "" or any(message["role"] == "user" for message in messages)


def test_work_is_bounded() -> None:
    """A megabyte of what looks like reports and calls is read at once."""
    texts = [" " * 1_000_000, "'name': '" * 100_000, "Observation:" * 80_000, "called tool `" * 70_000, "{\n" * 500_000]
    start = time.perf_counter()
    for text in texts:
        turn = read_open_turn([{"role": role, "content": text} for role in ("user", "assistant", "user")])
        assert len(turn.task) <= len(text)
    assert time.perf_counter() - start < 10
