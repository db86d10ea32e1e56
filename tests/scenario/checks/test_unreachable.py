"""Which conditions follow from which, and the warnings that rest on it; the engine's matching is the judge."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.matching.texts import DefaultOperator, compile_test
from emulator.scenario.checks.implications import entails, find_contradiction, implies
from emulator.scenario.checks.unreachable import find_candidates
from emulator.scenario.loading import read_paths, read_text
from emulator.scenario.text_index import InvertedIndex, find_required_texts
from emulator.scenario.when import Test as TextTest
from emulator.scenario.when import When


def when(**conditions: Any) -> When:
    """A `when`, as it is written."""
    return When.model_validate(conditions)


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ({"turn": 2}, {}),
        ({"last_user": "weather in Oslo"}, {"last_user": "Weather"}),
        ({"last_user": {"equals": "The Weather"}}, {"last_user": "weather"}),
        ({"last_user": {"starts_with": "what is"}}, {"last_user": {"starts_with": "What"}}),
        ({"last_user": {"any_of": ["red car", "blue car"]}}, {"last_user": "car"}),
        ({"last_user": "car"}, {"last_user": {"any_of": ["bus", "car"]}}),
        ({"last_user": ["red car", "blue car"]}, {"last_user": "car"}),
        ({"last_user": ["red car", "blue car"]}, {"last_user": ["bus", "car"]}),
        ({"last_user": "car"}, {"last_user": ["bus", "car"]}),
        ({"last_user": ["a car", {"regex": "x+"}]}, {"last_user": ["car", {"regex": "x+"}]}),
        ({"last_user": {"equals": "a bus"}}, {"last_user": {"not": ["car", "ship"]}}),
        ({"after_tool": ["a", "b"]}, {"after_tool": True}),
        ({"after_tool": "a"}, {"after_tool": ["a", "b"]}),
        ({"after_tool": ["get_a", "get_b"]}, {"after_tool": "get_*"}),
        ({"model": ["google/a", "google/b"]}, {"model": "google/*"}),
        ({"last_user": {"not": "car"}}, {"last_user": {"not": "red car"}}),
        ({"last_user": {"equals": "a bus"}}, {"last_user": {"not": "car"}}),
        ({"last_user": {"regex": "a+"}}, {"last_user": {"regex": "a+"}}),
        ({"last_user": {"equals": "caat"}}, {"last_user": {"regex": "a+"}}),
        ({"model": "google/gemini-3-pro"}, {"model": "google/*"}),
        ({"model": "Google/gemini-3*"}, {"model": "google/*"}),
        ({"model": "*-flash-lite"}, {"model": "*lite"}),
        ({"model": "google/gemini-3-pro"}, {"publisher": "google"}),
        ({"model": "google/x"}, {"not": {"model": "meta/*"}}),
        ({"last_user": "weather"}, {"any_user": "weather"}),
        ({"turn": "2-3"}, {"turn": "1-4"}),
        ({"turn": 3}, {"turn": "2+"}),
        ({"turn": "5+"}, {"turn": "2+"}),
        ({"last": "user"}, {"last": ["user", "tool"]}),
        ({"last": "user"}, {"after_tool": False}),
        ({"after_tool": "get_weather"}, {"after_tool": True}),
        ({"after_tool": "get_weather"}, {"after_tool": "get_*"}),
        ({"tool_result": "rain"}, {"after_tool": True}),
        ({"tool_result": "rain"}, {"last": ["tool", "function"]}),
        ({"tool_result": {"json": {"a": 1, "b": [1, 2]}}}, {"tool_result": {"json": {"b": [2]}}}),
        ({"tools": ["a", "b"]}, {"tools": "a"}),
        ({"tools": "auto"}, {"tools": True}),
        ({"tools": False}, {"tools": False}),
        ({"has": ["image", "audio"]}, {"has": "image"}),
        ({"modalities": ["text", "image"]}, {"modalities": ["image"]}),
        ({"stream": True}, {"stream": True}),
        ({"stream": True}, {"not": {"stream": False}}),
        ({"params": {"temperature": 0, "seed": 1}}, {"params": {"temperature": 0}}),
        ({"header": {"X-A": "b", "x-c": True}}, {"header": {"x-a": True}}),
        ({"all": [{"turn": 1}, {"stream": True}]}, {"stream": True}),
        ({"any": [{"turn": 2}, {"turn": 3}]}, {"turn": "2-3"}),
        ({"any": [{"turn": 2}, {"turn": 3}]}, {"any": [{"turn": 2}, {"turn": 3}]}),
        ({"turn": 2, "stream": True}, {"any": [{"stream": True}, {"last_user": "x"}]}),
        ({"not": {"turn": "1+"}}, {"not": {"turn": 2}}),
    ],
)
def test_conditions_follow(given_: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Whoever fulfils the first fulfils the second."""
    assert implies(when(**given_), when(**wanted))


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ({}, {"turn": 1}),
        ({"last_user": "weather"}, {"last_user": "weather in Oslo"}),
        ({"last_user": "weather"}, {"last_user": {"equals": "weather"}}),
        ({"model": "google/*"}, {"model": "google/gemini*"}),
        ({"model": "google/[ab]c"}, {"model": "google/ac"}),
        ({"model": "google/*"}, {"model": {"contains": "/*"}}),
        ({"publisher": "google"}, {"model": "google/*"}),
        ({"any_user": "weather"}, {"last_user": "weather"}),
        ({"any_user": {"equals": "bus"}}, {"any_user": {"not": "car"}}),
        ({"last_user": {"equals": "bus"}}, {"any_user": {"not": "car"}}),
        ({"tools": "a"}, {"tools": {"not": "b"}}),
        ({"tools": {"not": "b"}}, {"tools": True}),
        ({"tool_choice": "required"}, {"not": {"tool_choice": "get_weather"}}),
        ({"turn": "1-4"}, {"turn": "2-3"}),
        ({"last": ["user", "tool"]}, {"last": "user"}),
        ({"has": "image"}, {"has": ["image", "audio"]}),
        ({"tools": True}, {"tools": "auto"}),
        ({"after_tool": {"not": "x"}}, {"after_tool": True}),
        ({"params": {"n": 1}}, {"params": {"n": True}}),
        ({"params": {"stop": ["a"]}}, {"params": {"stop": ["a", "b"]}}),
        ({"header": {"x-a": False}}, {"header": {"x-a": True}}),
        ({"header": {"x-a": "b"}}, {"header": {"x-a": "c"}}),
        ({"any": [{"turn": 2}, {"turn": 5}]}, {"turn": "2-3"}),
        ({"not": {"turn": 2}}, {"not": {"turn": "1+"}}),
        ({"stream": False}, {"stream": True}),
    ],
)
def test_other_conditions_do_not_follow(given_: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Some request fulfils the first and not the second."""
    assert not implies(when(**given_), when(**wanted))


@pytest.mark.parametrize(
    "conditions",
    [
        {"last": "user", "after_tool": {"not": "x"}},
        {"last": ["user", "tool"], "after_tool": True},
        {"last_user": "a", "not": {"last_user": "ab"}},
        {"any_user": "a", "not": {"last_user": "a"}},
        {"model": {"equals": "google/a", "starts_with": "google"}},
        {"tools": {"glob": "a*", "not": "ab"}},
        {"turn": 1, "any": [{"stream": True}]},
    ],
)
def test_conditions_that_can_hold_are_not_blamed(conditions: dict[str, Any]) -> None:
    """Conditions that only look odd get no warning."""
    assert find_contradiction(when(**conditions)) is None


words = st.text(st.sampled_from("abAB*?/[]"), max_size=4)
written = st.recursive(
    words,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "equals": words,
            "contains": words,
            "starts_with": words,
            "ends_with": words,
            "glob": words,
            "regex": st.sampled_from(["a", "a+b", "^A", "b$", "."]),
            "any_of": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    ),
    max_leaves=3,
)


@given(written, written, st.lists(words, max_size=2), st.sampled_from(["contains", "glob"]))
def test_what_follows_is_never_refused_by_the_engine(
    one: Any, other: Any, values: list[str], short: DefaultOperator
) -> None:
    """Whatever passes a test, as the engine matches it, passes what is said to follow from it."""
    first, second = (item if isinstance(item, str) else TextTest.model_validate(item) for item in (one, other))
    is_many = len(values) > 1
    if entails(first, second, short, is_many=is_many) and compile_test(first, short).passes(values):
        assert compile_test(second, short).passes(values)


few_words = st.lists(st.sampled_from(["rain", "RAIN in", "rain in oslo", "snow", "*", "?"]), max_size=2).map(" ".join)
few_tests = st.one_of(
    few_words.filter(bool),
    st.sampled_from(["equals", "starts_with", "ends_with", "glob"]).flatmap(
        lambda name: st.builds(lambda text: {name: text}, few_words)
    ),
    st.lists(few_words, min_size=1, max_size=2).map(lambda options: {"any_of": options}),
    few_words.map(lambda text: {"not": text}),
)
few_whens = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "model": st.sampled_from(
                ["google/*", "google/gemini-3", "Google/gemini-3*", {"equals": "google/gemini-3"}]
            ),
            "publisher": st.sampled_from(["google", "goo*", {"starts_with": "goo"}]),
            "last_user": few_tests,
            "any_user": few_tests,
            "tool_result": few_tests,
            "after_tool": st.one_of(st.booleans(), few_tests),
            "tools": st.one_of(st.just(True), few_tests, st.lists(few_words, min_size=1, max_size=2)),
            "header": st.builds(lambda test: {"X-A": test}, st.one_of(st.just(True), few_tests)),
            "stream": st.booleans(),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "last_user": few_tests,
            "any": st.lists(inner, min_size=1, max_size=2),
            "all": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    ),
    max_leaves=3,
)


@given(st.lists(few_whens, min_size=4, max_size=10))
def test_rules_that_take_others_are_always_compared_with_them(conditions: list[dict[str, Any]]) -> None:
    """The index that spares comparisons never spares one that would have found something."""
    crowd = [{name: f"~{number}~~"} for number in range(4) for name in ("model", "publisher", "last_user", "any_user")]
    whens = [when(**one) for one in (*conditions, *crowd)]
    index = InvertedIndex([find_required_texts(one) for one in whens])
    for given_ in whens:
        near = find_candidates(given_, index)
        for number, wanted in enumerate(whens):
            variants = [given_, *(given_.model_copy(update={"tools": value}) for value in (True, False))]
            assert number in near or not any(implies(one, wanted) for one in variants)


def warnings(text: str) -> list[str]:
    """The messages of a scenario's warnings."""
    return [problem.message for problem in read_text(text).warnings]


def test_rules_that_run_out_take_nothing_for_good() -> None:
    """After a rule that is used up some day, others get their turn."""
    assert warnings("rules:\n  - {times: 3, reply: a}\n  - {sequence: [a], then: exhaust}\n  - reply: c\n") == []


def test_among_thousands_of_rules_the_silent_one_is_found() -> None:
    """Rules that have no text in common are told apart at once, so that their number is no matter."""
    rules = "\n".join(f"  - {{when: {{last_user: word{number}x, turn: 1}}, reply: a}}" for number in range(3000))
    last = "  - {when: {last_user: Word2999X!, turn: 1}, reply: b}"
    assert warnings(f"rules:\n{rules}\n{last}\n") == [
        'rule "rule 3001" can never answer: "rule 3000" (line 3001) answers every request that it could'
    ]


def test_among_many_publishers_that_of_a_model_is_found() -> None:
    """What follows from a condition of another name is compared too."""
    rules = "\n".join(f"  - {{when: {{publisher: house{number}}}, reply: a}}" for number in range(9))
    (warning,) = warnings(f"rules:\n{rules}\n  - {{when: {{model: House7/x}}, reply: b}}\n")
    assert warning == 'rule "rule 10" can never answer: "rule 8" (line 9) answers every request that it could'


def test_rules_that_must_all_be_compared_are_compared_in_bounded_time() -> None:
    """Of thousands of rules that share all their texts the last ones get no warning."""
    rules = "\n".join(f"  - {{when: {{params: {{seed: {number}}}}}, reply: a}}" for number in range(1500))
    assert warnings(f"rules:\n{rules}\n  - {{when: {{params: {{seed: 1}}}}, reply: b}}\n") == []


def test_a_file_that_comes_too_late_is_warned_of_once(tmp_path: Path) -> None:
    """Not once for each of its rules, unless some of them can answer."""
    (tmp_path / "a.yaml").write_text("rules: [{name: all, reply: x}]")
    (tmp_path / "b.yaml").write_text("rules: [{name: one, when: {turn: 1}, reply: x}, {name: two, reply: x}]")
    (warning,) = read_paths([tmp_path]).warnings
    assert warning.message.startswith('no rule of this file can answer: "all" (')
    (tmp_path / "a.yaml").write_text("rules: [{name: first, when: {turn: 1}, reply: x}]")
    assert ['rule "one" can never answer' in warning.message for warning in read_paths([tmp_path]).warnings] == [True]
