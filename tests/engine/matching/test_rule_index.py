"""The rule index leaves out only rules that cannot hold; trying all rules in order is the reference."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.engine.matching.choose import choose
from emulator.engine.matching.rule_index import RuleIndex
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import Ruleset, compile_rules, prepend_rules
from emulator.engine.session import State
from emulator.scenario.loading import read_text
from emulator.wire.urls import Target

TARGET = Target("v1", "stra\u00dfe", "us-central1", "openapi")
FACTS = (
    "model",
    "publisher",
    "project",
    "location",
    "last_user",
    "any_user",
    "system",
    "tool_result",
    "tool_choice",
    "response_format",
    "tools",
    "after_tool",
)
CROWD = [
    *({"when": {fact: f"~{number}~~"}} for number in range(4) for fact in FACTS),
    *({"when": {"header": {name: f"~{number}~~"}}} for number in range(4) for name in ("x-a", "x-b")),
    *({"conversation": [{"user": f"~{number}~~"}, {"assistant": "Hi"}]} for number in range(4)),
]
"""Rules that never answer, so that every fact is worth being looked up."""
TURNED = "turn the key and press the button to start"
"""A text that is long enough to have more places than there are grams to look for."""


def rules_of(*rules: Any) -> Ruleset:
    """Compile rules as they are written; those without an answer get one."""
    written = [rule if "conversation" in rule else {"reply": "Hi", **rule} for rule in rules]
    return compile_rules(read_text(json.dumps({"rules": written}), "test.yaml").scenarios)


def ask_one_by_one(ruleset: Ruleset) -> Ruleset:
    """The same rules, each in an index of its own, so that all of them are tried."""
    return replace(ruleset, indexes=tuple(RuleIndex([rule]) for rule in ruleset.rules))


def list_asked(ruleset: Ruleset, facts: Facts) -> list[str]:
    """The names of the rules that are tried for a request."""
    return [rule.name for index in ruleset.indexes for rule in index.find(facts)]


def say(text: str, **more: Any) -> Facts:
    """The facts of a request with one user message."""
    request: Any = {"messages": [{"role": "user", "content": text}], **more}
    return Facts(TARGET, [], request)


# Letters whose lower case is another number of letters, or the lower case of a second letter too.
letters = "abABsS *\u00df\u1e9e\u0130i\u017f\ufb01k\u212a"
texts = st.text(st.sampled_from(letters), max_size=7)
tests = st.recursive(
    texts,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("equals", "contains", "starts_with", "ends_with"), texts),
            "glob": st.text(st.sampled_from(letters + "*?[]"), max_size=7),
            "regex": st.sampled_from(["a", "a+b", "^A", "b$", "ab", "(?i)sk", "ab|Sa?", "(ab|bS)+", "i\u0130"]),
            "any_of": st.lists(inner, min_size=1, max_size=3),
            "not": inner,
        },
    ),
    max_leaves=3,
)
several = st.one_of(tests, st.lists(tests, min_size=1, max_size=3))
conditions = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(FACTS[:10], several),
        "tools": st.one_of(st.booleans(), st.just("auto"), tests, st.lists(tests, min_size=1, max_size=2)),
        "after_tool": st.one_of(st.booleans(), several),
        "header": st.dictionaries(st.sampled_from(["x-a", "X-B"]), st.one_of(st.booleans(), several), max_size=2),
        "turn": st.sampled_from(["1", "2+"]),
        "stream": st.booleans(),
    },
)
whens = st.recursive(
    conditions,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "last_user": several,
            "any": st.lists(inner, min_size=1, max_size=3),
            "all": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    ),
    max_leaves=4,
)
transcripts = st.builds(lambda test: [{"user": test}, {"assistant": "Hi"}], several)
rules = st.one_of(
    st.builds(lambda when: {"when": when}, whens),
    # Many that ask for one thing, so that there is something to look up.
    st.builds(lambda field, test: {"when": {field: test}}, st.sampled_from(["model", "last_user", "any_user"]), texts),
    st.builds(lambda when, turns: {"when": when, "conversation": turns}, whens, transcripts),
)
messages = st.builds(
    lambda role, parts: {"role": role, "content": "".join(parts), **({"name": "ab"} if role == "tool" else {})},
    st.sampled_from(["system", "user", "user", "assistant", "tool"]),
    st.lists(texts, max_size=4),
)
requests = st.fixed_dictionaries(
    {"model": st.one_of(texts, st.builds("{}/{}".format, texts, texts)), "messages": st.lists(messages, max_size=4)},
    optional={
        "stream": st.booleans(),
        "tools": st.lists(st.builds(lambda name: {"function": {"name": name}}, texts), max_size=2),
        "tool_choice": st.one_of(st.just("none"), st.builds(lambda name: {"function": {"name": name}}, texts)),
        "response_format": st.builds(
            lambda name: {"type": "json_schema", "json_schema": {"name": name, "schema": {}}}, texts
        ),
    },
)


@pytest.mark.slow
@settings(max_examples=settings().max_examples * 2 // 5)
@given(
    st.lists(rules, min_size=1, max_size=14),
    st.lists(requests, min_size=1, max_size=4),
    st.lists(st.tuples(st.sampled_from([b"x-a", b"x-b"]), st.sampled_from([b"", b"ab", b"\xdf", b"Sabk"])), max_size=2),
    st.booleans(),
)
def test_the_rule_that_answers_is_the_first_that_holds(
    written: list[Any], asked: list[Any], headers: list[tuple[bytes, bytes]], is_crowded: bool
) -> None:
    """For any rules and request, the chosen rule is the same as by trying all in order."""
    more = [{"when": {"any_user": f"~{number}~~"}} for number in range(80)] if is_crowded else []
    ruleset = rules_of(*CROWD, *more, *written)
    for request in asked:
        facts = Facts(TARGET, headers, request)
        assert choose(ruleset, facts, State()) == choose(ask_one_by_one(ruleset), facts, State())


@pytest.mark.slow
@settings(max_examples=settings().max_examples * 3 // 10)
@given(st.lists(rules, min_size=1, max_size=5), st.lists(rules, min_size=1, max_size=5), requests)
def test_rules_put_before_others_are_tried_first(added: list[Any], own: list[Any], request: Any) -> None:
    """Added rules have an index of their own, which is searched first."""
    merged = prepend_rules(rules_of(*own), [rules_of(rule) for rule in added])
    facts = Facts(TARGET, [], request)
    assert choose(merged, facts, State()) == choose(ask_one_by_one(merged), facts, State())


CASES = [
    ({"model": "google/GEMINI-{}"}, say("", model="Google/gemini-7")),
    ({"publisher": {"equals": "publisher{}"}}, say("", model="publisher7/x")),
    ({"last_user": "the weather in city {}"}, say("Tell me the weather in City 7, please.")),
    ({"last_user": {"glob": "*city {}*"}}, say("Tell me the weather in City 7, please.")),
    ({"last_user": {"any_of": ["rain in {}?", "snow in {}?"]}}, say("Snow in 7?")),
    ({"last_user": ["rain in {}?", {"starts_with": "snow in {}"}]}, say("Snow in 7?")),
    ({"model": ["meta/{}*", "google/GEMINI-{}"], "after_tool": False}, say("", model="Google/gemini-7")),
    ({"any": [{"last_user": "rain in {}?"}, {"system": "snow in {}?"}]}, say("Rain in 7?")),
    ({"all": [{"turn": 1}, {"any_user": {"ends_with": "in {}?"}}]}, say("Rain in 7?")),
    ({"tools": ["get_{}"]}, say("", tools=[{"function": {"name": "get_7"}}])),
    ({"header": {"X-Case": "case {}"}}, Facts(TARGET, [(b"x-case", b"Case 7")], {})),
    ({"model": "google/*", "last_user": {"starts_with": "in {}?", "not": "x"}}, say("In 7?", model="google/x")),
]


@pytest.mark.parametrize(("when", "facts"), CASES, ids=lambda one: json.dumps(one) if isinstance(one, dict) else "")
@pytest.mark.parametrize("count", [9, 400])
def test_of_many_rules_few_are_tried(when: Any, facts: Facts, count: int) -> None:
    """Rules that require another name or text are left out."""
    numbers = [number for number in range(count) if "7" not in str(number) or number == 7]
    many = [
        {"name": str(number), "when": json.loads(json.dumps(when).replace("{}", str(number)))} for number in numbers
    ]
    ruleset = rules_of(*many)
    assert list_asked(ruleset, facts) == ["7"]
    chosen = choose(ruleset, facts, State())
    assert chosen is not None
    assert chosen.rule.name == "7"


@pytest.mark.parametrize(
    ("when", "text"),
    [
        ({"last_user": "STRASSE"}, "Zur stra\u00dfe"),
        ({"last_user": "stra\u1e9ee"}, "Zur Strasse"),
        ({"last_user": {"equals": "Stra\u00dfe"}}, "Stra\u00dfe"),
        ({"last_user": {"any_of": ["Rome", {"regex": "^Oslo"}]}}, "Oslo"),
        ({"last_user": {"any_of": ["Rome", {"not": "Paris"}]}}, "Oslo"),
        ({"any": [{"last_user": "Rome"}, {"turn": 1}]}, "Oslo"),
        ({"last_user": {"glob": "[NO]slo"}}, "Oslo"),
        ({"last_user": {"glob": "Oslo[!a]*now"}}, "Oslo, now"),
        ({"last_user": {"glob": "Os[lo"}}, "Os[lo"),
        ({"last_user": ""}, ""),
        ({"last_user": {"equals": ""}}, ""),
        ({"last_user": "\u0130n"}, "i\u0307n"),
    ],
)
def test_no_rule_that_holds_is_left_out(when: Any, text: str) -> None:
    """Not where lower case has another length, nor where only one alternative requires a text."""
    chosen = choose(rules_of(*CROWD, {"name": "it", "when": when}), say(text), State())
    assert chosen is not None
    assert chosen.rule.name == "it"


def test_few_grams_are_looked_for_in_a_long_text() -> None:
    """Looking up grams in the text finds the same rules as looking up the text's places."""
    ruleset = rules_of(
        *({"name": word, "when": {"last_user": word}} for word in ("turn", "key", "press", "open", "to"))
    )
    assert list_asked(ruleset, say(TURNED)) == ["turn", "key", "press", "to"]


def test_conversations_are_indexed_by_their_first_turn() -> None:
    """A conversation rule is tried if the user's first turn matches, whatever follows."""
    begin = [
        [{"user": f"Book flight {number}"}, {"assistant": "When?"}, {"user": ""}, {"assistant": "Done"}]
        for number in range(9)
    ]
    ruleset = rules_of(*({"name": str(number), "conversation": turns} for number, turns in enumerate(begin)))
    said = ["Be kind.", "Please", "book flight 7", "When?", "Today"]
    roles = ["system", "user", "user", "assistant", "user"]
    facts = Facts(
        TARGET, [], {"messages": [{"role": role, "content": text} for role, text in zip(roles, said, strict=True)]}
    )
    assert list_asked(ruleset, facts) == ["7"]


def test_rules_without_required_texts_are_always_tried() -> None:
    """Regular expressions, `not` and conditions on other values; they keep their order among the indexed rules."""
    always = [{"last_user": {"regex": "7$"}}, {"not": {"last_user": "city"}}, {"turn": 1}, {"last_user": {"not": "x"}}]
    looked_up = [{"name": f"city {number}", "when": {"last_user": f"city {number}"}} for number in range(9)]
    ruleset = rules_of(
        *looked_up,
        *({"name": str(number), "when": when} for number, when in enumerate(always)),
        *[{"name": f"also {number}", "when": {"last_user": f"city {number}!"}} for number in range(9)],
    )
    assert list_asked(ruleset, say("to city 7!")) == ["city 7", "0", "1", "2", "3", "also 7"]


def test_narrowed_index() -> None:
    """An index of some of the rules is made once."""
    (index,) = rules_of(
        *({"name": f"city {number}", "when": {"last_user": f"city {number}"}} for number in range(9))
    ).indexes

    def is_even(rule: Any) -> bool:
        return int(rule.name[-1]) % 2 == 0

    assert [rule.name for rule in index.narrow(is_even).find(say("city 6 or city 7"))] == ["city 6"]
    assert index.narrow(is_even) is index.narrow(is_even)
