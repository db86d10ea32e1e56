"""Verdicts on clients, read from the control path over a real socket."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from emulator.api.emulator import Emulator
from emulator.server.authentication import Credentials, describe_sender
from emulator.server.session_checks import observe
from emulator.verdicts.registry import judge_client


@pytest.fixture(scope="module")
def vertex() -> Iterator[Emulator]:
    """A server of the built-in default."""
    with Emulator() as running:
        yield running


def request(vertex: Emulator, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """Send one request and return the JSON that comes back."""
    connection = HTTPConnection(vertex.url.removeprefix("http://"), timeout=30)
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return json.loads(body) if response.getheader("content-type", "").startswith("application/json") else body.decode()


def ask(vertex: Emulator, project: str, bearer: str = "ya29.token", **more: Any) -> None:
    """Send a chat request with a regional Google host name."""
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Hi"}], **more}
    path = f"/v1/projects/{project}/locations/us-central1/endpoints/openapi/chat/completions"
    host = "us-central1-aiplatform.googleapis.com" if project != "lost" else "europe-west4-aiplatform.googleapis.com"
    request(vertex, "POST", path, body, Authorization=f"Bearer {bearer}", Host=host)


def names(answer: Any) -> list[str]:
    """The names of verdicts."""
    return [verdict["name"] for verdict in answer["verdicts"]]


def test_control_path_gives_verdicts_of_a_session(vertex: Emulator) -> None:
    """For one session or all of them; every verdict has its evidence."""
    ask(vertex, "right")
    ask(vertex, "lost")
    ask(vertex, "keyed", bearer="sk-123")
    ask(vertex, "chatty", store=True)
    assert names(request(vertex, "GET", "/__emulator__/verdicts?session=right")) == []
    assert names(request(vertex, "GET", "/__emulator__/verdicts")) == [
        "wrong_host",
        "api_key_sent",
        "unsupported_parameter",
    ]
    (verdict,) = request(vertex, "GET", "/__emulator__/verdicts?session=chatty")["verdicts"]
    (number,) = [one.number for one in vertex.service.journal if one.session == "chatty"]
    assert verdict == {
        "name": "unsupported_parameter",
        "severity": "warning",
        "exchanges": [number],
        "sentence": 'the parameter "store" is not in the documentation; Vertex ignores it',
        "advice": "leave it out; what is Gemini's own belongs into extra_body.google",
    }


def test_unknown_filter_is_an_error(vertex: Emulator) -> None:
    """An unknown parameter is not ignored."""
    answer = request(vertex, "GET", "/__emulator__/verdicts?sesion=right")
    assert answer["error"]["message"] == 'emulator: unknown filter "sesion"; expected session'


def test_bearers_are_not_kept(vertex: Emulator) -> None:
    """The journal keeps a digest per bearer, which differs between servers."""
    sent = [describe_sender(Credentials(bearer, False), key) for key in (b"1", b"2") for bearer in ("ya29.a", "ya29.b")]
    assert len({sender.credential for sender in sent}) == 4
    assert all("ya29" not in sender.credential for sender in sent)
    ask(vertex, "secret", bearer="ya29.secret")
    assert "ya29.secret" not in repr(list(vertex.service.journal))


def test_one_exchange_can_be_judged(vertex: Emulator) -> None:
    """Computing verdicts needs no service, only exchanges."""
    ask(vertex, "single", store=True)
    (exchange,) = [one for one in vertex.service.journal if one.session == "single"]
    assert [verdict.name for verdict in judge_client([observe(exchange)])] == ["unsupported_parameter"]


def test_connections_tell_clients_apart(vertex: Emulator) -> None:
    """Two processes of one program that send the same refused request are no retry; the second one of either is."""
    path = "/v1/projects/twins/locations/global/endpoints/openapi/chat/completions"
    twins = [HTTPConnection(vertex.url.removeprefix("http://"), timeout=30) for _ in range(2)]

    def send(twin: HTTPConnection, messages: list[Any]) -> int:
        body = json.dumps({"model": "google/gemini-2.5-flash", "messages": messages})
        twin.request("POST", path, body, {"Authorization": "Bearer ya29.token", "User-Agent": "twin/1.0"})
        response = twin.getresponse()
        response.read()
        return response.status

    for messages in ([], [{"role": "user", "content": "Hi"}]):
        assert {send(twin, messages) for twin in twins} == {200 if messages else 400}
    answer = request(vertex, "GET", "/__emulator__/verdicts?session=twins")
    assert names(answer) == ["request_refused"]
    assert "contents_required" in answer["verdicts"][0]["sentence"]
    assert send(twins[0], []) == 400
    assert names(request(vertex, "GET", "/__emulator__/verdicts?session=twins")) == [
        "request_refused",
        "refusal_retried",
    ]
    for twin in twins:
        twin.close()
