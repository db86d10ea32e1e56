"""Explanations of exchanges that are not as they were when they were answered."""

import json
from typing import Any

import pytest

from emulator.api.emulator import build_service
from emulator.engine.ruleset import Ruleset
from emulator.server.explaining import explain_exchange, state_before
from emulator.server.service import Service
from emulator.store.exchange import Exchange
from emulator.store.records import pack, unpack
from emulator.wire.urls import Target

TARGET = Target("v1", "demo", "global", "openapi")
HANDED_OVER = '"greet" hands over to the rule "otherwise" of the default scenario'


def ask(service: Service) -> Exchange:
    """An exchange, as another process reads it from the store."""
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}]}
    exchange = service.handle(TARGET, b"", [(b"authorization", b"Bearer any")], json.dumps(body).encode())
    service.finish(exchange)
    stored = unpack(pack(exchange))
    assert isinstance(stored, Exchange)
    return stored


def explain(exchange: Exchange, rules: Ruleset) -> dict[str, Any]:
    """Its explanation by these rules."""
    return explain_exchange(exchange, exchange.facts, rules, state_before(exchange, [], rules, frozenset()))


@pytest.mark.parametrize(("reply", "notes"), [("default", [HANDED_OVER]), ("Hi.", [])])
def test_an_exchange_from_the_store(reply: str, notes: list[str]) -> None:
    """The store has only name and place of the rule; the loaded rules say whether it hands over."""
    service = build_service([f"rules: [{{name: greet, reply: {reply}}}]\n"])
    explained = explain(ask(service), service.ruleset)
    assert (explained["outcome"], explained["rule"], explained["notes"]) == ("answer", "greet", notes)


def test_an_exchange_whose_rule_is_gone() -> None:
    """Nothing is said of what its reply was."""
    exchange = ask(build_service(["rules: [{name: greet, reply: default}]\n"]))
    others = build_service(["rules: [{name: other, reply: Hi.}]\n"]).ruleset
    (note,) = explain(exchange, others)["notes"]
    assert note.endswith("answered it then; the rules have changed since")
