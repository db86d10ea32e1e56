"""Implicit caching: prompts that begin as an earlier one of their session report cached tokens."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.request.facts import Facts
from emulator.engine.request.implicit_caching import BLOCK_BYTES, count_cached, list_prefixes
from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import SystemClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.sessions import MAX_PREFIXES, KnownPrefixes
from emulator.wire.json_text import dump
from emulator.wire.requests import read_request
from emulator.wire.urls import Target

NEW = "google/gemini-3.5-flash"
OLD = "google/gemini-2.5-flash"
BOOK = " ".join(f"Line {number} of a long book." for number in range(4000))
"""About 25,000 tokens."""


def build(text: str = "rules: [{reply: fine}]", **given: Any) -> Service:
    """A service of a scenario."""
    return Service(compile_rules(read_text(text).scenarios), Settings(auth="off", **given), clock=SystemClock())


def ask(service: Service, *texts: str, model: str = NEW, project: str = "p", **more: Any) -> dict[str, Any]:
    """Send a conversation, the user's words and the assistant's in turn, and return the usage of the answer."""
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": text} for number, text in enumerate(texts)]
    body = json.dumps({"model": model, "messages": messages, **more}).encode()
    exchange = service.handle(Target("v1", project, "global", "openapi"), b"", [], body)
    assert exchange.outcome.timeline.status == 200
    found: dict[str, Any] = json.loads(exchange.outcome.timeline.body)["usage"]
    return found


def cached(usage: dict[str, Any]) -> int:
    """The cached tokens of a usage block; 0 if it has no details."""
    return int((usage.get("prompt_tokens_details") or {"cached_tokens": 0})["cached_tokens"])


def test_a_prompt_that_begins_alike_is_cached() -> None:
    """Not the first time; then all but the end, whatever follows: the same question, another one, or a longer conversation."""
    service = build()
    first = ask(service, BOOK)
    assert cached(first) == 0
    assert "prompt_tokens_details" not in first
    for texts in ((BOOK,), (f"{BOOK} And now?",), (BOOK, "fine", "Go on.")):
        usage = ask(service, *texts)
        assert 0.95 * first["prompt_tokens"] < cached(usage) < usage["prompt_tokens"]
    half = ask(service, BOOK[: len(BOOK) // 2] + "Something else." * 4000)
    assert 0.4 * first["prompt_tokens"] < cached(half) < 0.6 * first["prompt_tokens"]


def test_what_differs_is_not_cached() -> None:
    """Another beginning, session, model or tools; and after a reset nothing is known."""
    service = build()
    ask(service, BOOK)
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    assert cached(ask(service, f"Read: {BOOK}")) == 0
    assert cached(ask(service, BOOK, project="other")) == 0
    assert cached(ask(service, BOOK, model=OLD)) == 0
    assert cached(ask(service, BOOK, tools=[tool])) == 0
    assert cached(ask(service, BOOK)) > 0
    service.reset("p")
    assert cached(ask(service, BOOK)) == 0


@pytest.mark.parametrize(
    ("model", "tokens", "is_cached"),
    [
        (OLD, 3000, True),
        (OLD, 1900, False),
        (NEW, 3000, False),
        (NEW, 5200, True),
        ("google/gemini-3.1-pro-preview", 5200, False),
        ("google/gemini-3.1-pro-preview", 7500, True),
        ("google/gemma-4-26b-a4b-it-maas", 5200, True),
        ("google/gemini-2.0-flash-001", 7500, False),
        ("meta/llama-4-scout-17b-16e-instruct-maas", 7500, False),
    ],
)
def test_each_model_has_its_shortest_prefix(model: str, tokens: int, is_cached: bool) -> None:
    """Prompts below it are never cached."""
    service = build()
    text = BOOK[: 4 * tokens]
    usages = [ask(service, text, model=model) for _ in range(2)]
    assert [cached(usage) > 0 for usage in usages] == [False, is_cached]


def test_a_scenario_says_otherwise() -> None:
    """A given number wins, and so does the estimate for an explicit cache."""
    service = build("rules: [{reply: fine, usage: {cached: 7}}]")
    assert [cached(ask(service, BOOK)) for _ in range(2)] == [7, 7]
    service = build()
    name = "projects/p/locations/global/cachedContents/1"
    explicit = [cached(ask(service, BOOK, extra_body={"google": {"cached_content": name}})) for _ in range(2)]
    assert explicit[0] == explicit[1] > 0


def test_the_same_requests_get_the_same_answers() -> None:
    """With a seed, to the byte."""

    def play() -> list[dict[str, Any]]:
        service = build(seed="s")
        return [ask(service, *texts) for texts in ((BOOK,), ("Hi",), (BOOK, "fine", "More."), (BOOK,))]

    assert play() == play()


@given(st.text(max_size=200), st.text(max_size=200))
def test_common_beginnings_have_common_prefixes(one: str, other: str) -> None:
    """Prompts share as many prefixes as they share whole blocks, and never report more than they have."""

    def facts_of(end: str) -> Facts:
        request = {"model": OLD, "messages": [{"role": "user", "content": BOOK[: 8 * BLOCK_BYTES] + end}]}
        return Facts(Target("v1", "p", "global", "openapi"), [], read_request(dump(request)))

    first, second = facts_of(one), facts_of(other)
    shared = [mine == theirs for mine, theirs in zip(list_prefixes(first), list_prefixes(second), strict=False)]
    assert shared == sorted(shared, reverse=True)
    assert sum(shared) >= 8
    count = len(list_prefixes(second))
    assert 0 < count_cached(second, sum(shared), count) < second.prompt_tokens


def test_memory_is_bounded() -> None:
    """The oldest prefixes leave; those that are used again stay."""
    known = KnownPrefixes()
    assert known.recall([b"always"]) == 0
    for number in range(MAX_PREFIXES + 10):
        known.recall([number.to_bytes(4)])
        assert known.recall([b"always"]) == 1
    assert known.recall([(0).to_bytes(4)]) == 0
    assert known.recall([(MAX_PREFIXES + 9).to_bytes(4)]) == 1
