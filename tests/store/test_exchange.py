"""What an exchange takes in memory, and what is kept of it."""

import gc
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from emulator.engine.ruleset import compile_rules
from emulator.redaction import MAX_HOST, MAX_LINE
from emulator.scenario.loading import read_text
from emulator.server.clock import ManualClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import MAX_RAW_TEXT, Exchange
from emulator.wire.urls import Target

MIB = 1024 * 1024
SCENARIO = r"""
rules:
- {when: {last_user: {regex: '(?s)(?P<found>echo.*)'}}, reply: '{{ found }}'}
- {when: {last_user: pieces}, reply: '{{ ("a. " * 3000) }}'}
- {when: {last_user: head}, headers: {x-a: "{{ 'a' * 4000 }}", x-b: "{{ 'b' * 4000 }}"}, reply: short}
"""


def make_service() -> Service:
    """A service of the scenario above."""
    return Service(compile_rules(read_text(SCENARIO).scenarios), Settings(auth="off"), clock=ManualClock())


def send(
    service: Service, text: str, target: Target | None = None, host: str = "h", more: Any = None, **named: Any
) -> Exchange:
    """Send a chat request, with further fields, and put the exchange into the journal."""
    messages = [{"role": "user", "content": text}]
    body = {"model": "google/gemini-2.5-flash", "messages": messages, **named, **(more or {})}
    target = target or Target("v1", "p", "us-central1", "openapi")
    exchange = service.handle(target, b"", [(b"host", host.encode())], json.dumps(body).encode())
    service.finish(exchange)
    return exchange


def long_target(number: int) -> Target:
    """A target whose path is long."""
    return Target("v1", "p", "us-central1", f"{number:09}" + "e" * 20_000)


@pytest.mark.parametrize(
    "make",
    [
        lambda service, number: send(service, f"head {number}"),
        lambda service, number: send(service, f"echo {number}" + "x" * 20_000),
        lambda service, number: send(service, f"pieces {number}", stream=True),
        lambda service, number: send(service, f"miss {number}" + "é日" * 5_000),
        lambda service, number: send(service, "head", long_target(number)),
        lambda service, number: send(service, "head", host=f"{number}" + "h" * 50_000),
        lambda service, number: send(service, "head", model=f"{number}" + "m" * 70_000),
        lambda service, number: send(service, "head", more={f"{number}" + "k" * 70_000: [{}] * 1_000}),
    ],
    ids=["headers", "captures", "frames", "report", "path", "host", "model", "keys"],
)
def test_the_size_counts_all_that_is_kept(make: Callable[[Service, int], Exchange]) -> None:
    """An exchange takes no more memory than it is counted for, so the journal's bound is one of memory."""
    service = make_service()
    for number in range(3):
        make(service, number)
    service.reset(None)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        counted = sum(make(service, number).size for number in range(40, 60))
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # A session or cached options may be new too.
    assert taken <= counted + 100_000


def test_a_request_is_no_cyclic_garbage() -> None:
    """What a request was parsed to is freed when it is answered, without waiting for a garbage collection."""
    service = make_service()
    send(service, "echo first")
    service.reset(None)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(10):
            send(service, f"echo {number} {{{{ uuid() }}}}", custom="x" * MIB)
        service.reset(None)
        assert tracemalloc.get_traced_memory()[0] - before < MIB
    finally:
        tracemalloc.stop()
        gc.enable()


def test_texts_beside_the_bodies_are_kept_short() -> None:
    """Host, explanation, place, report and warnings; names that a regular expression has captured are not kept at all."""
    service = make_service()
    refused = send(service, "x", model="m" * 100_000, host="h" * 50_000)
    assert refused.outcome.refusal is not None
    assert len(refused.outcome.refusal.explanation) <= MAX_LINE
    assert len(refused.sender.host) <= MAX_HOST
    assert send(service, "echo me").outcome.chosen._replace(rule=None).captures == {}  # type: ignore[union-attr, arg-type]  # a rule answers; without it the captures are compared
    missed = send(service, "no rule", Target("v1", "p\nq" + "p" * 10_000, "us-central1", "openapi"))
    assert all(len(line) <= MAX_LINE + 10 for line in missed.outcome.report.split("\n"))
    warned = send(service, "head", more={"k" * 10_000: 1})
    assert all(len(text) <= MAX_LINE for text in (*warned.to_json()["warnings"], *warned.to_json()["ignored"]))


def test_bodies_that_are_not_json_are_shown_cut() -> None:
    """All of a JSON body is shown."""
    service = make_service()
    exchange = service.handle(Target("v1", "p", "us-central1", "openapi"), b"", [], b"{" + b"x" * 200_000)
    assert len(exchange.to_json()["request"]) == MAX_RAW_TEXT
    assert len(send(service, "x" * 200_000).to_json()["request"]["messages"][0]["content"]) == 200_000


@pytest.mark.parametrize(
    ("reply", "model", "lifetime", "expected"),
    [
        ("Hi.", "google/gemini-2.5-flash", 60, None),
        ("Hi.", "bare", 60, "malformed_publisher_model"),
        ("{fail: 400}", "google/gemini-2.5-flash", 60, None),
        ("Hi.", "google/gemini-2.5-flash", -1, None),
    ],
    ids=["answer", "refusal", "rule", "expired"],
)
def test_unscripted_refusal(reply: str, model: str, lifetime: int, expected: str | None) -> None:
    """It is Vertex's refusal, unless a rule or the lifetime of tokens brought it about."""
    rules = compile_rules(read_text(f"rules: [{{reply: {reply}}}]").scenarios)
    service = Service(rules, Settings(), clock=ManualClock())
    token = service.mint.issue(service.clock.now(), lifetime)
    headers = [(b"authorization", f"Bearer {token}".encode())]
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}]}).encode()
    exchange = service.handle(Target("v1", "p", "global", "openapi"), b"", headers, body)
    assert (exchange.status == 200) == (exchange.outcome.refusal is None)
    refusal = exchange.unscripted_refusal
    assert (refusal and refusal.rule) == expected
