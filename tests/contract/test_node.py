"""openai for Node: node/client.mjs does one task at a time and prints JSON."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator.api.emulator import Emulator

PROGRAM = Path(__file__).with_name("node") / "client.mjs"
Do = Callable[..., Any]
Journal = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def do(node_openai: Path, vertex: Emulator, project: str, push: Callable[[str], None]) -> Do:
    """Do one of the program's tasks, against a scenario or the built-in default, and return what it printed."""

    def do(task: str, scenario: str | None = None) -> Any:
        if scenario is not None:
            push(scenario)
        done = subprocess.run(
            ["node", PROGRAM, task],
            env={
                "OPENAI_API_KEY": vertex.api_key,
                "OPENAI_BASE_URL": vertex.session(project).base_url,
                "OPENAI_PACKAGE": f"{node_openai}/package.json",
                "PATH": os.environ["PATH"],
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return do


def test_create(do: Do) -> None:
    """An answer arrives with all that Vertex sends."""
    answer = do("create", "chat.yaml")
    assert answer["choices"] == [
        {
            "finish_reason": "stop",
            "index": 0,
            "logprobs": None,
            "message": {"content": "Hello! How can I help?", "role": "assistant"},
        }
    ]
    assert (answer["object"], answer["system_fingerprint"]) == ("chat.completion", "")
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]


def test_stream(do: Do) -> None:
    """A stream arrives chunk by chunk, with its finish reason and usage on the last one only."""
    *earlier, last = do("stream", "chat.yaml")
    choices = [chunk["choices"][0] for chunk in (*earlier, last)]
    assert "".join(choice["delta"]["content"] for choice in choices) == "Hello! How can I help?"
    assert not any("usage" in chunk or "finish_reason" in chunk["choices"][0] for chunk in earlier)
    assert (last["choices"][0]["finish_reason"], last["usage"]["total_tokens"] > 0) == ("stop", True)


def test_stream_events(do: Do) -> None:
    """The stream helper ends with the whole answer and its usage."""
    seen = do("events", "streaming.yaml")
    assert seen["content"] == seen["final"]
    assert seen["final"].startswith("Vertex sends rather large chunks.")
    assert seen["usage"]["total_tokens"] > 0


def test_tools(do: Do) -> None:
    """Two parallel calls, their results, a text."""
    seen = do("tools", "tools.yaml")
    choice = seen["first"]["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    here, there = choice["message"]["tool_calls"]
    assert here["extra_content"]["google"]["thought_signature"]
    assert "extra_content" not in there
    assert seen["second"]["choices"][0]["message"]["content"] == "Paris: 20 °C. Rome: 21 °C. "


def test_streamed_tools(do: Do) -> None:
    """The stream helper puts the streamed calls together."""
    choice = do("streamedTools", "tools.yaml")["choices"][0]
    functions = [call["function"] for call in choice["message"]["tool_calls"]]
    assert [json.loads(function["arguments"])["location"] for function in functions] == ["Paris", "Rome"]
    assert {function["name"] for function in functions} == {"get_current_weather"}
    assert choice["finish_reason"] == "tool_calls"


def test_parse(do: Do) -> None:
    """An answer to a schema can be parsed and is valid."""
    event = do("parse")
    assert event.keys() == {"name", "participants"}
    assert event["participants"]
    assert all(isinstance(name, str) for name in event["participants"])


def test_retries_until_success(do: Do, journal: Journal) -> None:
    """The client meets 429, then 503, then its answer."""
    assert do("retry", "errors.yaml")["choices"][0]["message"]["content"] == "Third time lucky."
    assert [exchange["status"] for exchange in journal()] == [429, 503, 200]


def test_miss(do: Do, journal: Journal) -> None:
    """A miss raises at once, with the report in the message, and is not retried."""
    error = do("miss", "errors.yaml")
    assert (error["name"], error["status"], error["code"]) == ("APIError", 418, "no_rule")
    assert 'wanted text containing "retry", got "good morning"' in error["message"]
    assert [exchange["status"] for exchange in journal()] == [418]


def test_refusal(do: Do, journal: Journal) -> None:
    """A refusal in its array keeps its status; the package finds no message in it, as with the real service."""
    error = do("refusal")
    assert (error["name"], error["status"]) == ("BadRequestError", 400)
    assert "Malformed publisher model" not in error["message"]
    assert [exchange["refusal"]["name"] for exchange in journal()] == ["malformed_publisher_model"]
