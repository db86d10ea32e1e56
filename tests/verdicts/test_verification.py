"""`verify`: problems found from use counts and exchanges."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from emulator.engine.answer import Outcome
from emulator.engine.matching.choose import Chosen
from emulator.engine.ruleset import Ruleset, compile_rules
from emulator.engine.timeline.timeline import plain_timeline
from emulator.scenario.loading import read_text
from emulator.verdicts.verification import Verification, verify


class Entry:
    """What verification reads of an exchange."""

    def __init__(self, number: int, outcome: Outcome, session: str = "p") -> None:
        self.number = number
        self.outcome = outcome
        self.session = session


def rules_of(text: str) -> Ruleset:
    """The rules of a scenario `a.yaml`."""
    return compile_rules(read_text(text, "a.yaml").scenarios)


def used(ruleset: Ruleset, *names: str, session: str = "p") -> list[Entry]:
    """Exchanges answered by rules of these names, in order."""
    by_name = {rule.name: rule for rule in ruleset.rules}
    timeline = plain_timeline(200, "application/json", b"{}")
    return [
        Entry(number, Outcome("answer", timeline, Chosen(by_name[name], 1, {}, 0)), session)
        for number, name in enumerate(names, start=1)
    ]


def failed(number: int, result: Any, report: str) -> Entry:
    """An exchange that ended as a miss or an error."""
    return Entry(number, Outcome(result, plain_timeline(418, "application/json", b"{}"), report=report))


def problems_of(expect: str, uses: int, *, strict: bool = False) -> tuple[str, ...]:
    """The problems of one rule after a number of uses."""
    ruleset = rules_of("rules:\n  - {name: one, " + expect + "reply: Hi}")
    return verify(ruleset, {ruleset.rules[0].key: uses}, (), strict=strict).rules


@pytest.mark.parametrize(
    ("expect", "uses", "said"),
    [
        ("", 0, None),
        ("", 5, None),
        ("expect: {times: 2}, ", 2, None),
        ("expect: {times: 2}, ", 0, "never answered, expected 2 times"),
        ("expect: {times: 2}, ", 1, "answered once, expected 2 times"),
        ("expect: {times: 2}, ", 3, "answered 3 times, expected 2 times"),
        ("expect: {times: 1}, ", 2, "answered 2 times, expected once"),
        ("expect: {times: 0}, ", 0, None),
        ("expect: {times: 0}, ", 1, "answered once, expected 0 times"),
        ("expect: {at_least: 1}, ", 0, "never answered, expected at least once"),
        ("expect: {at_least: 2}, ", 1, "answered once, expected at least 2 times"),
        ("expect: {at_least: 2}, ", 9, None),
    ],
)
def test_expect(expect: str, uses: int, said: str | None) -> None:
    """Exactly as often, or at least; the rule is named with its place."""
    assert problems_of(expect, uses) == (() if said is None else (f'"one", a.yaml:2:5: {said}',))


def test_strict_wants_every_rule_used() -> None:
    """But not one that is forbidden, nor twice where `expect` has said it."""
    assert problems_of("", 0, strict=True) == ('"one", a.yaml:2:5: never answered',)
    assert problems_of("", 1, strict=True) == ()
    assert problems_of("expect: {times: 0}, ", 0, strict=True) == ()
    assert len(problems_of("expect: {times: 1}, ", 0, strict=True)) == 1


def test_unanswered_requests_are_reported() -> None:
    """Misses and rules that failed, by the numbers of the exchanges, each with its report."""
    entries = [
        failed(2, "error", "it broke"),
        failed(1, "miss", "no rule answers\nnearest: x"),
        failed(3, "refusal", ""),
    ]
    found = verify(rules_of("rules: [{reply: Hi}]"), {}, entries)
    assert found.unanswered == (
        "exchange 1, session p: no rule answers\nnearest: x",
        "exchange 2, session p: it broke",
    )
    assert found.problems == found.unanswered


ORDERED = "rules:\n  - {name: a, when: {last_user: a}, reply: A}\n  - {name: b, when: {last_user: b}, reply: B}\n"
LAST = "  - {name: c, reply: C}\n"


def disordered(order: str, *names: str) -> tuple[str, ...]:
    """The order problems of rules that answered in this order."""
    ruleset = rules_of(f"{order}{ORDERED}{LAST}")
    return verify(ruleset, {}, used(ruleset, *names)).rules


def test_strict_order() -> None:
    """A rule may repeat and be left out, but not come after a later one; without the key any order will do."""
    assert disordered("order: strict\n", "a", "a", "b", "c", "c") == ()
    assert disordered("order: strict\n", "a", "c") == ()
    assert disordered("order: strict\n") == ()
    assert disordered("", "c", "b", "a") == ()
    assert disordered("order: strict\n", "b", "a", "c", "b") == (
        '"a", a.yaml:3:5: answered exchange 2, session p, after "b", a.yaml:4:5; the order is strict',
        '"b", a.yaml:4:5: answered exchange 4, session p, after "c", a.yaml:5:5; the order is strict',
    )


def test_order_is_per_session_and_file() -> None:
    """Other sessions and rules of other scenarios make no difference."""
    files = [
        *read_text(f"order: strict\n{ORDERED}", "a.yaml").scenarios,
        *read_text("rules: [{name: z, reply: Z}]", "z.yaml").scenarios,
    ]
    ruleset = compile_rules(files)
    assert verify(ruleset, {}, used(ruleset, "z", "a", "z", "b", "z")).problems == ()
    mixed: Iterable[Entry] = [*used(ruleset, "b", "b", session="p"), *used(ruleset, "a", "a", session="q")]
    assert verify(ruleset, {}, mixed).problems == ()


def test_order_goes_by_numbers() -> None:
    """An exchange that ended later began earlier: what counts is when requests were answered."""
    ruleset = rules_of(f"order: strict\n{ORDERED}{LAST}")
    assert verify(ruleset, {}, reversed(used(ruleset, "a", "b"))).problems == ()


def test_verification_without_problems() -> None:
    """It is empty, and can be written as JSON."""
    assert json.dumps(Verification().problems) == "[]"
