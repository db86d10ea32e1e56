"""Verification through the service and over HTTP, for single sessions and for all."""

import json
from http.client import HTTPConnection
from typing import Any

from emulator.api.emulator import Emulator
from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import SystemClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.wire.urls import Target

SCENARIO = """
order: strict
rules:
  - {name: a, when: {last_user: a}, expect: {times: 2}, reply: A}
  - {name: b, when: {last_user: b}, reply: B}
"""


def service_of(text: str = SCENARIO) -> Service:
    """A service with a scenario given as text."""
    return Service(compile_rules(read_text(text, "s.yaml").scenarios), Settings(auth="off"), clock=SystemClock())


def send(service: Service, text: str, project: str = "p") -> None:
    """Send one request and finish its exchange."""
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": text}]}
    target = Target("v1", project, "us-central1", "openapi")
    service.finish(service.handle(target, b"", [], json.dumps(body).encode()))


def test_one_session_is_verified() -> None:
    """Only its own uses and misses count."""
    service = service_of()
    send(service, "a")
    send(service, "a")
    send(service, "x", "q")
    assert service.verify("p").problems == ()
    assert service.verify("p", strict=True).problems == ('"b", s.yaml:5:5: never answered',)
    found = service.verify("q")
    assert len(found.unanswered) == 1
    assert found.unanswered[0].startswith("exchange 3, session q: no rule of ")
    assert found.rules == ('"a", s.yaml:4:5: never answered, expected 2 times',)


def test_all_sessions_are_verified() -> None:
    """Uses of shared rules are added up; sessions with their own scenario are checked against it."""
    service = service_of()
    service.push("own", "rules: [{name: mine, expect: {times: 1}, reply: Hi}]")
    send(service, "a", "p")
    send(service, "b", "p")
    send(service, "a", "q")
    assert service.verify(None, strict=True).problems == (
        '"mine", <pushed for own>:1:9: never answered, expected once',
    )
    send(service, "a", "own")
    assert service.verify(None, strict=True).problems == ()
    send(service, "a", "p")
    assert service.verify(None).rules == (
        '"a", s.yaml:4:5: answered 3 times, expected 2 times',
        '"a", s.yaml:4:5: answered exchange 5, session p, after "b", s.yaml:5:5; the order is strict',
    )


def test_reset_clears_uses() -> None:
    """A session that was reset has no uses."""
    service = service_of()
    send(service, "x")
    assert service.verify(None).unanswered
    service.reset("p")
    assert service.verify(None).unanswered == ()


def test_rules_that_fail_are_unanswered_requests() -> None:
    """A template that fails leaves the request unanswered."""
    service = service_of("rules: [{name: bad, reply: '{{ 1 // 0 }}'}]")
    send(service, "a")
    (problem,) = service.verify("p", strict=True).problems
    assert problem.startswith('exchange 1, session p: rule "bad", s.yaml:1:9, cannot answer this request: ')


def get(vertex: Emulator, path: str) -> tuple[int, Any]:
    """Request the control path."""
    connection = HTTPConnection(vertex.url.removeprefix("http://"), timeout=30)
    connection.request("GET", f"/__emulator__/{path}")
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


def test_over_http() -> None:
    """The same as JSON, for one session or all; misspelt parameters are errors."""
    with Emulator(settings=Settings(auth="off")) as vertex:
        vertex.service.push("p", SCENARIO)
        send(vertex.service, "a")
        rules = ['"a", <pushed for p>:4:5: answered once, expected 2 times']
        assert get(vertex, "verify?session=p") == (200, {"passed": False, "unanswered": [], "rules": rules})
        rules += ['"b", <pushed for p>:5:5: never answered']
        assert get(vertex, "verify?session=p&strict=true")[1]["rules"] == rules
        assert get(vertex, "verify?session=q") == (200, {"passed": True, "unanswered": [], "rules": []})
        assert get(vertex, "verify")[1]["passed"] is False
        assert get(vertex, "verify?strict=yes") == (
            400,
            {"error": {"message": 'emulator: strict is "yes"; expected true or false'}},
        )
        assert get(vertex, "verify?sesion=p")[0] == 400


def test_journal_after_a_position() -> None:
    """`after` returns only newer exchanges."""
    with Emulator(settings=Settings(auth="off")) as vertex:
        for text in ("a", "b", "c"):
            send(vertex.service, text)
        shown = get(vertex, "journal?after=1")[1]["exchanges"]
        assert [one["position"] for one in shown] == [2, 3]
        assert get(vertex, "journal?after=3")[1] == {"exchanges": []}
        assert get(vertex, "journal?after=-1")[0] == 400
