"""openai-python and tools: calls, results, parallel calls, choice, signatures, the deprecated functions."""

import json
from collections.abc import Callable
from typing import Any, Literal

import jsonschema
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessage, ChatCompletionMessageFunctionToolCall, ChatCompletionToolParam
from pydantic import BaseModel

SCENARIOS = ("tools.yaml", "default.yaml")
MODEL = "google/gemini-3.1-pro-preview"
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "location": {"type": "string", "description": "A city"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    },
    "required": ["location", "unit"],
}
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "get_current_weather", "description": "The weather now", "parameters": PARAMETERS},
}
CLOCK: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "get_time", "description": "The time in a zone", "parameters": {"type": "object"}},
}
Journal = Callable[[], list[dict[str, Any]]]


def calls_of(message: ChatCompletionMessage) -> list[ChatCompletionMessageFunctionToolCall]:
    """Return the function calls of a message."""
    return [call for call in message.tool_calls or [] if call.type == "function"]


def signature_of(call: ChatCompletionMessageFunctionToolCall) -> str | None:
    """Return the thought signature of a call as the SDK hands it on."""
    google = (call.model_extra or {}).get("extra_content", {}).get("google", {})
    signature: str | None = google.get("thought_signature")
    return signature


def test_round_trip(client: OpenAI) -> None:
    """A call with valid arguments, its result, a text."""
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Boston?"}]
    first = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER]).choices[0]
    (call,) = calls_of(first.message)
    assert (first.finish_reason, first.message.content, call.function.name) == (
        "tool_calls",
        None,
        "get_current_weather",
    )
    assert call.id.startswith("function-call-")
    jsonschema.validate(json.loads(call.function.arguments), PARAMETERS)
    messages += [first.message, {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 21}'}]
    second = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER]).choices[0]
    assert (second.finish_reason, second.message.content) == ("stop", "It is 21 °C.")


def test_parallel_calls_keep_their_signature(client: OpenAI, journal: Journal) -> None:
    """The first of two calls is signed; the signature reaches the client, and comes back when the message is echoed."""
    messages: list[Any] = [{"role": "user", "content": "The weather in Paris and Rome, please."}]
    message = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER]).choices[0].message
    here, there = calls_of(message)
    assert [json.loads(call.function.arguments)["location"] for call in (here, there)] == ["Paris", "Rome"]
    assert here.id != there.id
    assert (bool(signature_of(here)), signature_of(there)) == (True, None)
    messages.append(message)
    for call, degrees in ((here, 20), (there, 25)):
        result = json.dumps({"location": json.loads(call.function.arguments)["location"], "temperature": degrees})
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    assert answer.choices[0].message.content == "Paris: 20 °C. Rome: 25 °C. "
    echoed = journal()[-1]["request"]["messages"][1]["tool_calls"]
    assert echoed[0]["extra_content"] == {"google": {"thought_signature": signature_of(here)}}
    assert "extra_content" not in echoed[1]


def test_streamed_calls_come_whole(client: OpenAI) -> None:
    """Without Google's flag, a stream has the calls in one chunk, with complete arguments, then the end."""
    with client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "The weather in Paris and Rome, please."}],
        tools=[WEATHER],
        stream=True,
    ) as stream:
        chunk, last = list(stream)
    calls = chunk.choices[0].delta.tool_calls or []
    assert [call.index for call in calls] == [0, 1]
    arguments = [json.loads(call.function.arguments or "") for call in calls if call.function]
    assert [each["location"] for each in arguments] == ["Paris", "Rome"]
    assert (chunk.choices[0].finish_reason, chunk.usage) == (None, None)
    assert (last.choices[0].finish_reason, last.usage is not None) == ("tool_calls", True)


@pytest.mark.parametrize(("model", "is_whole"), [("google/gemini-3.1-flash-lite", True), (MODEL, False)])
def test_a_model_without_argument_streams(client: OpenAI, model: str, is_whole: bool) -> None:
    """Gemini 3.1 Flash-Lite sends arguments in one piece although fragments are asked for."""
    with client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "What is the weather in Boston?"}],
        tools=[WEATHER],
        stream=True,
        extra_body={"extra_body": {"google": {"stream_function_call_arguments": True}}},
    ) as stream:
        calls = [call for chunk in stream for call in chunk.choices[0].delta.tool_calls or ()]
    arguments = [call.function.arguments for call in calls if call.function and call.function.arguments]
    assert (len(arguments) == 1) == is_whole
    jsonschema.validate(json.loads("".join(arguments)), PARAMETERS)


def test_stream_events_of_calls(client: OpenAI) -> None:
    """The stream helper collects the arguments of each call and parses them into the model that declared it."""

    class Weather(BaseModel):
        """What the weather needs to know."""

        location: str
        unit: Literal["celsius", "fahrenheit"]

    with client.chat.completions.stream(
        model=MODEL,
        messages=[{"role": "user", "content": "The weather in Paris and Rome, please."}],
        tools=[openai.pydantic_function_tool(Weather, name="get_current_weather")],
    ) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    cities = [Weather(location="Paris", unit="celsius"), Weather(location="Rome", unit="celsius")]
    assert [call.function.parsed_arguments for call in final.choices[0].message.tool_calls or []] == cities
    for kind in ("tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"):
        seen = [event.arguments for event in events if event.type == kind]
        assert [Weather.model_validate_json(arguments) for arguments in seen] == cities


CHOICES: list[tuple[Any, str, list[str]]] = [
    ("required", "Tell me the time.", ["get_time"]),
    ({"type": "function", "function": {"name": "get_time"}}, "Anything at all.", ["get_time"]),
    ("validated", "What time is it?", ["get_time"]),
    ("auto", "What time is it?", ["get_time"]),
    ("none", "What time is it?", []),
]


@pytest.mark.parametrize(
    ("choice", "prompt", "called"), CHOICES, ids=["required", "named", "validated", "auto", "none"]
)
def test_tool_choice(client: OpenAI, choice: Any, prompt: str, called: list[str]) -> None:
    """The default scenario calls what it must, may, or must not."""
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": prompt}], tools=[WEATHER, CLOCK], tool_choice=choice
    ).choices[0]
    assert [call.function.name for call in calls_of(answer.message)] == called
    assert answer.finish_reason == ("tool_calls" if called else "stop")
    assert bool(answer.message.content) == (not called)


def test_functions(client: OpenAI) -> None:
    """The deprecated `functions`, `function_call` and role are honoured (documented); the answer is a tool call."""
    messages: list[Any] = [{"role": "user", "content": "Now."}]
    functions: Any = [
        {"name": "get_time", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}}}
    ]
    answer = client.chat.completions.create(
        model=MODEL, messages=messages, functions=functions, function_call={"name": "get_time"}
    ).choices[0]
    (call,) = calls_of(answer.message)
    assert (call.function.name, answer.finish_reason) == ("get_time", "tool_calls")
    messages += [
        {"role": "assistant", "content": None, "function_call": call.function.to_dict()},
        {"role": "function", "name": "get_time", "content": "noon"},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=messages, functions=functions).choices[0]
    assert (answer.finish_reason, bool(answer.message.content)) == ("stop", True)


def test_agent_loop_ends(client: OpenAI) -> None:
    """A loop that answers every call with a result comes to a text."""
    messages: list[Any] = [{"role": "user", "content": "What time is it?"}]
    for _ in range(5):
        choice = client.chat.completions.create(model=MODEL, messages=messages, tools=[CLOCK]).choices[0]
        messages.append(choice.message)
        if choice.finish_reason == "stop":
            break
        messages += [{"role": "tool", "tool_call_id": call.id, "content": "noon"} for call in calls_of(choice.message)]
    assert [message["role"] if isinstance(message, dict) else message.role for message in messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert messages[-1].content
