"""A regular expression of a scenario that would take too long on a request: 418 `rule_failed` with its place, wherever it stands."""

import json
import time
from typing import Any

import pytest

from emulator.catalogue.quirks import EARLY
from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import SystemClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.wire.urls import Target

HARD = r"{regex: '^(a+)+\1!$'}"
LONG = "a" * 60
USER = {"role": "user", "content": LONG}


def ask(scenario: str, messages: list[dict[str, Any]], **more: Any) -> tuple[int, str]:
    """Status and body of a request that nothing vets."""
    rules = compile_rules(read_text(scenario, "slow.yaml").scenarios)
    service = Service(rules, Settings(auth="off", vetting="off"), clock=SystemClock())
    body = {"model": "google/gemini-2.5-flash", "messages": messages, **more}
    exchange = service.handle(Target("v1", "p", "global", "openapi"), b"", [], json.dumps(body).encode())
    return exchange.status, exchange.outcome.timeline.body.decode()


@pytest.mark.parametrize(
    ("scenario", "messages", "model", "place"),
    [
        (f"rules: [{{when: {{last_user: {HARD}}}, reply: a}}]", [USER], "m", 'rule \\"rule 1\\", slow.yaml:1:9: '),
        (
            f"rules: [{{when: {{last_user: {HARD}}}, quirks: [{min(EARLY)}], reply: a}}]",
            [USER],
            "m",
            'rule \\"rule 1\\", slow.yaml:1:9: ',
        ),
        (
            f"quota: {{model: {HARD}, requests_per_minute: 3}}\nrules: [{{reply: a}}]",
            [USER],
            LONG,
            "the quota at slow.yaml:1:8: ",
        ),
        (
            f"rules: [{{conversation: [{{user: {HARD}}}, {{assistant: b}}]}}]",
            [USER],
            "m",
            'rule \\"rule 1\\", slow.yaml:1:9: ',
        ),
        (
            # Only the report of the miss looks at the second condition.
            f"rules: [{{when: {{last_user: zzz, system: {HARD}}}, reply: a}}]",
            [{"role": "system", "content": LONG}, USER],
            "m",
            'rule \\"rule 1\\", slow.yaml:1:9: ',
        ),
    ],
)
def test_the_answer_names_the_place(scenario: str, messages: Any, model: str, place: str) -> None:
    """Rules, early quirks, quotas, conversations and miss reports."""
    status, body = ask(scenario, messages, model=model)
    assert (status, '"rule_failed"' in body) == (418, True)
    assert place in body
    assert "would take too long on a text of 60 characters" in body


def test_many_templates_in_an_assistant_turn() -> None:
    """What is between them is found in time, whatever a client sends back."""
    steps = ", ".join("{say: '{{ model }}'}, {say: a}" for _ in range(12))
    scenario = f"rules: [{{conversation: [{{user: x}}, {{assistant: [{steps}, {{say: b}}]}}, {{user: x}}, {{assistant: found}}]}}]"
    user = {"role": "user", "content": "x"}
    begin = time.process_time()
    for text, found in ((LONG * 400, False), (LONG * 400 + "b", True), ("1a\n2ab" * 12, True)):
        status, body = ask(scenario, [user, {"role": "assistant", "content": text}, user])
        assert (status, '"found"' in body) == ((200, True) if found else (418, False))
    assert time.process_time() - begin < 3
