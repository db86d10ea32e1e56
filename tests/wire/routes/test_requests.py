"""Requests of the other routes, and the equivalent chat requests."""

from typing import Any

import pytest

from emulator.wire.requests import MalformedRequestError, parse_shape
from emulator.wire.routes.completions import COMPLETIONS_REQUEST, completion_to_chat
from emulator.wire.routes.embeddings import EMBEDDINGS_REQUEST
from emulator.wire.routes.responses import ResponsesRequest, response_to_chat


@pytest.mark.parametrize("given", ['"a"', '["a","b"]', "[1,2]", "[[1],[2,3]]"])
def test_embeddings_input(given: str) -> None:
    """A text, texts, token ids, lists of token ids."""
    request, warnings = parse_shape(EMBEDDINGS_REQUEST, b'{"model":"m","input":%s}' % given.encode())
    assert request["input"] is not None
    assert warnings == ()


@pytest.mark.parametrize("given", ["1", '{"a":1}', '["a",1]', "null", "[1.5]"])
def test_embeddings_input_of_another_type(given: str) -> None:
    """Anything else is malformed, and the place is named without the names of types."""
    with pytest.raises(MalformedRequestError, match=r"^input(\[\d\])* is ") as caught:
        parse_shape(EMBEDDINGS_REQUEST, b'{"input":%s}' % given.encode())
    assert caught.value.place.startswith("input")


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [("Once", ["Once"]), (["Once"], ["Once"]), ([1, 22], ["1 22"]), ([[1], [2, 3]], ["1", "2 3"]), ([], [])],
)
def test_completion_to_chat(prompt: Any, texts: list[str]) -> None:
    """A prompt is a user's message; the other parameters stay."""
    chat = completion_to_chat({"model": "m", "prompt": prompt, "max_tokens": 5})
    assert chat["messages"] == [{"role": "user", "content": text} for text in texts]
    assert chat["max_tokens"] == 5


def test_completion_without_prompt() -> None:
    """No prompt is an empty one, which vetting refuses."""
    request, _ = parse_shape(COMPLETIONS_REQUEST, b'{"model":"m"}')
    assert completion_to_chat(request)["messages"] == [{"role": "user", "content": ""}]


def test_response_text() -> None:
    """A text is a user's message after the instructions."""
    chat = response_to_chat({"model": "m", "input": "Hello", "instructions": "Be brief.", "max_output_tokens": 9})
    assert chat["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
    ]
    assert (chat["max_tokens"], chat["tools"]) == (9, None)


def test_response_conversation() -> None:
    """Messages, calls next to each other, their outputs; what no rule can ask for is left out."""
    given: Any = [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": "gs://b/x"}],
        },
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "one"},
        {"type": "function_call_output", "call_id": "2", "output": [{"type": "input_text", "text": "two"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done"}]},
    ]
    chat = response_to_chat({"model": "m", "input": given})
    calls = [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    picture = {"type": "image_url", "image_url": {"url": "gs://b/x"}}
    assert chat["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, picture]},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "1", "content": "one"},
        {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "two"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Done"}]},
    ]


def test_response_tools_and_format() -> None:
    """Functions become chat tools, tools of the service are left out, and a schema becomes a response format."""
    request: ResponsesRequest = {
        "model": "m",
        "input": "Hello",
        "tools": [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "string"}, "strict": True}},
    }
    chat = response_to_chat(request)
    assert chat["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    schema = {"name": "n", "schema": {"type": "string"}, "strict": True}
    assert chat["response_format"] == {"type": "json_schema", "json_schema": schema}
    assert "response_format" not in response_to_chat({"input": "a", "text": {"format": {"type": "text"}}})
    assert response_to_chat({"text": {"format": {"type": "json_object"}}})["response_format"] == {"type": "json_object"}
