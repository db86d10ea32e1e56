"""openai-python and text: plain, streamed, asynchronous, raw. The built-in default answers."""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam

from emulator.api.emulator import Emulator

MODEL = "google/gemini-2.5-flash"
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Why is the sky blue?"}]
UseAsync = Callable[[Callable[[AsyncOpenAI], Any]], Any]


def adds_up(usage: CompletionUsage) -> bool:
    """Whether the total is prompt, completion and the thoughts that the model has unasked."""
    details = usage.completion_tokens_details
    thoughts = (details and details.reasoning_tokens) or 0
    return thoughts > 0 and usage.total_tokens == usage.prompt_tokens + usage.completion_tokens + thoughts


def check_plain(answer: ChatCompletion) -> None:
    """Assert what holds for every text answer of the default scenario."""
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content is not None
    assert choice.message.content.endswith((".", "?", "!"))
    assert " " in choice.message.content
    assert (choice.finish_reason, choice.index, choice.logprobs, choice.message.tool_calls) == ("stop", 0, None, None)
    assert (answer.model, answer.object, answer.system_fingerprint) == (MODEL, "chat.completion", "")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0
    assert adds_up(answer.usage)
    assert answer.usage.model_extra == {"extra_properties": {"google": {"traffic_type": "ON_DEMAND"}}}
    assert abs(time.time() - answer.created) < 60


def check_stream(chunks: Iterable[ChatCompletionChunk]) -> str:
    """Assert what holds for every stream of one choice, and return its text."""
    *earlier, last = list(chunks)
    assert all("finish_reason" not in chunk.choices[0].model_fields_set for chunk in earlier)
    assert all("usage" not in chunk.model_fields_set for chunk in earlier)
    assert last.choices[0].finish_reason == "stop"
    assert last.usage is not None
    assert adds_up(last.usage)
    whole = [*earlier, last]
    assert all(chunk.choices[0].delta.role == "assistant" for chunk in whole)
    assert {(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in whole} == {
        (last.id, last.created, MODEL, "chat.completion.chunk")
    }
    assert {chunk.system_fingerprint for chunk in whole} == {""}
    return "".join(chunk.choices[0].delta.content or "" for chunk in whole)


def test_create(client: OpenAI) -> None:
    """Any prompt gets a sentence with a finish reason and positive usage."""
    check_plain(client.chat.completions.create(model=MODEL, messages=QUESTION))


def test_stream(client: OpenAI) -> None:
    """A stream has usage on its last chunk though nobody asked with stream_options, and one finish reason."""
    with client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True) as stream:
        assert check_stream(stream).endswith((".", "?", "!"))


def test_stream_options_change_nothing(client: OpenAI) -> None:
    """A client that asks for usage gets it where it always is, and no chunk without choices."""
    with client.chat.completions.create(
        model=MODEL, messages=QUESTION, stream=True, stream_options={"include_usage": True}
    ) as stream:
        check_stream(stream)


def test_async_create(use_async: UseAsync) -> None:
    """The asynchronous client gets the same."""
    check_plain(use_async(lambda client: client.chat.completions.create(model=MODEL, messages=QUESTION)))


def test_async_stream(use_async: UseAsync) -> None:
    """The asynchronous client streams the same."""

    async def collect(client: AsyncOpenAI) -> list[ChatCompletionChunk]:
        async with await client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True) as stream:
            return [chunk async for chunk in stream]

    assert check_stream(use_async(collect)).endswith((".", "?", "!"))


def test_stream_events(client: OpenAI) -> None:
    """The stream helper sees chunks, growing content, and the whole at the end."""
    with client.chat.completions.stream(model=MODEL, messages=QUESTION) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    assert {event.type for event in events} == {"chunk", "content.delta", "content.done"}
    content = "".join(event.delta for event in events if event.type == "content.delta")
    assert [event.content for event in events if event.type == "content.done"] == [content]
    assert final.choices[0].message.content == content
    assert final.choices[0].finish_reason == "stop"
    assert final.usage is not None


def test_async_stream_events(use_async: UseAsync) -> None:
    """The asynchronous stream helper ends with the whole answer."""

    async def collect(client: AsyncOpenAI) -> tuple[str, str | None]:
        async with client.chat.completions.stream(model=MODEL, messages=QUESTION) as stream:
            deltas = [event.delta async for event in stream if event.type == "content.delta"]
            return "".join(deltas), (await stream.get_final_completion()).choices[0].message.content

    joined, final = use_async(collect)
    assert joined == final


def test_raw_response(client: OpenAI) -> None:
    """The raw response shows Google's headers beside the parsed answer."""
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION)
    assert (raw.status_code, raw.headers["content-type"]) == (200, "application/json; charset=UTF-8")
    assert "openai-version" not in raw.headers
    check_plain(raw.parse())
    assert list(json.loads(raw.text)) == ["choices", "created", "id", "model", "object", "system_fingerprint", "usage"]


def test_streaming_response(client: OpenAI) -> None:
    """The response read line by line is data lines, blank lines, and [DONE]."""
    with client.chat.completions.with_streaming_response.create(
        model=MODEL, messages=QUESTION, stream=True
    ) as response:
        assert response.headers["content-type"] == "text/event-stream"
        lines = list(response.iter_lines())
    assert all(line.startswith("data: {") for line in lines[:-2:2])
    assert not any(lines[1::2])
    assert lines[-2:] == ["data: [DONE]", ""]


def test_several_choices(client: OpenAI) -> None:
    """`n` gives that many distinct choices, in order."""
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert [choice.finish_reason for choice in answer.choices] == ["stop"] * 3
    assert len({choice.message.content for choice in answer.choices}) == 3


def test_several_choices_streamed(client: OpenAI) -> None:
    """Streamed choices each end with a finish reason, and usage comes once, with the last chunk."""
    with client.chat.completions.create(model=MODEL, messages=QUESTION, n=2, stream=True) as stream:
        chunks = list(stream)
    ends = [(chunk.choices[0].index, chunk.choices[0].finish_reason) for chunk in chunks]
    assert [end for end in ends if end[1]] == [(0, "stop"), (1, "stop")]
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_conversation_with_system_and_history(client: OpenAI, journal: Callable[[], list[dict[str, Any]]]) -> None:
    """An answer goes back into the conversation as the SDK gives it."""
    messages: list[Any] = [{"role": "system", "content": "Be brief."}, *QUESTION]
    messages.append(client.chat.completions.create(model=MODEL, messages=messages).choices[0].message)
    messages.append({"role": "user", "content": [{"type": "text", "text": "Really?"}]})
    check_plain(client.chat.completions.create(model=MODEL, messages=messages))
    first, second = journal()
    said = json.loads(first["answer"][0])["choices"][0]["message"]
    assert second["request"]["messages"][2].items() >= said.items()


def test_unsupported_parameters_are_ignored(client: OpenAI) -> None:
    """Parameters that Vertex does not list change nothing (documented)."""
    check_plain(
        client.chat.completions.create(
            model=MODEL,
            messages=QUESTION,
            user="somebody",
            logit_bias={"50256": -100},
            parallel_tool_calls=False,
            store=True,
        )
    )


@pytest.mark.parametrize("tail", ["/", "/chat/completions?", "/chat/completions?/"])
def test_base_urls_of_published_notebooks(vertex: Emulator, base_url: str, tail: str) -> None:
    """Google's Model Garden notebooks end the base URL in `/chat/completions?`, so that what clients append is the query."""
    with OpenAI(base_url=base_url + tail, api_key=vertex.api_key) as client:
        check_plain(client.chat.completions.create(model=MODEL, messages=QUESTION))
