"""openai-python and the families: the answers of each kind of server parse, plain and streamed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI, UnprocessableEntityError
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from emulator.api.emulator import Emulator

SCENARIO = Path(__file__).parents[2] / "scenarios" / "families.yaml"
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Is 7 prime?"}]
TOOLS: list[ChatCompletionToolParam] = [
    {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
]
THOUGHT, SAID = "Seven has no divisors but one and itself. ", "Yes. It is prime."
TAGGED = f"<think>{THOUGHT}</think>{SAID}"

# The model, its endpoint, what it says, what it thinks.
SPEAKERS = [
    ("google/gemini-2.5-flash", "openapi", SAID, None),
    ("google/gemma-4-26b-a4b-it-maas", "openapi", SAID, None),
    ("deepseek-ai/deepseek-v3.2-maas", "openapi", SAID, None),
    ("deepseek-ai/deepseek-r1-0528-maas", "openapi", TAGGED, None),
    ("moonshotai/kimi-k2-thinking-maas", "openapi", SAID, THOUGHT),
    ("qwen/qwen3-next-80b-a3b-thinking-maas", "openapi", SAID, THOUGHT),
    ("openai/gpt-oss-120b-maas", "openapi", SAID, THOUGHT),
    ("zai-org/glm-5-maas", "openapi", SAID, THOUGHT),
    ("minimaxai/minimax-m2-maas", "openapi", TAGGED, None),
    ("meta/llama-3.3-70b-instruct-maas", "openapi", SAID, None),
    ("xai/grok-4.20-reasoning", "openapi", SAID, None),
    ("", "1234567890", SAID, THOUGHT),
    ("unheard-of", "2345678901", TAGGED, None),
]


@pytest.fixture(scope="module")
def families() -> Iterator[Emulator]:
    """A server with the scenario of the families."""
    with Emulator(SCENARIO) as vertex:
        yield vertex


def client_of(vertex: Emulator, endpoint: str) -> OpenAI:
    """A client for the shared endpoint, or for one's own."""
    url = vertex.session("a-project").base_url.replace("/endpoints/openapi", f"/endpoints/{endpoint}")
    return OpenAI(base_url=url, api_key=vertex.api_key, max_retries=0)


def thought_of(said: Any) -> str | None:
    """What a message or delta has beside OpenAI's own keys."""
    found: str | None = (said.model_extra or {}).get("reasoning_content")
    return found


@pytest.mark.parametrize(("model", "endpoint", "said", "thought"), SPEAKERS)
def test_plain(families: Emulator, model: str, endpoint: str, said: str, thought: str | None) -> None:
    """Content, thoughts, usage and finish reason are where the client looks for them."""
    with client_of(families, endpoint) as client:
        answer = client.chat.completions.create(model=model, messages=QUESTION)
    (choice,) = answer.choices
    assert (choice.message.content, thought_of(choice.message)) == (said, thought)
    assert choice.finish_reason == "stop"
    assert not choice.message.tool_calls
    assert answer.usage is not None
    assert answer.usage.total_tokens >= answer.usage.prompt_tokens + answer.usage.completion_tokens


@pytest.mark.parametrize(("model", "endpoint", "said", "thought"), SPEAKERS)
def test_streamed(families: Emulator, model: str, endpoint: str, said: str, thought: str | None) -> None:
    """The stream helper makes the same of the chunks, and usage comes once."""
    with (
        client_of(families, endpoint) as client,
        client.chat.completions.stream(
            model=model, messages=QUESTION, stream_options={"include_usage": True}
        ) as stream,
    ):
        chunks = [event.chunk for event in stream if event.type == "chunk"]
        final = stream.get_final_completion()
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert final.choices[0].message.content == said
    assert ("".join(thought_of(delta) or "" for delta in deltas) or None) == thought
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["stop"]
    assert len([chunk for chunk in chunks if chunk.usage]) == 1


@pytest.mark.parametrize(("model", "endpoint"), [speaker[:2] for speaker in SPEAKERS])
def test_calls(families: Emulator, model: str, endpoint: str) -> None:
    """A tool call arrives whole, plain and streamed, and goes back with its result."""
    with client_of(families, endpoint) as client:
        plain = client.chat.completions.create(model=model, messages=QUESTION, tools=TOOLS)
        with client.chat.completions.stream(model=model, messages=QUESTION, tools=TOOLS) as stream:
            list(stream)
            streamed = stream.get_final_completion()
        for answer in (plain, streamed):
            assert answer.choices[0].finish_reason == "tool_calls"
            calls: Any = answer.choices[0].message.tool_calls
            (call,) = calls
            assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Boston"}')
            assert call.id
        message: Any = plain.choices[0].message.model_dump(exclude_none=True)
        result: Any = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "{}"}
        after = client.chat.completions.create(model=model, messages=[*QUESTION, message, result], tools=TOOLS)
    assert after.choices[0].finish_reason == "stop"


def test_guard(families: Emulator) -> None:
    """The client shows the refusal of Llama Guard."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How do I pick a lock?"}]
    with client_of(families, "openapi") as client:
        answer = client.chat.completions.create(model="meta/llama-3.3-70b-instruct-maas", messages=messages)
    assert answer.choices[0].message.refusal == "I cannot help with that."
    assert answer.choices[0].message.content is None


@pytest.mark.parametrize(
    ("endpoint", "kind", "said"),
    [
        ("1234567890", BadRequestError, "expected an integer"),
        ("2345678901", UnprocessableEntityError, "expected an integer"),
        ("3456789012", NotFoundError, "The Endpoint does not exist."),
    ],
)
def test_errors_of_own_endpoints(families: Emulator, endpoint: str, kind: type[APIStatusError], said: str) -> None:
    """Each kind of error is the client's own kind for its status."""
    with client_of(families, endpoint) as client, pytest.raises(kind) as raised:
        client.chat.completions.create(model="", messages=QUESTION, extra_body={"n": "two"})
    assert said in raised.value.response.text
