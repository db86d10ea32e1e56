"""Counters and flags of a session, and what resets them."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import SystemClock
from emulator.server.control import build_control
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.wire.urls import Target

SHOP = """
rules:
- {name: pay, when: {last_user: pay}, sets: paid, reply: Thanks.}
- {name: ship, when: {last_user: ship}, requires: [paid, not shipped], sets: [shipped], reply: Sent.}
- {name: refund, when: {last_user: refund}, requires: paid, sets: [not paid, not shipped], reply: {fail: 503}}
- {name: count, when: {last_user: count}, sequence: [one, two], then: THEN}
- {name: otherwise, reply: Pardon?}
"""


@pytest.fixture
def service() -> Service:
    """A service of the shop."""
    return Service(rules(), Settings(auth="off", control_token="secret"), clock=SystemClock())  # none but a test's


def rules(then: str = "exhaust") -> Any:
    """The shop's rules, as they are read again after a change of the file."""
    return compile_rules(read_text(SHOP.replace("THEN", then), "shop.yaml").scenarios)


def ask(service: Service, *texts: str, project: str = "p") -> list[str | None]:
    """The names of the rules that answer these texts in turn."""
    target = Target("v1", project, "global", "openapi")
    bodies = [{"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": text}]} for text in texts]
    return [service.handle(target, b"", [], json.dumps(body).encode()).rule for body in bodies]


def show(service: Service, project: str = "p") -> Any:
    """The session as the control API shows it."""
    client = TestClient(build_control(service), headers={"authorization": "Bearer secret"})
    return client.get("/__emulator__/scenario", params={"session": project}).json()


def test_flags_select_rules(service: Service) -> None:
    """A rule matches when its required flags are set; the flags it sets stay set, also after a scripted error."""
    assert ask(service, "ship", "pay", "ship", "ship") == ["otherwise", "pay", "ship", "otherwise"]
    assert ask(service, "refund", "refund", "ship") == ["refund", "otherwise", "otherwise"]


def test_flags_belong_to_one_session(service: Service) -> None:
    """Flags of one project are not set in another."""
    assert ask(service, "pay") == ["pay"]
    assert ask(service, "ship", project="other") == ["otherwise"]


def test_the_control_api_shows_flags_and_uses(service: Service) -> None:
    """Flags are listed alphabetically, together with rule uses."""
    ask(service, "pay", "ship")
    shown = show(service)
    assert shown["flags"] == ["paid", "shipped"]
    assert {rule["name"]: rule["uses"] for rule in shown["rules"]} == {
        "pay": 1,
        "ship": 1,
        "refund": 0,
        "count": 0,
        "otherwise": 0,
    }
    assert show(service, "other")["flags"] == []


@pytest.mark.parametrize(
    ("then", "after"), [("exhaust", ["otherwise"]), ("loop", ["count", "count"]), ("repeat", ["count", "count"])]
)
def test_a_reload_keeps_counters_and_flags(service: Service, then: str, after: list[str]) -> None:
    """Reloaded rules keep their counters, which are keyed by file and name."""
    assert ask(service, "pay", "count", "count") == ["pay", "count", "count"]
    service.ruleset = rules(then)
    assert ask(service, "ship") == ["ship"]
    assert ask(service, *["count"] * len(after)) == after
    assert show(service)["rules"][3]["uses"] == 2 + after.count("count")


@pytest.mark.parametrize("scope", ["?session=p", ""])
def test_a_reset_clears_counters_and_flags(service: Service, scope: str) -> None:
    """For one session or for all."""
    ask(service, "pay", "count", "count")
    client = TestClient(build_control(service), headers={"authorization": "Bearer secret"})
    assert client.post(f"/__emulator__/reset{scope}").status_code == 204
    assert ask(service, "ship", "count") == ["otherwise", "count"]


def test_pushing_a_scenario_clears_counters_and_flags(service: Service) -> None:
    """Pushing a scenario and removing it both reset the session."""
    ask(service, "pay")
    service.push("p", SHOP.replace("THEN", "loop"))
    assert ask(service, "ship", "pay", "ship") == ["otherwise", "pay", "ship"]
    service.push("p", None)
    assert ask(service, "ship") == ["otherwise"]


def test_the_journal_records_the_reply_index(service: Service) -> None:
    """From 1; in a conversation it is the assistant turn that was due, also when requested repeatedly."""
    service.push("p", "rules: [{conversation: [{user: a}, {assistant: b}, {user: c}, {assistant: d}]}]")
    target = Target("v1", "p", "global", "openapi")
    messages = [{"role": role, "content": text} for role, text in (("user", "a"), ("assistant", "b"), ("user", "c"))]
    told = [
        service.handle(
            target, b"", [], json.dumps({"model": "google/x", "messages": messages[:end]}).encode()
        ).to_json()
        for end in (3, 1, 3, 2)
    ]
    assert [one["reply"] for one in told] == [2, 1, 2, None]
    assert [one["outcome"] for one in told] == ["answer", "answer", "answer", "miss"]
