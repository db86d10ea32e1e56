"""Miss reports: the nearest rules are those of the plain definition, and what they cost does not grow with rules times text."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.engine.matching.conditions import MAX_SHOWN_JSON, MAX_SHOWN_VALUES, shorten
from emulator.engine.matching.misses import NEAREST, Miss, NearMiss, compare_rule, explain_miss, is_used_up
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import CompiledRule, Ruleset, compile_rules
from emulator.engine.session import State
from emulator.scenario.loading import read_text
from emulator.wire.urls import Target

TARGET = Target("v1", "p-42", "us-central1", "openapi")
LONG = "lorem ipsum dolor " * 20_000


def rules_of(rules: list[Any]) -> Ruleset:
    """Compile rules; those without an answer get one."""
    written = [rule if "conversation" in rule else {"reply": "Hi", **rule} for rule in rules]
    return compile_rules(read_text(json.dumps({"rules": written}), "test.yaml").scenarios)


def ask(*texts: str, **more: Any) -> Facts:
    """The facts of a request in which user and assistant speak in turn."""
    messages = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]
    request: Any = {"model": "google/gemini-2.5-flash", "messages": messages, **more}
    return Facts(TARGET, [], request)


def explain_plainly(ruleset: Ruleset, facts: Facts, state: State) -> Miss:
    """The definition: compare all rules in words, then sort them."""
    near = [NearMiss(rule, compare_rule(rule, facts, state), is_used_up(rule, state.uses)) for rule in ruleset.rules]

    def rank(one: NearMiss) -> tuple[float, ...]:
        matched = max(two.matched_turns for two in one.comparisons)
        elsewhere = sum(not two.holds for two in one.comparisons if two.field != "conversation")
        return -matched if matched > elsewhere else 0, one.distance, -len(one.comparisons), -matched

    used_up = [one for one in near if not one.distance][: NEAREST - 1]
    missing = sorted((one for one in near if one.distance), key=rank)
    nearest = (*missing[: NEAREST - len(used_up)], *used_up)
    return Miss(ruleset.scenarios, facts.target.project, facts.turn, nearest, len(near) - len(nearest))


FLAGS = ["a", "b", "ab", "c", "B", "google", "x"]
words = st.sampled_from(FLAGS)
conditions = st.fixed_dictionaries(
    {},
    optional={
        "last_user": st.one_of(
            words,
            st.builds(lambda one: {"regex": one}, words),
            st.builds(lambda one, two: {"any_of": [one, {"glob": f"*{two}?*"}]}, words, words),
            st.builds(lambda one, two: {"contains": one, "not": two}, words, words),
        ),
        "any_user": words,
        "model": st.sampled_from(["google/*", "x/*", "google/gemini-2.5-flash"]),
        "turn": st.sampled_from([1, "2+"]),
        "stream": st.booleans(),
        "body": st.sampled_from([{"stream": True}, {"messages": [{"content": "a"}]}]),
    },
)
whens = st.recursive(
    conditions,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={"last_user": words, "any": st.lists(inner, min_size=1, max_size=2), "not": inner},
    ),
    max_leaves=3,
)
turns = st.lists(words, min_size=1, max_size=2).map(
    lambda said: [turn for at, word in enumerate(said) for turn in ({"user": word}, {"assistant": f"{at}"})]
)
plain_rules = st.fixed_dictionaries({"when": whens}, optional={"times": st.just(1), "requires": words})
rules = st.one_of(plain_rules, st.builds(lambda when, said: {"when": when, "conversation": said}, whens, turns))


@pytest.mark.slow
@settings(max_examples=settings().max_examples * 3 // 2)
@given(
    st.lists(rules, min_size=1, max_size=12),
    st.lists(words, min_size=1, max_size=3),
    st.booleans(),
    st.sets(words),
    st.sets(st.integers(0, 11)),
)
def test_report_is_that_of_the_definition(
    written: list[Any], said: list[str], stream: bool, flags: set[str], used: set[int]
) -> None:
    """Whatever rules, request, flags and uses: comparing few rules in words names the same as comparing all."""
    ruleset = rules_of([*written, {"when": {"model": "sets the flags"}, "sets": FLAGS}])
    facts = ask(*said, stream=stream)
    uses = {rule.key: 1 for number, rule in enumerate(ruleset.rules) if number in used}
    state = State(uses, frozenset(flags))
    assert explain_miss(ruleset, facts, state).report() == explain_plainly(ruleset, facts, state).report()


def count_calls(function: Callable[[], object]) -> Counter[str]:
    """How often functions are called, Python's own and those in C, by name."""
    counts: Counter[str] = Counter()

    def count(frame: Any, event: str, argument: Any) -> None:
        if event in {"call", "c_call"}:
            counts[frame.f_code.co_name if event == "call" else argument.__name__] += 1

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return counts


NEVER = [
    lambda n: {"when": {"last_user": f"zzz{n}"}},
    lambda n: {"when": {"last_user": {"glob": f"*zzz{n}*"}}},
    lambda n: {"when": {"last_user": {"regex": f"zz[z]{n}"}}},
    lambda n: {"when": {"model": "x/*", "last_user": f"zzz{n}"}},
    lambda n: {"when": {"any": [{"last_user": f"zzz{n}"}, {"system": "x"}]}},
    lambda n: {"when": {"not": {"any_user": "lorem"}, "turn": n}},
    lambda n: {"when": {"body": {"messages": [{"content": f"zzz{n}"}]}}},
    lambda n: {"conversation": [{"user": f"zzz{n}"}, {"assistant": "x"}]},
]


@pytest.mark.parametrize("rule", NEVER, ids=map(str, range(len(NEVER))))
def test_texts_are_read_once_whatever_the_number_of_rules(rule: Callable[[int], Any]) -> None:
    """Only the rules that a report names are described, and a text is put into lower case once for all of them."""

    def count(number: int) -> Counter[str]:
        ruleset, facts = rules_of([rule(at) for at in range(number)]), ask(LONG)
        return count_calls(lambda: explain_miss(ruleset, facts, State()).report())

    few, many = count(10), count(200)
    for name in ("split", "casefold", "parse_or_text", "to_json", "shorten", "compare_rule", "estimate_all"):
        assert many[name] == few[name], name


def test_rules_that_are_far_are_not_compared_at_all() -> None:
    """A rule of which the index knows that it misses is given up unseen, once three with as many conditions are known."""
    facts = ask(LONG)
    ruleset = rules_of([{"when": {"last_user": f"zzz{number}"}} for number in range(500)])
    calls = count_calls(lambda: explain_miss(ruleset, facts, State()))
    assert calls["contains"] + calls["<lambda>"] < 50


def test_long_requests_bound_the_ranking() -> None:
    """Beyond the bound on work rules are counted only, and the report says so; rules that are used up are found all the same."""
    number = 400
    written = [{"when": {"model": "x/*", "last_user": {"regex": f"[yz]zz{at}x"}}} for at in range(number)]
    ruleset = rules_of([*written, {"name": "spent", "when": {"last_user": "lorem"}, "times": 1}])
    spent: CompiledRule = ruleset.rules[-1]
    miss = explain_miss(ruleset, ask(LONG), State({spent.key: 1}), work=200_000)
    assert [near.rule.name for near in miss.nearest] == ["rule 1", "rule 2", "spent"]
    assert 0 < miss.uncompared < number
    assert miss.report().splitlines()[-1] == (
        f"and {number - 2} more, {miss.uncompared} of them not compared because the request is so long"
    )
    assert explain_miss(ruleset, ask("short"), State({spent.key: 1})).uncompared == 0


def test_many_values_and_large_json_are_cut() -> None:
    """A report shows the first values of a condition and the beginning of JSON."""
    texts = ["word"] * (4 * MAX_SHOWN_VALUES)
    (near,) = explain_miss(rules_of([{"when": {"any_user": "zzz"}}]), ask(*texts), State()).nearest
    shown = ", ".join(['"word"'] * MAX_SHOWN_VALUES)
    assert near.comparisons[0].got == f"{shown} and {MAX_SHOWN_VALUES} more"
    ruleset = rules_of([{"when": {"body": {"messages": "none"}}}])
    (near,) = explain_miss(ruleset, ask(LONG), State()).nearest
    assert len(near.comparisons[0].got) == MAX_SHOWN_JSON
    assert near.comparisons[0].got.endswith("…")


@given(st.text(st.sampled_from("a \n\u3000\x1cb"), max_size=60), st.integers(2, 20))
def test_shortening_reads_no_more_than_it_shows(text: str, limit: int) -> None:
    """The result is that of the whole text on one line, cut."""
    line = " ".join(text.split())
    assert shorten(text, limit) == (line if len(line) <= limit else f"{line[: limit - 1]}…")


def test_index_knows_only_rules_that_cannot_hold() -> None:
    """A rule that holds is found by the index of its ruleset, so that a rule that is used up is never taken for one that misses."""
    ruleset = rules_of([{"name": str(at), "when": {"last_user": f"city {at}"}, "times": 1} for at in range(9)])
    miss = explain_miss(ruleset, ask("city 7"), State({ruleset.rules[7].key: 1}))
    assert [(near.rule.name, near.used_up) for near in miss.nearest] == [("0", False), ("1", False), ("7", True)]
