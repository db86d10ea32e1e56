"""No refusal of the models is without words of our own."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import Problem, ScenarioError
from emulator.scenario.loading import read_text
from emulator.scenario.problems import FORMATTERS
from emulator.scenario.rules import Scenario

# What each kind of node of pydantic's core schema can raise, as this language uses it.
RAISES: dict[str, set[str]] = {
    "any": set(),
    "bool": {"bool_type", "bool_parsing"},
    "default": set(),
    "definition-ref": set(),
    "definitions": set(),
    "dict": {"dict_type"},
    "float": {"float_type", "float_parsing"},
    "function-after": set(),
    "function-before": set(),
    "int": {"int_type", "int_parsing", "int_from_float", "int_parsing_size"},
    "list": {"list_type"},
    "literal": {"literal_error"},
    "model": {"model_type"},
    "model-field": {"missing"},
    "model-fields": {"extra_forbidden"},
    "no-info": set(),
    "nullable": set(),
    "str": {"string_type"},
    "tagged-union": set(),
    "union": set(),
}
CONSTRAINTS = {
    ("float", "allow_inf_nan"): "finite_number",
    ("float", "ge"): "greater_than_equal",
    ("float", "gt"): "greater_than",
    ("float", "le"): "less_than_equal",
    ("int", "le"): "less_than_equal",
    ("int", "ge"): "greater_than_equal",
    ("list", "min_length"): "too_short",
    ("str", "min_length"): "string_too_short",
}
OTHER_CONSTRAINTS = {"lt", "max_length", "multiple_of", "pattern", "strict"}


def nodes(part: Any) -> Iterator[dict[str, Any]]:
    """All nodes of a core schema."""
    if isinstance(part, dict):
        if isinstance(part.get("type"), str):
            yield part
        for key, value in part.items():
            if key not in ("metadata", "serialization"):
                yield from nodes(value)
    elif isinstance(part, list | tuple):
        for item in part:
            yield from nodes(item)


def test_every_error_that_models_can_raise_has_words() -> None:
    """The core schema of the language, walked through, can raise nothing that lacks a formatter."""
    raised = {"bad_flag", "bad_regex", "bad_turn"}
    Scenario.model_rebuild()
    for node in nodes(Scenario.__pydantic_core_schema__):
        kind = node["type"]
        assert kind in RAISES, kind
        raised |= RAISES[kind]
        raised |= {name for (type_, key), name in CONSTRAINTS.items() if kind == type_ and key in node}
        assert not OTHER_CONSTRAINTS.intersection(node), node
        if kind == "tagged-union":
            raised.add(node["custom_error_type"])
    assert raised == set(FORMATTERS)


PROVOKED = {
    "bad_flag": "rules: [{sets: 'to do', reply: a}]",
    "bad_regex": "rules: [{when: {model: {regex: '('}}, reply: a}]",
    "bad_turn": "rules: [{when: {turn: x}, reply: a}]",
    "bool_parsing": "rules: [{when: {stream: x}, reply: a}]",
    "bool_type": "rules: [{when: {stream: []}, reply: a}]",
    "dict_type": "rules: [{when: {body: 1}, reply: a}]",
    "extra_forbidden": "rulez: []",
    "finite_number": "rules: [{pace: {every_ms: 'inf'}, reply: a}]",
    "float_parsing": "rules: [{pace: {every_ms: x}, reply: a}]",
    "float_type": "rules: [{pace: {every_ms: []}, reply: a}]",
    "greater_than": "rules: [{pace: {tokens_per_second: 0}, reply: a}]",
    "greater_than_equal": "rules: [{times: 0, reply: a}]",
    "int_from_float": "rules: [{times: 1.5, reply: a}]",
    "int_parsing": "rules: [{times: x, reply: a}]",
    "int_parsing_size": f"rules: [{{times: '{'9' * 5000}', reply: a}}]",
    "int_type": "rules: [{times: [], reply: a}]",
    "less_than_equal": "rules: [{fault: {cut: end, chance: 2}, reply: a}]",
    "list_type": "rules: 1",
    "literal_error": "rules: [{when: {last: x}, reply: a}]",
    "missing": "rules: [{reply: {say: a, chunks: {}}}]",
    "model_type": "rules: [{when: x, reply: a}]",
    "no_effect": "rules: [{fault: {at: inside_json}, reply: a}]",
    "no_speaker": "rules: [{conversation: [x]}]",
    "no_verb": "rules: [{reply: [x]}]",
    "one_answer": "rules: [{}]",
    "string_too_short": "rules: [{reply: {call: ''}}]",
    "string_type": "rules: [{name: [], reply: a}]",
    "too_short": "rules: [{sequence: []}]",
    "wrong_shape": "rules: [{reply: true}]",
}


@pytest.mark.parametrize("kind", FORMATTERS)
def test_every_error_can_be_provoked_and_told(kind: str) -> None:
    """Each type of error is raised by some scenario, and none of pydantic's words are in the report."""
    with pytest.raises(ScenarioError) as caught:
        read_text(PROVOKED[kind])
    report = str(caught.value)
    assert len(caught.value.problems) == 1, report
    assert not any(
        words in report for words in ("Input should", "pydantic", "Field required", "<mapping>", "validation")
    )


keys = st.sampled_from(
    [
        "when",
        "reply",
        "sequence",
        "conversation",
        "user",
        "assistant",
        "tool",
        "result",
        "requires",
        "sets",
        "then",
        "times",
        "name",
        "usage",
        "headers",
        "finish",
        "say",
        "think",
        "call",
        "with",
        "json",
        "image",
        "audio",
        "fail",
        "raw",
        "chunks",
        "last",
        "turn",
        "model",
        "tools",
        "after_tool",
        "any",
        "all",
        "not",
        "regex",
        "equals",
        "any_of",
        "stream",
        "header",
        "body",
        "has",
        "prompt",
        "size",
        "x",
    ]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 600)
    | st.floats()
    | st.sampled_from(["a", "", "auto", "2-1", "{{ x", "gs://a", "user", "("]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=25,
)


@given(st.lists(st.dictionaries(keys, values, max_size=5), max_size=3))
def test_no_scenario_does_harm(rules: list[Any]) -> None:
    """Whatever stands in the rules, the one way to fail is ScenarioError, and no key stays unplaced."""
    text = json.dumps({"rules": rules}).replace("NaN", ".nan").replace("Infinity", ".inf")
    assert all(problem.message for problem in problems_of(text))


def problems_of(text: str) -> Sequence[Problem]:
    """Read a scenario and return all that is said of it."""
    try:
        return read_text(text).warnings
    except ScenarioError as error:
        return error.problems
