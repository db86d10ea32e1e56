"""Serialised exchanges: unpacking returns what was packed."""

import json
from typing import Any

import pytest

from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import ManualClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange, TokenExchange
from emulator.store.records import pack, unpack
from emulator.wire.urls import Target

SCENARIO = """
scenario: kept
rules:
  - {name: loop, when: {last_user: loop}, sequence: [a, b], then: loop}
  - {name: slow, when: {last_user: slow}, pace: {first_token_ms: 100, tokens_per_second: 50, jitter: 0.2}, reply: {say: [a, b]}}
  - {name: breaks, when: {last_user: break}, reply: [{say: Well}, {fail: 503}]}
  - {name: cuts, when: {last_user: cut}, reply: [{say: Well}, {cut: reset}]}
  - {name: gone, when: {last_user: gone}, fault: close_before_headers, reply: Never.}
  - {name: calls, when: {last_user: call}, reply: [{call: look, with: {at: sea}}]}
  - {name: quirky, when: {last_user: quirk}, quirks: [data_errors], headers: {x-own: "1"}, reply: {raw: "as it is"}}
  - {name: counted, when: {last_user: count}, reply: Yes., usage: {prompt: 3, completion: 2, reasoning: 4, cached: 1, traffic: ON_DEMAND_FLEX}}
  - {name: plain, when: {last_user: plain}, reply: {say: [One, " two", " three"]}}
"""
TEXTS = ["loop", "slow", "break", "cut", "gone", "call", "quirk", "count", "plain", "nobody"]
METHODS = ["chat/completions", "completions", "responses"]
HEADERS = [(b"host", b"localhost"), (b"authorization", b"Bearer any")]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", TEXTS)
def test_exchanges_survive_a_round_trip(text: str, stream: bool, method: str) -> None:
    """All properties and each frame are equal."""
    service = Service(compile_rules(read_text(SCENARIO).scenarios), Settings(), clock=ManualClock())
    for number in range(3):
        exchange = service.handle(
            Target("v1", "p", "global", "openapi", method), b"", HEADERS, _write(method, text, stream)
        )
        exchange.duration, exchange.played.sent, exchange.played.times = number / 7, number, (0.5, 1.5)[:number]
        service.finish(exchange)
        read = unpack(pack(exchange))
        assert isinstance(read, Exchange)
        read.position = exchange.position
        assert read.to_json() == exchange.to_json()
        assert read.outcome.timeline.frames == tuple(
            frame._replace(weight=0) for frame in exchange.outcome.timeline.frames
        )
        assert (read.size, read.sender, read.held) == (exchange.size, exchange.sender, exchange.held)
        assert (read.outcome.changed_by_overrides, read.outcome.usage) == (
            exchange.outcome.changed_by_overrides,
            exchange.outcome.usage,
        )


def _write(method: str, text: str, stream: bool) -> bytes:
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    model = "google/gemini-2.5-flash"
    if method == "completions":
        asked, model = {"prompt": text}, "zai-org/glm-5-maas"
    elif method == "responses":
        asked, model = {"input": text}, "xai/grok-4.3"
    return json.dumps({"model": model, "stream": stream, **asked}).encode()


def test_token_requests_survive_a_round_trip() -> None:
    """All fields are equal."""
    token = TokenExchange(
        number=3, started=1.0, session="p", path="/token", account="a@b", status=200, request={"a": 1}, answer={"b": 2}
    )
    assert unpack(pack(token)) == token
