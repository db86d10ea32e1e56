"""What the page shows of an exchange: costs and headers."""

import json

import pytest

from emulator.catalogue.models import find_price
from emulator.engine.ruleset import compile_rules
from emulator.inspector.views import estimate_cost, show_exchange
from emulator.scenario.loading import read_text
from emulator.server.clock import SystemClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.wire.urls import Target

SCENARIO = (
    "rules: [{name: greet, headers: {x-own: one, server: null}, usage: {prompt: 1000, completion: 500}, reply: Hi}]"
)


def send(model: str, location: str = "global", *headers: tuple[bytes, bytes]) -> tuple[Service, Exchange]:
    """A service that has answered one request."""
    service = Service(compile_rules(read_text(SCENARIO).scenarios), Settings(auth="off"), clock=SystemClock())
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]}).encode()
    exchange = service.handle(Target("v1", "demo", location, "openapi"), b"", headers, body)
    service.finish(exchange)
    return service, exchange


@pytest.mark.parametrize("location", ["global", "us-central1"])
def test_costs_are_those_of_the_catalogue(location: str) -> None:
    """Tokens times prices, and more outside of the global location where the catalogue says so."""
    name = "google/gemini-3.5-flash"
    price = find_price(name)
    assert price is not None
    cost = estimate_cost(send(name, location)[1])
    assert cost is not None
    factor = 1.0 if location == "global" else price.regional_multiplier
    assert cost["usd"] == pytest.approx(factor * (1000 * price.input + 500 * price.output) / 1_000_000)


def test_unknown_models_have_no_costs() -> None:
    """Nothing is made up."""
    assert estimate_cost(send("google/gemini-of-mine")[1]) is None


def test_what_the_fallback_answered_is_said_to_be_its() -> None:
    """With the nearest of the rules that did not answer."""
    rules = compile_rules(read_text("rules: [{name: greet, when: {last_user: hi}, reply: Hi}]").scenarios)
    service = Service(rules, Settings(auth="off", fallback="default"), clock=SystemClock())
    body = json.dumps({"model": "google/gemini-3.5-flash", "messages": [{"role": "user", "content": "Bye"}]}).encode()
    exchange = service.handle(Target("v1", "demo", "global", "openapi"), b"", [], body)
    service.finish(exchange)
    why = show_exchange(service, exchange)["why"]
    assert why["sentence"] == 'No rule holds, so "otherwise" of the fallback answered. The nearest come first.'
    assert [(rule["name"], rule["answered"]) for rule in why["rules"]] == [("greet", False)]


def test_headers_are_those_that_were_sent() -> None:
    """Those of the front end, of the rule and that which names it; removed ones are gone, and so are credentials of the request."""
    shown = show_exchange(
        *send("google/gemini-3.5-flash", "global", (b"Authorization", b"Bearer x"), (b"X-Team", b"red"))
    )
    sent = dict(shown["answer_headers"])
    assert (sent["x-own"], sent["content-type"]) == ("one", "application/json; charset=UTF-8")
    assert "server" not in sent
    assert sent["x-emulator-rule"].startswith('"greet", ')
    assert shown["request_headers"] == [["x-team", "red"]]
