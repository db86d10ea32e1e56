"""Signals while answers are being sent."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

SCENARIO = """
rules:
  - {name: short, when: {last_user: short}, pace: {every_ms: 100}, reply: {say: [one, two, three]}}
  - {name: long, when: {last_user: long}, reply: [{say: [one]}, {pause: 600000}, {say: [two]}]}
  - {name: never, when: {last_user: never}, reply: [{say: [one]}, {stall: forever}]}
"""


@contextmanager
def stream(base: str, text: str) -> Iterator[Iterator[str]]:
    """The lines of a stream, once its first chunk has arrived."""
    body = {"model": "google/gemini-2.5-flash", "stream": True, "messages": [{"role": "user", "content": text}]}
    headers = {"authorization": "Bearer any"}
    with httpx.stream("POST", f"{base}/chat/completions", json=body, headers=headers, timeout=20) as response:
        lines = (line for line in response.iter_lines() if line)
        assert "one" in next(lines)
        yield lines


@pytest.fixture
def scenario(tmp_path: Any) -> str:
    """A scenario with slow answers."""
    (tmp_path / "slow.yaml").write_text(SCENARIO, "utf-8")
    return "slow.yaml"


def test_running_streams_may_end(serve: Any, scenario: str) -> None:
    """A stream that ends within the grace period is complete, and the exit status is 0."""
    program = serve(scenario)
    with stream(program.read_base_url(), "short") as lines:
        program.process.send_signal(signal.SIGTERM)
        assert [*lines][-1] == "data: [DONE]"
        assert '"short"' in program.read_until("→ ")[-1]
        assert program.process.wait(timeout=20) == 0


@pytest.mark.parametrize("text", ["long", "never"])
def test_streams_that_do_not_end_are_cut(serve: Any, scenario: str, text: str) -> None:
    """After the grace period connections are closed, which the log says, and the exit status is 0."""
    program = serve(scenario, "--grace", "0")
    with stream(program.read_base_url(), text) as lines:
        program.process.send_signal(signal.SIGTERM)
        with pytest.raises(httpx.HTTPError):
            list(lines)
        assert "server stopped" in program.read_rest().strip().splitlines()[-1]
        assert program.process.wait(timeout=20) == 0


def test_the_first_signal_says_what_is_waited_for_and_the_second_ends_at_once(serve: Any, scenario: str) -> None:
    """The answers are named; without a second signal the grace would be over after minutes."""
    program = serve(scenario, "--grace", "600")
    with stream(program.read_base_url(), "never") as lines:
        program.process.send_signal(signal.SIGINT)
        said = program.read_until("waiting")[-1]
        assert said.startswith("vertex-emulator: waiting up to 600 s for 1 answer to end (#")
        assert said.endswith(' demo "never"); Ctrl-C again ends at once')
        before = time.monotonic()
        program.process.send_signal(signal.SIGINT)
        with pytest.raises(httpx.HTTPError):
            list(lines)
        assert "server stopped" in program.read_rest()
        assert program.process.wait(timeout=20) == 0
        assert time.monotonic() - before < 20


def test_a_signal_without_running_answers_says_nothing(serve: Any, scenario: str) -> None:
    """The server ends."""
    program = serve(scenario)
    program.read_until("Ctrl-C stops the server.")
    program.process.send_signal(signal.SIGINT)
    assert program.read_rest().strip() == ""
    assert program.process.wait(timeout=20) == 0
