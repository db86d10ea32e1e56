"""`when`: which conditions hold for which request."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.matching.conditions import captured, compare, compile_when, matches
from emulator.engine.request.facts import Facts
from emulator.scenario.when import When
from emulator.wire.urls import Target

TARGET = Target("v1beta1", "p-42", "us-central1", "openapi")
HEADERS = [(b"x-tenant", b"acme-7"), (b"x-two", b"a"), (b"x-two", b"b")]
CALLS = [{"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Get the weather for a city"}}]
REQUEST: dict[str, Any] = {
    "model": "google/gemini-3-flash",
    "stream": True,
    "temperature": 0.5,
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is the "}, {"type": "text", "text": "WEATHER?"}]},
        {"role": "assistant", "tool_calls": CALLS},
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": '{"temperature": 4, "city": "Oslo", "tags": ["cold", "wet"]}',
        },
    ],
    "tools": TOOLS,
    "response_format": {"type": "json_schema", "json_schema": {"name": "Report", "schema": {}}},
    "extra_body": {"google": {"thinking_config": {"include_thoughts": True}}},
}


def facts_of(request: Any, target: Target = TARGET) -> Facts:
    """The facts of a request."""
    return Facts(target, HEADERS, request)


HOLDS = [
    {},
    {"model": "google/*"},
    {"model": "GOOGLE/gemini-3-flash"},
    {"model": {"regex": "gemini-[3-9]"}},
    {"publisher": "google", "api_version": "v1beta1", "project": "p-4?", "location": "us-*", "endpoint": "openapi"},
    {"last_user": "weather"},
    {"last_user": {"equals": "What is the WEATHER?"}},
    {"last_user": {"starts_with": "what", "ends_with": "weather?", "not": "rain"}},
    {"last_user": {"any_of": ["snow", {"regex": "^What"}]}},
    {"any_user": "weather", "system": "brief"},
    {"last": "tool"},
    {"last": ["user", "tool"]},
    {"turn": 1},
    {"turn": "1-2"},
    {"turn": "1+"},
    {"after_tool": "get_*"},
    {"after_tool": True},
    {"tool_result": "oslo"},
    {"tool_result": {"json": {"temperature": 4, "tags": ["wet"]}}},
    {"stream": True},
    {"tools": True},
    {"tools": "get_weather"},
    {"tools": ["get_*", "*weather"]},
    {"tools": {"not": "search"}},
    {"tool_choice": "auto"},
    {"response_format": "json_schema"},
    {"response_format": "Report"},
    {"response_format": "application/json"},
    {"modalities": "text"},
    {"params": {"temperature": 0.5}},
    {"google": {"thinking_config": {"include_thoughts": True}}},
    {"header": {"X-Tenant": "acme-*", "x-two": "a, b", "x-absent": False, "x-tenant": True}},
    {"body": {"messages": [{"role": "system"}]}},
    {"any": [{"last_user": "rain"}, {"last": "tool"}]},
    {"all": [{"turn": 1}, {"stream": True}]},
    {"not": {"last": "user"}},
]
FAILS = [
    # The one tool has been called since the question.
    {"tools": "auto"},
    {"model": "gemini"},
    {"publisher": "meta"},
    {"last_user": {"equals": "what is the weather?"}},
    {"last_user": {"starts_with": "weather"}},
    {"last_user": {"not": "weather"}},
    {"last": "user"},
    {"turn": 2},
    {"turn": "2-3"},
    {"turn": "2+"},
    {"after_tool": "search"},
    {"after_tool": False},
    {"tool_result": {"json": {"temperature": 4.5}}},
    {"tool_result": {"json": {"temperature": True}}},
    {"stream": False},
    {"tools": False},
    {"tools": ["get_weather", "search"]},
    {"tools": {"not": "get_*"}},
    {"tool_choice": "required"},
    {"response_format": "text"},
    {"modalities": "image"},
    {"has": "image"},
    {"params": {"temperature": 1}},
    {"google": {"thinking_config": {"include_thoughts": False}}},
    {"header": {"x-tenant": "other"}},
    {"header": {"x-tenant": False}},
    {"body": {"messages": [{"role": "developer"}]}},
    {"any": [{"last_user": "rain"}, {"last": "user"}]},
    {"all": [{"turn": 1}, {"stream": False}]},
    {"not": {"last": "tool"}},
]


@pytest.mark.parametrize("when", HOLDS, ids=str)
def test_matching_conditions(when: dict[str, Any]) -> None:
    """Conditions that hold have no differences."""
    conditions = compile_when(When.model_validate(when))
    assert matches(conditions, facts_of(REQUEST))
    assert all(one.holds for one in compare(conditions, facts_of(REQUEST)))


@pytest.mark.parametrize("when", FAILS, ids=str)
def test_conditions_that_do_not_match(when: dict[str, Any]) -> None:
    """A condition that does not hold reports what it wanted and what it got."""
    conditions = compile_when(When.model_validate(when))
    assert not matches(conditions, facts_of(REQUEST))
    different = [one for one in compare(conditions, facts_of(REQUEST)) if not one.holds]
    assert different
    assert all(one.wanted and one.got for one in different)


@given(st.sampled_from(HOLDS + FAILS), st.sampled_from(HOLDS + FAILS))
def test_nesting_agrees_with_logic(one: dict[str, Any], two: dict[str, Any]) -> None:
    """`any`, `all` and `not` are the logical operators."""

    def holds(when: dict[str, Any]) -> bool:
        return matches(compile_when(When.model_validate(when)), facts_of(REQUEST))

    assert holds({"any": [one, two]}) == (holds(one) or holds(two))
    assert holds({"all": [one, two]}) == (holds(one) and holds(two))
    assert holds({"not": one}) == (not holds(one))


def test_named_groups_are_captured() -> None:
    """Regular expressions give variables, also from inside `any` and `any_of`."""
    when = When.model_validate(
        {
            "last_user": {"any_of": ["nothing", {"regex": "the (?P<what>\\w+)"}]},
            "any": [{"model": {"regex": "^meta/(?P<who>.*)"}}, {"model": {"regex": "^google/(?P<who>.*)"}}],
        }
    )
    assert captured(compile_when(when), facts_of(REQUEST)) == {"what": "WEATHER", "who": "gemini-3-flash"}


@pytest.mark.parametrize(
    ("part", "kinds"),
    [
        ({"type": "image_url", "image_url": "gs://b/x.jpg"}, {"image", "gs_uri"}),
        ({"type": "image_url", "image_url": {"url": "https://example.test/x"}}, {"image"}),
        ({"type": "image_url", "image_url": {"url": "data:video/mp4;base64,AA=="}}, {"video"}),
        ({"type": "image_url", "image_url": {"url": "data:application/pdf;base64,AA=="}}, {"document"}),
        ({"type": "input_audio", "input_audio": {"format": "audio/mp3", "data": "gs://b/x.mp3"}}, {"audio", "gs_uri"}),
        ({"type": "input_audio", "input_audio": {"format": "wav", "data": "AA=="}}, {"audio"}),
        ({"type": "input_audio", "input_audio": {"format": "video/mp4", "data": "gs://b/x"}}, {"video", "gs_uri"}),
        ({"type": "text", "text": "x"}, set[str]()),
    ],
)
def test_media_are_told_apart(part: dict[str, Any], kinds: set[str]) -> None:
    """`has` recognizes the kind of each content part."""
    assert facts_of({"messages": [{"role": "user", "content": [part]}]}).has == kinds


@pytest.mark.parametrize(
    ("request_body", "choice"),
    [
        ({}, ["none"]),
        ({"tools": TOOLS}, ["auto"]),
        ({"tools": TOOLS, "tool_choice": "required"}, ["required"]),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}}, ["named", "f"]),
        ({"functions": [{"name": "f"}], "function_call": {"name": "f"}}, ["named", "f"]),
        ({"functions": [{"name": "f"}], "function_call": "none"}, ["none"]),
        ({"tools": TOOLS, "tool_choice": {"type": "odd"}}, ["auto"]),
    ],
)
def test_tool_choice_has_one_name(request_body: dict[str, Any], choice: list[str]) -> None:
    """Every form of `tool_choice` becomes one mode."""
    assert facts_of(request_body).tool_choice == choice


def test_facts_of_an_empty_request_are_empty() -> None:
    """Every fact has a value for an empty request."""
    facts = facts_of({})
    assert (facts.last_user, facts.system, facts.last, facts.turn, facts.tool_results) == (None, None, None, 0, [])
    assert facts.prompt_tokens == 0
