"""Tests that all want the same names and counters; test_crowd.py runs them in workers and in random order."""

import json
from collections.abc import Sequence
from urllib.request import Request, urlopen

import pytest

from emulator.api.session import VertexSession

SIZE = 500
RULES = """
rules:
  - {name: first, times: 1, reply: "first, {{ use }}"}
  - {name: later, reply: "later, {{ use }}"}
"""


@pytest.fixture(scope="session")
def vertex_scenarios() -> Sequence[str]:
    """A server whose answers depend on earlier requests."""
    return [RULES]


def ask(vertex: VertexSession, text: str) -> str:
    """The model's answer to a text."""
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": text}]}
    url, headers = f"{vertex.base_url}/chat/completions", {"authorization": f"Bearer {vertex.api_key}"}
    with urlopen(Request(url, json.dumps(body).encode(), headers), timeout=60) as answer:  # noqa: S310  # our own server
        said: str = json.load(answer)["choices"][0]["message"]["content"]
    return said


@pytest.mark.parametrize("number", range(SIZE))
def test_one_of_many(vertex: VertexSession, number: int) -> None:
    """Counters, rules and journal are the test's own, whichever tests ran before."""
    vertex.on(last_user="you").reply(f"I am {number}.").times(1)
    said = [ask(vertex, text) for text in ("hello", "hello", "who are you?", "hello", "who are you?")]
    assert said == ["first, 1", "later, 1", f"I am {number}.", "later, 2", "later, 3"]
    assert [exchange.text for exchange in vertex.journal] == said
