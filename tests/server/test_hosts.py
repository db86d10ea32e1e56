"""What the Host header of a request decides: hosts without a service, those of other locations, and where a model is found."""

import json
from typing import Any

import pytest

from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import SystemClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.wire.urls import Target

MODEL = "google/gemini-3.5-flash"


def send(
    host: str, location: str = "global", *, model: str = MODEL, method: str = "chat/completions", **settings: Any
) -> Exchange:
    """Send a request to a host."""
    rules = compile_rules(read_text("rules: [{reply: fine}]").scenarios)
    service = Service(rules, Settings(**{"auth": "off", **settings}), clock=SystemClock())
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    target = Target("v1", "p", location, "openapi", method)
    return service.handle(target, b"", [(b"Host", host.encode())], json.dumps(body).encode())


def explanation(exchange: Exchange) -> str:
    """What the header says about a refusal."""
    return str(dict(exchange.outcome.timeline.headers)["x-emulator-explanation"])


@pytest.mark.parametrize("vetting", ["enforce", "off"])
def test_hosts_without_a_service(vetting: str) -> None:
    """`global-` answers Google's page, `us-` and `eu-` a bare object, whoever asks; the right host is named."""
    exchange = send("global-aiplatform.googleapis.com", vetting=vetting, auth="any")
    timeline = exchange.outcome.timeline
    assert (timeline.status, dict(timeline.headers)["content-type"]) == (404, "text/html; charset=UTF-8")
    assert b"<code>/v1/projects/p/locations/global/endpoints/openapi/chat/completions</code>" in timeline.body
    assert explanation(exchange) == (
        "html_not_found: there is no service at global-aiplatform.googleapis.com; locations/global is served at "
        "aiplatform.googleapis.com"
    )
    for location in ("us", "eu"):
        exchange = send(f"{location.upper()}-aiplatform.googleapis.com:443", location, vetting=vetting)
        error = json.loads(exchange.outcome.timeline.body)["error"]
        assert error == {
            "code": 400,
            "message": f"Invalid hostname: {location}-aiplatform.googleapis.com",
            "status": "INVALID_ARGUMENT",
        }
        assert explanation(exchange).endswith(f"is served at aiplatform.{location}.rep.googleapis.com")


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("aiplatfrom.googleapis.com", 'Vertex AI is not at aiplatfrom.googleapis.com; did you mean "aiplatform.googleapis.com"?'),
        ("us-central1-aiplatfrm.googleapis.com", '; did you mean "us-central1-aiplatform.googleapis.com"?'),
        ("storage.googleapis.com:443", "Vertex AI is not at storage.googleapis.com; its hosts are aiplatform.googleapis.com and, for a region, "),
        ("xx-aiplatform.googleapis.com", "there is no service at xx-aiplatform.googleapis.com; its hosts are aiplatform.googleapis.com and"),
    ],
)  # fmt: skip
def test_hosts_of_other_services(host: str, said: str) -> None:
    """Google's page, with the host that was probably meant."""
    exchange = send(host)
    assert exchange.outcome.timeline.status == 404
    assert exchange.outcome.timeline.body.startswith(b"<!DOCTYPE html>")
    assert said in explanation(exchange)


@pytest.mark.parametrize("method", ["chat/completions", "completions", ""])
def test_hosts_of_other_locations(method: str) -> None:
    """The page, on every route."""
    for host, location in (
        ("us-central1-aiplatform.googleapis.com", "europe-west4"),
        ("aiplatform.eu.rep.googleapis.com", "us"),
        ("europe-west4-aiplatform.googleapis.com", "eu"),
    ):
        exchange = send(host, location, method=method)
        assert exchange.outcome.timeline.status == 404
        assert exchange.outcome.timeline.body.startswith(b"<!DOCTYPE html>")
        assert f"but the path says locations/{location}" in explanation(exchange)


@pytest.mark.parametrize(
    ("host", "location"),
    [
        ("us-central1-aiplatform.googleapis.com", "us-central1"),
        ("us-central1-aiplatform.googleapis.com", "global"),
        ("aiplatform.googleapis.com", "global"),
        ("aiplatform.googleapis.com:443", "us-central1"),
        ("aiplatform.googleapis.com.", "eu"),
        ("aiplatform.us.rep.googleapis.com", "us"),
        ("aiplatform.mtls.googleapis.com", "global"),
        ("aiplatform-mine.p.googleapis.com", "us-central1"),
        ("localhost:8080", "europe-west4"),
        ("[::1]:8080", "europe-west4"),
        ("", "europe-west4"),
    ],
)
def test_other_hosts_answer(host: str, location: str) -> None:
    """A host that serves the path's location, the global one with any path, and any that is not Google's."""
    assert send(host, location, model="meta/llama-3.1-8b-instruct-maas").outcome.timeline.status == 200


def test_the_host_decides_where_a_model_is_found() -> None:
    """A model of the global location is found at the global host under any path, and not at a region's host."""
    for host, status in (
        ("aiplatform.googleapis.com", 200),
        ("us-central1-aiplatform.googleapis.com", 404),
        ("localhost", 404),
    ):
        exchange = send(host, "us-central1", model="google/gemini-3-flash-preview", models="known")
        assert exchange.outcome.timeline.status == status
        assert status == 200 or b"Publisher Model `projects/p/locations/us-central1/" in exchange.outcome.timeline.body
