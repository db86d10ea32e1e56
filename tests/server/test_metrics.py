"""Metrics over a real socket, read by Prometheus' own parser."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from emulator.api.emulator import Emulator
from emulator.server.metrics import MAX_SERIES, Metrics
from emulator.server.settings import Settings
from emulator.store.exchange import TokenExchange

LABELS = ("outcome", "rule", "model", "status", "kind", "le")
RULES = """
rules:
  - {name: greet, when: {last_user: hello}, reply: Hello.}
  - {name: "quo\\"ted", when: {last_user: quoted}, reply: Hello.}
  - {name: slow, when: {last_user: slow}, pace: {first_token_ms: 30}, reply: Hello.}
  - {name: endless, when: {last_user: endless}, reply: [{say: [one]}, {stall: forever}]}
"""


@pytest.fixture
def vertex() -> Iterator[Emulator]:
    """A running emulator."""
    with Emulator(RULES, settings=Settings(auth="off", seed="metrics")) as running:
        yield running


def ask(vertex: Emulator, text: str, model: str = "google/gemini-2.5-flash") -> None:
    """Send a request and read the answer."""
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    httpx.post(f"{vertex.session('p').base_url}/chat/completions", json=body, timeout=30)


def read(vertex: Emulator) -> dict[tuple[str, ...], float]:
    """All samples by name and label values."""
    connection = HTTPConnection(vertex.url.removeprefix("http://"), timeout=30)
    connection.request("GET", "/__emulator__/metrics")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert (answer.status, answer.getheader("content-type", "").split(";")[0]) == (200, "text/plain")
    families = text_string_to_metric_families(text)
    return {
        (one.name, *(one.labels[label] for label in LABELS if label in one.labels)): one.value
        for family in families
        for one in family.samples
    }


def test_requests_tokens_and_latency_are_counted(vertex: Emulator) -> None:
    """Each combination of outcome, rule, model and status has its counter; control requests count nothing."""
    for text in ("hello", "hello", "quoted", "slow", "nobody"):
        ask(vertex, text)
    ask(vertex, "hello", model="bare")
    found = read(vertex)
    model = "google/gemini-2.5-flash"
    name = "vertex_emulator_requests_total"
    counted = {key[1:]: value for key, value in found.items() if key[0] == name}
    assert counted == {
        ("answer", "greet", model, "200"): 2,
        ("answer", 'quo"ted', model, "200"): 1,
        ("answer", "slow", model, "200"): 1,
        ("miss", "", model, "418"): 1,
        ("refusal", "", "bare", "400"): 1,
    }
    assert found["vertex_emulator_tokens_total", model, "completion"] == 4 * 2
    for kind in ("planned", "observed"):
        assert found[f"vertex_emulator_latency_{kind}_seconds_count",] == 6
        assert found[f"vertex_emulator_latency_{kind}_seconds_sum",] >= 0.03
        assert found[f"vertex_emulator_latency_{kind}_seconds_bucket", "+Inf"] == 6
    assert found["vertex_emulator_latency_planned_seconds_bucket", "0.025"] == 5
    assert found["vertex_emulator_latency_planned_seconds_bucket", "0.05"] == 6
    assert found["vertex_emulator_store_errors_total",] == 0


def test_open_streams_are_those_being_sent(vertex: Emulator) -> None:
    """A stream counts from its first byte until it ends or its client leaves."""
    body = {"model": "google/gemini-2.5-flash", "stream": True, "messages": [{"role": "user", "content": "endless"}]}
    with httpx.stream("POST", f"{vertex.session('p').base_url}/chat/completions", json=body, timeout=30) as response:
        lines = response.iter_lines()
        assert "one" in next(lines)
        assert read(vertex)["vertex_emulator_open_streams",] == 1
    vertex.journal.wait_for(1)
    assert read(vertex)["vertex_emulator_open_streams",] == 0


def test_what_clients_send_cannot_make_series_without_end(vertex: Emulator) -> None:
    """Beyond a bound models count as `other`, long names are cut, and what no text can have is escaped."""
    service = vertex.service
    ask(vertex, "hello")
    (exchange,) = vertex.journal
    for number in range(MAX_SERIES + 10):
        exchange.asked = exchange.asked._replace(model=f"google/{number}")
        service.metrics.count(exchange)
    exchange.asked = exchange.asked._replace(model="\ud800\n" + "x" * 5_000)
    service.metrics.count(exchange)
    found = read(vertex)
    assert found["vertex_emulator_requests_total", "answer", "other", "other", "200"] == 12
    assert len(found) < 4 * MAX_SERIES
    metrics = Metrics({})
    metrics.count(exchange)
    assert max(map(len, metrics.read())) < 500
    json.dumps(metrics.read()).encode()


def test_token_requests_count_too() -> None:
    """They have neither rule nor model."""
    metrics = Metrics({})
    fields: dict[str, Any] = {"session": "p", "path": "/token", "account": "", "request": {}, "answer": {}}
    metrics.count_other(TokenExchange(number=1, started=0.0, status=200, **fields))
    assert metrics.read()['["requests", "token", "", "", 200]'] == 1


def test_without_the_package_one_sentence_says_so(vertex: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing, and how to get it."""
    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)
    answer = httpx.get(f"{vertex.url}/__emulator__/metrics")
    assert answer.status_code == 501
    assert answer.json()["error"]["message"] == (
        "emulator: metrics need prometheus-client: pip install 'vertex-openai-emulator[metrics]'"
    )
