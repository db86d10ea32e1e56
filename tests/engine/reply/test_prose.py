r"""Plain answers.

A two-file case: `prose/questions.txt` has a question on each line (`\n` is a line break), `prose/answers.txt` what is answered. UPDATE_EXPECTED=1
rewrites it: read it as a user would.
"""

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.reply.prose import Wording, write_prose
from emulator.engine.request.facts import Facts
from emulator.wire.urls import Target

FOLDER = Path(__file__).with_name("prose")


def facts_of(*messages: Any) -> Facts:
    """The facts of a request with these messages."""
    return Facts(Target("v1", "p", "global", "openapi"), (), {"messages": list(messages)})


def answer(question: Any, number: int = 0) -> str:
    """The answer to a question."""
    return write_prose(facts_of({"role": "user", "content": question}), Wording(number))


def test_answers_read_well() -> None:
    """Each answer is about its question, in English sentences."""
    questions = (FOLDER / "questions.txt").read_text("utf-8").splitlines()
    shown = "\n".join(f"> {line}\n{answer(line.replace(chr(92) + 'n', chr(10)))}\n" for line in questions)
    expected = FOLDER / "answers.txt"
    if os.environ.get("UPDATE_EXPECTED"):
        expected.write_text(shown, "utf-8")
    assert shown == expected.read_text("utf-8")


RESULTS: dict[str, tuple[list[tuple[str, Any]], str]] = {
    "a value": ([("get_current_weather", "sunny")], "The current weather is sunny."),
    "a sentence": ([("search", "Oslo is the capital of Norway")], "Oslo is the capital of Norway."),
    "a number": ([("get_population", "700000")], "The population is 700000."),
    "an object": ([("get_weather", {"temperature": 30, "windSpeed": 4.5, "is_day": True})], "The temperature is 30, the wind speed is 4.5 and is day is true."),
    "an object around an object": ([("get_weather", {"result": {"temperature": 30}})], "The temperature is 30."),
    "an object that says it": ([("get_weather", {"status": "success", "report": "It is sunny in Oslo"})], "It is sunny in Oslo."),
    "an error": ([("get_weather", {"error": "no such city"})], "I could not finish this, because get weather reported an error: no such city."),
    "an error as text": ([("get_weather", "Error: no such city")], "I could not finish this, because get weather reported: Error: no such city."),
    "a list": ([("search_hotels", ["Grand", {"name": "Plaza", "stars": 4}])], "I found 2 results: Grand and (name Plaza, stars 4)."),
    "an empty list": ([("search_hotels", [])], "Search hotels found nothing."),
    "several": ([("get_weather", "sunny"), ("get_time", "12:00")], "The weather is sunny. The time is 12:00."),
    "nothing": ([("send_email", "")], "That is done. Let me know if you need anything else."),
    "null": ([("send_email", None)], "Null."),
}  # fmt: skip


@pytest.mark.parametrize(("results", "expected"), RESULTS.values(), ids=RESULTS)
def test_results_of_tools_are_reported(results: list[tuple[str, Any]], expected: str) -> None:
    """The sentence has the values of the results."""
    messages: list[Any] = [{"role": "user", "content": "Please."}]
    for number, (name, result) in enumerate(results):
        call = {"id": str(number), "type": "function", "function": {"name": name, "arguments": "{}"}}
        content = result if isinstance(result, str) else json.dumps(result)
        messages += [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": str(number), "content": content},
        ]
    assert write_prose(facts_of(*messages), Wording(0)) == expected


def test_media_are_spoken_of() -> None:
    """What is sent beside the text is what the answer is about."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    assert answer([{"type": "text", "text": "What is this?"}, picture]).startswith("The image shows")


def test_nothing_asked_is_answered() -> None:
    """A conversation without a question has an answer as well."""
    assert write_prose(facts_of(), Wording(0))
    assert write_prose(facts_of({"role": "system", "content": "Be brief."}), Wording(0))


@given(
    st.text()
    | st.from_regex(re.compile(r"(what is|why|how do i|write|list 3|say|translate|summarize) .{0,40}", re.DOTALL)),
    st.integers(0, 2**32),
)
def test_any_question_has_an_answer(question: str, number: int) -> None:
    """The answer is never empty, and the same for the same question and wording."""
    assert answer(question, number).strip() or not question.strip()
    assert answer(question, number) == answer(question, number)


@pytest.mark.parametrize("number", range(4))
def test_choices_differ(number: int) -> None:
    """Eight choices of one answer are eight texts."""
    assert len({answer("Why is that so?", number + choice) for choice in range(8)}) == 8


@pytest.mark.parametrize(
    "text",
    [" ", "a ", "write a ", "list 2 ", "summarize ", "1+", '"', "please ", "either a, ", "say ", "?", "what is "],
)
def test_work_is_bounded(text: str) -> None:
    """A megabyte is answered at once, with an answer of a reasonable length."""
    long = (text * 1_000_000)[:1_000_000]
    call = {"id": "1", "type": "function", "function": {"name": "get_x", "arguments": "{}"}}
    result = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "1", "content": long}]
    start = time.perf_counter()
    assert len(answer(long)) < 5_000
    assert len(write_prose(facts_of({"role": "user", "content": "x"}, *result), Wording(0))) < 5_000
    assert time.perf_counter() - start < 5
