"""Values for the properties of a schema that the messages name."""

import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.reply.arguments import suggest_values
from emulator.engine.request.facts import Facts
from emulator.wire.urls import Target

TEXT: Any = {"type": "string"}
INTEGER: Any = {"type": "integer"}
NUMBER: Any = {"type": "number"}
PROSE = "It is so."


def suggested(messages: list[Any], schema: Any, *, is_answer: bool = False) -> dict[str, Any]:
    """The values that are suggested for the top properties of a schema."""
    facts = Facts(Target("v1", "p", "global", "openapi"), (), {"messages": messages})
    filled = suggest_values(schema, facts, lambda: PROSE, is_answer=is_answer)
    found = {}
    for name, one in filled["properties"].items():
        was = schema["properties"][name]
        if one.get("enum") != was.get("enum"):
            (found[name],) = one["enum"]
        elif one.get("default") != was.get("default"):
            found[name] = one["default"]
    return found


def from_question(question: str, properties: dict[str, Any], **given: Any) -> dict[str, Any]:
    """The values that are suggested for required properties by a question."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return suggested([{"role": "user", "content": question}], schema, **given)


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("What is the weather in Oslo?", {"city": TEXT}, {"city": "Oslo"}),
    ("What is the weather in New York today?", {"location": TEXT}, {"location": "New York"}),
    ("what is the weather in new york today?", {"location": TEXT}, {"location": "New York"}),
    ("what is the weather in sf", {"city": TEXT}, {"city": "SF"}),
    (
        "Weather for Rio de Janeiro, please",
        {"q": {"type": "string", "description": "The city"}},
        {"q": "Weather for Rio de Janeiro, please"},
    ),
    (
        "Weather for Rio de Janeiro, please",
        {"where": {"type": "string", "description": "The city"}},
        {"where": "Rio de Janeiro"},
    ),
    ("Paris in the morning?", {"city": {**TEXT, "description": "such as London"}}, {"city": "Paris"}),
    ("Is it cold there in the morning?", {"city": TEXT}, {}),
    (
        "A flight from Oslo to Bergen on 2026-05-17",
        {"destination": TEXT, "origin": TEXT, "date": {"type": "string", "format": "date"}},
        {"destination": "Bergen", "origin": "Oslo", "date": "2026-05-17"},
    ),
    (
        "A table on May 17th, 2026 at 7:30 pm for 4 guests",
        {"date": TEXT, "time": TEXT, "guests": INTEGER},
        {"date": "2026-05-17", "time": "7:30 pm", "guests": 4},
    ),
    ("Remind me tomorrow", {"day": TEXT}, {"day": "tomorrow"}),
    ("Remind me tomorrow", {"day": {"type": "string", "format": "date"}}, {}),
    (
        "Ann is 30 and lives in Oslo.",
        {"name": TEXT, "age": INTEGER, "city": TEXT},
        {"name": "Ann", "age": 30, "city": "Oslo"},
    ),
    ("What is 3 plus 4.5?", {"a": NUMBER, "b": NUMBER}, {"a": 3, "b": 4.5}),
    ("Set the temperature to 21 in room 5", {"room": INTEGER, "temperature": INTEGER}, {"room": 5, "temperature": 21}),
    ("Sell 1,250,000 shares of GOOG", {"quantity": INTEGER, "symbol": TEXT}, {"quantity": 1250000, "symbol": "GOOG"}),
    ("Give me three ideas", {"count": INTEGER}, {"count": 3}),
    ("It weighs 4.5 kilos", {"count": INTEGER}, {}),
    (
        "Convert 100 USD to EUR",
        {"amount": NUMBER, "from_currency": TEXT, "to_currency": TEXT},
        {"amount": 100, "from_currency": "USD", "to_currency": "EUR"},
    ),
    (
        'Translate "good morning" to French',
        {"text": TEXT, "target_language": TEXT},
        {"text": "good morning", "target_language": "French"},
    ),
    ("Who wrote Faust?", {"query": TEXT}, {"query": "Who wrote Faust?"}),
    ("Where is order #A-4711?", {"order_id": TEXT}, {"order_id": "A-4711"}),
    (
        "Write to ann@example.com about https://example.com/a?b=1",
        {"email": TEXT, "url": TEXT},
        {"email": "ann@example.com", "url": "https://example.com/a?b=1"},
    ),
    ("What is 12 * (3 + 4)?", {"expression": TEXT}, {"expression": "12 * (3 + 4)"}),
    ("In fahrenheit, please", {"unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}, {"unit": "fahrenheit"}),
    ("Is it in progress?", {"state": {"enum": ["DONE", "IN_PROGRESS"]}}, {"state": "IN_PROGRESS"}),
    ("How is the weather?", {"agent": {"enum": ["greeting_agent", "weather_agent"]}}, {"agent": "weather_agent"}),
    (
        "my orders and their status",
        {"columns": {"type": "array", "items": {"enum": ["id", "status", "orders"]}}},
        {"columns": ["orders", "status"]},
    ),
    ("Compare Paris and Rome", {"cities": {"type": "array", "items": TEXT}}, {"cities": ["Paris", "Rome"]}),
    ("genre: jazz, mood: calm", {"genre": TEXT, "mood": TEXT}, {"genre": "jazz", "mood": "calm"}),
    ("Weather in Oslo", {"city": {"anyOf": [TEXT, {"type": "null"}], "default": None}}, {"city": "Oslo"}),
    ("Weather in Oslo", {"city": {"type": "STRING"}}, {"city": "Oslo"}),
    ("天気", {"city": TEXT, "count": INTEGER}, {}),
    ("", {"city": TEXT, "query": TEXT}, {"query": ""}),
]


@pytest.mark.parametrize(
    ("question", "properties", "expected"), CASES, ids=[f"{number} {case[0]}" for number, case in enumerate(CASES)]
)
def test_values_are_taken_from_the_question(
    question: str, properties: dict[str, Any], expected: dict[str, Any]
) -> None:
    """A property takes what its name and description say that it holds; what the question does not name is left open."""
    assert from_question(question, properties) == expected


def test_texts_of_an_answer_are_prose() -> None:
    """Where the value is the answer, its texts answer the question instead of repeating it."""
    properties = {"city": TEXT, "summary": TEXT, "message": TEXT}
    found = from_question("Sum up Oslo", properties, is_answer=True)
    assert found == {"city": "Oslo", "summary": PROSE, "message": PROSE}


def test_results_of_tools_are_used() -> None:
    """A key of a result's JSON gives the property of its name; a text gives numbers; only then do earlier questions count."""
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    messages: list[Any] = [
        {"role": "user", "content": "I live in Bergen."},
        {"role": "assistant", "content": "Nice."},
        {"role": "user", "content": "Is it cold?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": '{"user": {"userId": "u-17"}, "degrees": 7}'},
    ]
    schema = {
        "type": "object",
        "properties": {"user_id": TEXT, "degrees": INTEGER, "city": TEXT},
        "required": ["user_id", "degrees", "city"],
    }
    assert suggested(messages, schema) == {"user_id": "u-17", "degrees": 7, "city": "Bergen"}
    messages[-1]["content"] = "7"
    assert suggested(messages, {**schema, "properties": {"degrees": INTEGER}}) == {"degrees": 7}


def test_optional_numbers_need_their_name() -> None:
    """A number that could be anything is not taken for a limit."""
    schema = {"type": "object", "properties": {"limit": INTEGER}}
    assert suggested([{"role": "user", "content": "What happened in 2024?"}], schema) == {}
    assert suggested([{"role": "user", "content": "What happened in 2024, limit 3?"}], schema) == {"limit": 3}


def test_nested_properties_are_filled() -> None:
    """Values reach definitions, lists of objects and objects inside objects."""
    schema: Any = {
        "type": "object",
        "properties": {
            "members": {"type": "array", "items": {"$ref": "#/$defs/User"}},
            "home": {"type": "object", "properties": {"city": TEXT}},
        },
        "$defs": {"User": {"type": "object", "properties": {"name": TEXT}, "required": ["name"]}},
    }
    facts = Facts(
        Target("v1", "p", "global", "openapi"), (), {"messages": [{"role": "user", "content": "Ann lives in Oslo"}]}
    )
    filled = suggest_values(schema, facts, lambda: PROSE, is_answer=True)
    assert filled["$defs"]["User"]["properties"]["name"]["default"] == "Ann"
    assert filled["properties"]["home"]["properties"]["city"]["default"] == "Oslo"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "enum", "anyOf", "items", "$ref", "$defs", "required", "city", "count"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.text())
def test_any_schema_can_be_filled(schema: Any, question: str) -> None:
    """What is no schema stays as it is; the schema itself is never changed."""
    before = repr(schema)
    facts = Facts(Target("v1", "p", "global", "openapi"), (), {"messages": [{"role": "user", "content": question}]})
    suggest_values(schema, facts, lambda: PROSE, is_answer=False)
    assert repr(schema) == before


@given(
    st.text(),
    st.sampled_from(["city", "count", "query", "date", "email", "x"]),
    st.sampled_from([TEXT, INTEGER, {"enum": ["a", "b"]}]),
)
def test_suggestions_have_the_type_of_their_property(question: str, name: str, schema: Any) -> None:
    """Whatever the question, a suggested value is one that the property allows."""
    for value in from_question(question, {name: schema}).values():
        jsonschema.validate(value, schema)


@pytest.mark.parametrize(
    "text",
    [
        "Oslo " * 200_000,
        "12 " * 300_000,
        '"' * 1_000_000,
        "in a " * 200_000,
        "(" * 1_000_000,
        "1-" * 500_000,
        "may 1 " * 150_000,
    ],
    ids=lambda text: text[:12],
)
def test_work_is_bounded(text: str) -> None:
    """A megabyte of candidates and a schema of a thousand properties are read at once."""
    names = ["city", "count", "query", "date", "time", "email", "expression", "currency", "order_id", "x"]
    properties = {
        f"{name}_{number}_{name}": (TEXT, INTEGER)[name == "count"] for number in range(100) for name in names
    }
    start = time.perf_counter()
    from_question(text, properties)
    assert time.perf_counter() - start < 10
