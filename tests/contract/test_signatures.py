"""Thought signatures through openai-python: tool loops of several steps and turns, by clients that keep them and that do not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

SCENARIOS = (Path(__file__).with_name("signatures.yaml"),)
MODEL = "google/gemini-3.1-pro-preview"
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("search_flights", "search_hotels", "book", "cancel")
]
MISSING = (
    "Unable to submit request because function call `{}` in the {}. content block is missing a `thought_signature`. "
    "Learn more: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures"
)
Message = dict[str, Any]
Ask = Callable[[OpenAI, list[Message]], Message]
Journal = Callable[[], list[dict[str, Any]]]


def ask_plainly(client: OpenAI, messages: list[Any]) -> Message:
    """The answered message as the SDK writes it down, with what the SDK does not know."""
    message = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS).choices[0].message
    return message.model_dump()


def ask_sparingly(client: OpenAI, messages: list[Any]) -> Message:
    """As above, but without what is null."""
    message = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS).choices[0].message
    return message.model_dump(exclude_none=True)


def ask_streaming(client: OpenAI, messages: list[Any]) -> Message:
    """The message put together from the chunks of a stream, with fragments of the arguments."""
    content, calls = "", dict[str, Message]()
    options = {"extra_body": {"google": {"stream_function_call_arguments": True}}}
    with client.chat.completions.create(
        model=MODEL, messages=messages, tools=TOOLS, stream=True, extra_body=options
    ) as stream:
        for chunk in stream:
            delta = chunk.choices[0].delta
            content += delta.content or ""
            for part in delta.tool_calls or ():
                written = part.model_dump(exclude_none=True, exclude={"index"})
                # The ids tell the calls apart: with Google's flag, the indices of announcements are those of others.
                known = calls.setdefault(written["id"], written)
                if known is not written:
                    known["function"]["arguments"] += written["function"]["arguments"]
    return {"role": "assistant", "content": content or None, "tool_calls": list(calls.values()) or None}


def run(client: OpenAI, ask: Ask, messages: list[Message], prompt: str) -> str:
    """One turn of an agent: call tools until there is a text, which is returned."""
    messages.append({"role": "user", "content": prompt})
    for _ in range(5):
        message = ask(client, messages)
        messages.append(message)
        if not message.get("tool_calls"):
            return str(message["content"])
        for call in message["tool_calls"]:
            json.loads(call["function"]["arguments"])
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": "{}"})
    raise AssertionError("the loop does not end")


def forget(message: Message, *names: str) -> Message:
    """The message as a client writes it that knows nothing of `extra_content`, for the calls of these functions or for all."""
    calls = [
        {key: call[key] for key in ("id", "type", "function")}
        if not names or call["function"]["name"] in names
        else call
        for call in message.get("tool_calls") or ()
    ]
    return {"role": "assistant", "content": message.get("content"), **({"tool_calls": calls} if calls else {})}


@pytest.mark.parametrize("ask", [ask_plainly, ask_sparingly, ask_streaming])
def test_clients_that_send_messages_back(client: OpenAI, journal: Journal, ask: Ask) -> None:
    """A client that echoes what was answered passes, over several steps and turns."""
    messages: list[Message] = [{"role": "system", "content": "Book journeys."}]
    assert run(client, ask, messages, "Book me a journey to Rome.") == "It is booked."
    assert run(client, ask, messages, "My plans have changed.") == "It is cancelled."
    assert run(client, ask, messages, "Book another journey.") == "It is booked."
    assert [message["role"] for message in messages].count("tool") == 7
    assert {exchange["status"] for exchange in journal()} == {200}
    assert [exchange["warnings"] for exchange in journal()] == [[]] * 8


@pytest.mark.parametrize(
    ("forgotten", "named", "place"),
    [
        ((), ("search_flights", 2), "messages[2].tool_calls[0]"),
        (("search_flights",), ("search_flights", 2), "messages[2].tool_calls[0]"),
        (("book",), ("book", 4), "messages[5].tool_calls[0]"),
    ],
    ids=["all", "first step", "second step"],
)
def test_clients_that_write_messages_anew(
    client: OpenAI, journal: Journal, forgotten: tuple[str, ...], named: tuple[str, int], place: str
) -> None:
    """A client that drops `extra_content` gets the documented 400, with the function's name and the block's number."""
    messages: list[Message] = [{"role": "system", "content": "Book journeys."}]
    with pytest.raises(openai.BadRequestError) as caught:
        run(
            client,
            lambda client, messages: forget(ask_plainly(client, messages), *forgotten),
            messages,
            "Book me a journey to Rome.",
        )
    error = {"code": 400, "message": MISSING.format(*named), "status": "INVALID_ARGUMENT"}
    assert caught.value.body == [{"error": error}]
    refused = journal()[-1]["refusal"]
    assert (refused["name"], refused["place"]) == ("missing_thought_signature_vertex", place)
    assert caught.value.response.headers["x-emulator-explanation"] == f"{refused['name']}: {refused['explanation']}"


def test_unsigned_parallel_calls_are_fine(client: OpenAI) -> None:
    """Only the first of parallel calls carries a signature, so nothing is missed on the second."""
    messages: list[Message] = []
    answer = run(
        client,
        lambda client, messages: forget(ask_plainly(client, messages), "search_hotels"),
        messages,
        "Book me a journey to Rome.",
    )
    assert answer == "It is booked."


def test_signatures_that_were_exchanged(client: OpenAI) -> None:
    """A signature that stands on another call than its own is not valid."""
    messages: list[Message] = []
    run(client, ask_sparingly, messages, "Book me a journey to Rome.")
    first, second = (message["tool_calls"][0] for message in messages if message.get("tool_calls"))
    first["extra_content"], second["extra_content"] = second["extra_content"], first["extra_content"]
    with pytest.raises(openai.BadRequestError) as caught:
        ask_plainly(client, messages[:-1])
    assert "Unable to submit request because Thought signature is not valid.." in str(caught.value.body)


def test_signatures_of_another_model(client: OpenAI) -> None:
    """A model does not take those of another one within a turn; it takes its own, and whatever an earlier turn has."""
    messages: list[Any] = [{"role": "user", "content": "Book me a journey to Rome."}]
    message = ask_plainly(client, messages)
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "{}"} for call in message["tool_calls"]]
    messages += [message, *results]

    def go_on(model: str, *more: Any) -> int:
        answer = client.chat.completions.with_raw_response.create(model=model, messages=[*messages, *more], tools=TOOLS)
        return answer.status_code

    assert go_on(MODEL) == 200
    with pytest.raises(openai.BadRequestError) as caught:
        go_on("google/gemini-3.5-flash")
    assert "Thought signature is not valid" in str(caught.value.body)
    assert go_on("google/gemini-3.5-flash", {"role": "user", "content": "Another journey"}) == 200
    assert go_on("google/gemini-2.5-flash") == 200


def test_placeholder_is_warned_of(client: OpenAI) -> None:
    """The placeholder of the documented sample passes, and a response header says that the service does not take it."""
    call = {
        "id": "a",
        "type": "function",
        "function": {"name": "book", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "<THOUGHT_SIGNATURE>"}},
    }
    messages: Any = [
        {"role": "user", "content": "Book."},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "{}"},
    ]
    answer = client.chat.completions.with_raw_response.create(model=MODEL, messages=messages)
    assert answer.parse().choices[0].message.content == "It is booked."
    assert "placeholder <THOUGHT_SIGNATURE>" in answer.headers["x-emulator-warning"]
