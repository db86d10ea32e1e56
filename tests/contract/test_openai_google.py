"""openai-python and what only Google has: `extra_body.google`, thoughts, streamed arguments."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

SCENARIOS = ("documented/two_cities.yaml", "thoughts.yaml")
MODEL = "google/gemini-3.1-pro-preview"
PRIMES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Name three prime numbers."}]
CITIES: list[ChatCompletionMessageParam] = [
    {"role": "user", "content": "What is the weather like in Boston and New Delhi today?"}
]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
    },
}
THOUGHTS = "The user asks for primes. Two is the first."


def google(**options: Any) -> dict[str, Any]:
    """Return the SDK's `extra_body` for Google's options, which stand below a literal `extra_body` (documented)."""
    return {"extra_body": {"google": options}}


def test_thoughts_with_marker(client: OpenAI) -> None:
    """Thoughts that are asked for stand in front of the answer, inside the tags that the marker names."""
    options = google(thinking_config={"include_thoughts": True, "thinking_budget": 10000}, thought_tag_marker="think")
    answer = client.chat.completions.create(model=MODEL, messages=PRIMES, extra_body=options)
    assert answer.choices[0].message.content == f"<think>{THOUGHTS}</think>Two, three and five."
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens + 12


def test_thoughts_streamed(client: OpenAI) -> None:
    """In a stream, the chunks of thoughts are flagged and those of the answer are not."""
    options = google(thinking_config={"include_thoughts": True}, thought_tag_marker="think")
    with client.chat.completions.create(model=MODEL, messages=PRIMES, extra_body=options, stream=True) as stream:
        deltas = [chunk.choices[0].delta for chunk in stream]
    thoughts = [delta for delta in deltas if delta.model_extra]
    assert {json.dumps(delta.model_extra) for delta in thoughts} == {'{"extra_content": {"google": {"thought": true}}}'}
    assert "".join(delta.content or "" for delta in thoughts) == f"<think>{THOUGHTS}</think>"
    assert "".join(delta.content or "" for delta in deltas[len(thoughts) :]) == "Two, three and five."


def test_thoughts_without_marker(client: OpenAI) -> None:
    """Without a marker there are no tags around them."""
    options = google(thinking_config={"include_thoughts": True})
    answer = client.chat.completions.create(model=MODEL, messages=PRIMES, extra_body=options)
    assert answer.choices[0].message.content == f"{THOUGHTS}Two, three and five."


def test_thoughts_stay_unseen(client: OpenAI) -> None:
    """Who does not ask for thoughts sees none, only their tokens."""
    answer = client.chat.completions.create(model=MODEL, messages=PRIMES)
    assert answer.choices[0].message.content == "Fine."
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens


@pytest.mark.parametrize(
    "options",
    [google(thought_tag_marker="note"), {"google": {"thought_tag_marker": "note"}}],
    ids=["extra_body", "alias"],
)
def test_options_arrive(client: OpenAI, journal: Callable[[], list[dict[str, Any]]], options: dict[str, Any]) -> None:
    """The options travel where the client puts them: below `extra_body`, or at the top as some do."""
    client.chat.completions.create(model=MODEL, messages=PRIMES, extra_body=options)
    (exchange,) = journal()
    assert exchange["request"].items() >= options.items()


def test_streamed_arguments(client: OpenAI) -> None:
    """Arguments come in the documented fragments, with the documented indices, and names in every chunk."""
    with client.chat.completions.create(
        model=MODEL,
        messages=CITIES,
        tools=[WEATHER],
        extra_body=google(stream_function_call_arguments=True),
        stream=True,
    ) as stream:
        chunks = list(stream)
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    functions = [call.function for call in calls if call.function]
    assert len(chunks) == len(calls) == len(functions) == 12
    assert [call.index for call in calls] == [1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert [len({call.id for call in half}) for half in (calls[:6], calls[6:])] == [1, 1]
    assert {(call.type, function.name) for call, function in zip(calls, functions, strict=True)} == {
        ("function", "get_current_weather")
    }
    assert [function.arguments for function in functions] == [
        *("", '{"location":"Boston, MA', '"', ',"unit":"celsius', '"', "}"),
        *("", '{"location":"New Delhi, India', '"', ',"unit":"celsius', '"', "}"),
    ]
    signed = [bool(call.model_extra) for call in calls]
    assert signed == [True] + [False] * 11
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 11 + ["tool_calls"]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 576
