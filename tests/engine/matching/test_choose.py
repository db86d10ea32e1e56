"""Choosing: the first rule that holds, and the report when none does.

Two-file cases: `misses/NAME.yaml` and `NAME.json` (scenario and request), `NAME.txt` (the report). UPDATE_EXPECTED=1 rewrites it.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from emulator.catalogue.errors import CatalogueError, all_errors
from emulator.engine.answer import answer
from emulator.engine.error_answers import values_for
from emulator.engine.matching.choose import Chosen, choose
from emulator.engine.matching.misses import explain_miss
from emulator.engine.randomness import AnswerInputs
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import Ruleset, compile_rules
from emulator.engine.session import State
from emulator.scenario.loading import read_text
from emulator.wire.urls import Target

MISSES = Path(__file__).with_name("misses")
TARGET = Target("v1", "p-42", "us-central1", "openapi")


def rules_of(text: str, file: str = "test.yaml") -> Ruleset:
    """Compile a scenario's text."""
    return compile_rules(read_text(text, file).scenarios)


def ask(request: Any) -> Facts:
    """The facts of a request."""
    return Facts(TARGET, [], request)


def run(ruleset: Ruleset, request: Any, times: int) -> list[str | None]:
    """The names of the rules that answer the same request several times."""
    uses: dict[str, int] = {}
    names: list[str | None] = []
    for _ in range(times):
        chosen = choose(ruleset, ask(request), State(uses))
        names.append(f"{chosen.rule.name} {chosen.position}" if isinstance(chosen, Chosen) else None)
        if isinstance(chosen, Chosen):
            uses = {**uses, chosen.rule.key: chosen.use}
    return names


def test_the_first_rule_that_holds_answers() -> None:
    """Rules are tried in order."""
    ruleset = rules_of(
        "rules: [{name: a, when: {last_user: x}, reply: A}, {name: b, reply: B}]",
    )
    assert run(ruleset, {"messages": [{"role": "user", "content": "y"}]}, 1) == ["b 0"]
    assert run(ruleset, {"messages": [{"role": "user", "content": "x"}]}, 1) == ["a 0"]


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        ("repeat", ["s 0", "s 1", "s 1", "s 1"]),
        ("loop", ["s 0", "s 1", "s 0", "s 1"]),
        ("exhaust", ["s 0", "s 1", "last 0", "last 0"]),
    ],
)
def test_sequences_go_on_as_they_say(then: str, expected: list[str]) -> None:
    """After the last reply a sequence repeats it, starts again or is used up."""
    ruleset = rules_of(
        f"rules: [{{name: s, sequence: [A, B], then: {then}, when: {{turn: 0}}}}, {{name: last, reply: C}}]"
    )
    assert run(ruleset, {}, 4) == expected


def test_times_uses_a_rule_up() -> None:
    """A rule answers as often as `times` says; then the next rule or none."""
    assert run(rules_of("rules: [{name: a, times: 2, reply: A}]"), {}, 3) == ["a 0", "a 0", None]
    ruleset = rules_of("rules: [{name: a, times: 3, sequence: [A, B], then: exhaust}]")
    assert run(ruleset, {}, 3) == ["a 0", "a 1", None]


def test_rules_without_a_name_are_numbered() -> None:
    """Their name is their number in the file."""
    assert run(rules_of("rules: [{when: {turn: 5}, reply: A}, {reply: B}]"), {}, 1) == ["rule 2 0"]


def test_defaults_apply_to_every_answer() -> None:
    """A rule's own usage, finish and headers win, key by key."""
    rule = rules_of(
        "defaults: {usage: {prompt: 1, completion: 2}, headers: {x-a: '1', x-b: '1'}, finish: length}\n"
        "rules: [{usage: {prompt: 9}, headers: {x-b: '2'}, reply: A}]"
    ).rules[0]
    assert (rule.usage.prompt, rule.usage.completion, rule.finish) == (9, 2, "length")
    assert dict(rule.headers) == {"x-a": "1", "x-b": "2"}


@pytest.mark.parametrize("name", sorted(path.stem for path in MISSES.glob("*.yaml")))
def test_misses_are_reported(name: str) -> None:
    """The report names the nearest rules and the conditions that do not hold."""
    ruleset = rules_of((MISSES / f"{name}.yaml").read_text("utf-8"), f"{name}.yaml")
    request = json.loads((MISSES / f"{name}.json").read_text("utf-8"))
    used_up = {rule.key: 99 for rule in ruleset.rules if rule.limit is not None}
    assert choose(ruleset, ask(request), State(used_up)) is None
    miss = explain_miss(ruleset, ask(request), State(used_up))
    expected = MISSES / f"{name}.txt"
    if os.environ.get("UPDATE_EXPECTED"):
        expected.write_text(miss.report() + "\n", "utf-8")
    assert miss.report() + "\n" == expected.read_text("utf-8")


@pytest.mark.parametrize(
    "error", [one for one in all_errors() if one.service in {"vertex", "self_deployed"}], ids=lambda one: one.name
)
def test_every_error_can_be_scripted_by_its_name(error: CatalogueError) -> None:
    """`fail: NAME` sends the catalogue's status and body, with the request's own names in it, streamed or not."""
    ruleset = rules_of(f"rules: [{{reply: {{fail: {error.name}}}}}]")
    message, details = error.fill(**values_for(TARGET, "google/gemini-3-flash"))
    for stream in (False, True):
        facts = ask({"model": "google/gemini-3-flash", "stream": stream})
        timeline = answer([ruleset], facts, State(), AnswerInputs(0, "seed", b"")).timeline
        assert timeline.status == error.code
        body = timeline.body.decode()
        if error.framing == "html":
            assert body == message
            continue
        found = json.loads(body)
        if error.framing == "vllm":
            assert found == {**error.extra, "message": message}
            continue
        assert isinstance(found, dict) == (error.framing == "object")
        envelope = (found if isinstance(found, dict) else found[0])["error"]
        assert (envelope["code"], envelope.get("status")) == (error.code, error.status)
        assert envelope.get("errors") == error.extra.get("errors")
        if error.confidence != "low":
            assert (envelope["message"], envelope.get("details")) == (message, details)
