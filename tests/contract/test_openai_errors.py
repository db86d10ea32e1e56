"""openai-python and what goes wrong: refusals, retries, streams that break off, misses."""

from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

SCENARIOS = ("errors.yaml",)
MODEL = "google/gemini-2.5-flash"
Journal = Callable[[], list[dict[str, Any]]]


def say(text: str) -> list[ChatCompletionMessageParam]:
    """Return a conversation of one user message."""
    return [{"role": "user", "content": text}]


def error_of(caught: pytest.ExceptionInfo[openai.APIStatusError]) -> dict[str, Any]:
    """Return Google's error object, which stands in an array of one."""
    (framed,) = caught.value.response.json()
    error: dict[str, Any] = framed["error"]
    return error


def test_retries_until_success(client: OpenAI, journal: Journal) -> None:
    """A client that retries twice meets 429, then 503, then its answer."""
    answer = client.chat.completions.create(model=MODEL, messages=say("retry"))
    assert answer.choices[0].message.content == "Third time lucky."
    assert [exchange["status"] for exchange in journal()] == [429, 503, 200]


def test_rate_limit(client: OpenAI) -> None:
    """Without retries the 429 is a RateLimitError with Google's status."""
    with pytest.raises(openai.RateLimitError) as caught:
        client.with_options(max_retries=0).chat.completions.create(model=MODEL, messages=say("retry"))
    assert error_of(caught)["status"] == "RESOURCE_EXHAUSTED"


def test_no_credentials(client: OpenAI) -> None:
    """Without a bearer it is a 401 that says so."""
    with pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(
            model=MODEL, messages=say("limit"), extra_headers={"Authorization": openai.Omit()}
        )
    error = error_of(caught)
    assert (error["code"], error["status"]) == (401, "UNAUTHENTICATED")
    assert error["details"][0]["reason"] == "CREDENTIALS_MISSING"


@pytest.mark.parametrize("key", ["AIzaSyA-made-up-for-this-test-0123456789", "sk-proj-made-up"])
def test_api_key(client: OpenAI, key: str) -> None:
    """An API key of Google's or OpenAI's is no access token."""
    with pytest.raises(openai.AuthenticationError) as caught:
        client.with_options(api_key=key).chat.completions.create(model=MODEL, messages=say("limit"))
    assert error_of(caught)["status"] == "UNAUTHENTICATED"
    assert "API key" in caught.value.response.headers["x-emulator-explanation"]


def test_model_without_publisher(client: OpenAI) -> None:
    """A bare model name is refused, and the refusal explained in a header."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gemini-2.5-flash", messages=say("limit"))
    assert "expected '<publisher>/<model>'" in error_of(caught)["message"]
    assert "google/gemini-3.5-flash" in caught.value.response.headers["x-emulator-explanation"]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_scripted_refusals(client: OpenAI, stream: bool) -> None:
    """A failure as first step is an HTTP error, whether a stream was asked for or not."""
    with pytest.raises(openai.PermissionDeniedError) as denied:
        client.chat.completions.create(model=MODEL, messages=say("secret"), stream=stream)
    assert "aiplatform.endpoints.predict" in error_of(denied)["message"]
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=say("a novel"), stream=stream)
    assert error_of(refused)["message"] == "This novel is too long."


def test_stream_breaks_off(client: OpenAI) -> None:
    """A failure in mid-stream is invisible to the SDK but for what is missing: finish reason, usage, [DONE]."""
    with client.chat.completions.create(model=MODEL, messages=say("a story"), stream=True) as stream:
        chunks = list(stream)
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["Once upon a time"]
    assert chunks[-1].choices[0].finish_reason is None
    assert chunks[-1].usage is None


def test_stream_breaks_off_with_the_error_object(client: OpenAI) -> None:
    """What the SDK passes over is the bare error object, without `data:`."""
    with client.chat.completions.with_streaming_response.create(
        model=MODEL, messages=say("a story"), stream=True
    ) as response:
        text = response.read().decode()
    first, error = text.split("\n\n")
    assert first.startswith("data: {")
    assert error.startswith('{\n  "error": {\n    "code": 503,')
    assert "[DONE]" not in text


def test_plain_answer_fails_as_a_whole(client: OpenAI) -> None:
    """The same rule answers a plain request with the HTTP error."""
    with pytest.raises(openai.InternalServerError) as caught:
        client.with_options(max_retries=0).chat.completions.create(model=MODEL, messages=say("a story"))
    assert error_of(caught)["status"] == "UNAVAILABLE"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_miss(client: OpenAI, journal: Journal, stream: bool) -> None:
    """A request that no rule answers raises at once, with the report in the exception's text, and is not retried."""
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=MODEL, messages=say("good morning"), stream=stream)
    assert caught.value.status_code == 418
    report = str(caught.value)
    assert "emulator: no rule" in report
    assert 'wanted text containing "retry", got "good morning"' in report
    assert "errors.yaml:6:" in report
    (exchange,) = journal()
    assert (exchange["outcome"], exchange["status"]) == ("miss", 418)


def test_rule_is_used_up(client: OpenAI, journal: Journal) -> None:
    """After its two uses a rule answers no more."""
    answers = [client.chat.completions.create(model=MODEL, messages=say("trial")) for _ in range(2)]
    assert [answer.choices[0].message.content for answer in answers] == ["Trial 1 of 2.", "Trial 2 of 2."]
    with pytest.raises(openai.APIStatusError, match="twice only"):
        client.chat.completions.create(model=MODEL, messages=say("trial"))
    assert [exchange["outcome"] for exchange in journal()] == ["answer", "answer", "miss"]


def test_length(client: OpenAI) -> None:
    """An answer that was cut short says so."""
    choice = client.chat.completions.create(model=MODEL, messages=say("limit")).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("This sentence is never", "length")


def test_raw(client: OpenAI) -> None:
    """A scenario's own bytes and headers reach the client."""
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=say("raw"))
    assert raw.headers["x-my-header"] == "by hand"
    assert raw.parse().choices == []
