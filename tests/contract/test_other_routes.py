"""openai-python on the siblings of chat completions."""

import math
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import openai
import pytest
from openai import OpenAI

from emulator.api.emulator import Emulator

SMALL = "intfloat/multilingual-e5-small-maas"
LARGE = "intfloat/multilingual-e5-large-instruct-maas"
GLM = "zai-org/glm-5-maas"
GROK = "xai/grok-4.3"


@pytest.fixture
def grok(vertex: Emulator, project: str) -> Iterator[OpenAI]:
    """A client of the global location, where Grok's responses are."""
    with OpenAI(base_url=vertex.session(project).base_url, api_key=vertex.api_key) as client:
        yield client


def closeness(one: list[float], other: list[float]) -> float:
    """The cosine of the angle between two vectors of length 1."""
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("model", "dimensions"), [(SMALL, 384), (LARGE, 1024)])
def test_embeddings(client: OpenAI, model: str, dimensions: int) -> None:
    """The client's own base64 and plain floats give the same vectors, in which similar texts are close."""
    texts = ["a cat sat on the mat", "the cat is on a mat", "quarterly revenue grew"]
    packed = client.embeddings.create(model=model, input=texts)
    plain = client.embeddings.create(model=model, input=texts, encoding_format="float")
    cat, other_cat, revenue = (one.embedding for one in packed.data)
    assert [one.embedding for one in plain.data] == [cat, other_cat, revenue]
    assert {len(cat), len(other_cat), len(revenue)} == {dimensions}
    assert math.isclose(closeness(cat, cat), 1, rel_tol=1e-6)
    assert closeness(cat, other_cat) > 0.5 > abs(closeness(cat, revenue))
    assert packed.usage.total_tokens == packed.usage.prompt_tokens > 0


def test_embeddings_of_token_ids(client: OpenAI) -> None:
    """Token ids, as LangChain sends them, have vectors too."""
    answer = client.embeddings.create(model=SMALL, input=[[1, 2, 3], [4]])
    assert len(answer.data) == 2
    assert answer.usage.prompt_tokens == 4


def test_embeddings_of_a_chat_model(client: OpenAI) -> None:
    """A chat model has no embeddings."""
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="google/gemini-2.5-flash", input="a text")


def test_completion(client: OpenAI, journal: Callable[[], list[dict[str, Any]]]) -> None:
    """A legacy completion, plain and streamed."""
    answer = client.completions.create(model=GLM, prompt="Once upon a time")
    assert answer.object == "text_completion"
    assert answer.choices[0].text
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    with client.completions.create(model=GLM, prompt="Once upon a time", stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer.choices[0].text
    assert chunks[-1].usage is not None
    assert [exchange["rule"] for exchange in journal()] == ["otherwise"] * 2


def test_response(grok: OpenAI) -> None:
    """A response, from a text and from a conversation."""
    answer = grok.responses.create(model=GROK, input="Hello", instructions="Be brief.", metadata={"trace": "7"})
    assert (answer.object, answer.status, answer.model) == ("response", "completed", GROK)
    assert answer.output_text
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    again: Any = [{"role": "user", "content": "Hello"}, *answer.output, {"role": "user", "content": "And now?"}]
    assert grok.responses.create(model=GROK, input=again).output_text


def test_response_stream(grok: OpenAI) -> None:
    """The raw stream and the helper both end with the whole response."""
    with grok.responses.create(model=GROK, input="Hello", stream=True) as raw:
        events = list(raw)
    assert events[-1].type == "response.completed"
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-1].response.output_text
    with grok.responses.stream(model=GROK, input="Hello") as stream:
        assert [event.type for event in stream] == [event.type for event in events]
        assert stream.get_final_response().output_text == text


def test_response_tools(grok: OpenAI) -> None:
    """A function is called and its output is answered with a text."""
    tool: Any = {
        "type": "function",
        "name": "get_weather",
        "description": "Get the weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": True,
    }
    given: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    with grok.responses.stream(model=GROK, input=given, tools=[tool]) as stream:
        stream.until_done()
        (call,) = stream.get_final_response().output
    assert call.type == "function_call"
    assert call.name == "get_weather"
    given += [
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
    ]
    assert grok.responses.create(model=GROK, input=given, tools=[tool]).output_text


def test_response_of_another_model(grok: OpenAI, client: OpenAI) -> None:
    """Only Grok, and only in the global location."""
    with pytest.raises(openai.BadRequestError):
        grok.responses.create(model="google/gemini-2.5-flash", input="Hello")
    with pytest.raises(openai.NotFoundError):
        client.with_options(base_url=str(client.base_url).replace("/global/", "/us-central1/")).responses.create(
            model=GROK, input="Hello"
        )


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("", {"Authorization": "Bearer ya29.x"}, (404, "{")),
        ("", {}, (401, "{")),
        ("/models", {"Authorization": "Bearer ya29.x"}, (404, "<!DOCTYPE html>")),
        ("/models", {}, (404, "<!DOCTYPE html>")),
        ("/embeddings", {"Authorization": "Bearer ya29.x"}, (404, "<!DOCTYPE html>")),
    ],
)
def test_get(base_url: str, path: str, headers: dict[str, str], expected: tuple[int, str]) -> None:
    """The endpoint itself answers with bare objects; there is no list of models, with or without credentials."""
    with pytest.raises(HTTPError) as caught:
        urlopen(Request(base_url + path, headers=headers))  # noqa: S310  # our own server
    first_line = caught.value.read().decode().splitlines()[0]
    caught.value.close()
    assert (caught.value.code, first_line) == expected
