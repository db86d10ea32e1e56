"""openai-python and JSON: `.parse`, schemas, JSON without a schema. The built-in default answers, unless a test says otherwise."""

import json
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal

import jsonschema
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

MODEL = "google/gemini-2.5-flash"
Push = Callable[[str], None]


class CalendarEvent(BaseModel):
    """The documented model."""

    name: str
    date: str
    participants: list[str]


class Size(Enum):
    """An enumeration."""

    SMALL = "small"
    LARGE = "large"


class Address(BaseModel):
    """A model inside another."""

    street: str
    number: int


class Order(BaseModel):
    """Nested models, enumerations, options and lists."""

    customer: str
    deliver_to: Address
    bill_to: Address | None
    sizes: list[Size]
    kind: Literal["gift", "own"]
    weight: float
    express: bool
    note: str | None = None


SCIENCE_FAIR: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "Extract the event information."},
    {"role": "user", "content": "Alice and Bob are going to a science fair on Friday."},
]
ANYTHING: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Make something up."}]


def test_documented_sample(client: OpenAI, push: Push) -> None:
    """The documented sample gets its event, through `beta` as documented."""
    push("structured.yaml")
    completion = client.beta.chat.completions.parse(
        model="google/gemini-2.5-flash-preview-04-17", messages=SCIENCE_FAIR, response_format=CalendarEvent
    )
    event = completion.choices[0].message.parsed
    assert event == CalendarEvent(name="Science Fair", date="Friday", participants=["Alice", "Bob"])


def test_parse(client: OpenAI) -> None:
    """Any model is filled with a valid instance."""
    completion = client.chat.completions.parse(model=MODEL, messages=ANYTHING, response_format=Order)
    assert isinstance(completion.choices[0].message.parsed, Order)
    assert completion.choices[0].finish_reason == "stop"


def test_async_parse(use_async: Callable[[Callable[[AsyncOpenAI], Any]], Any]) -> None:
    """So it is for the asynchronous client."""
    completion = use_async(
        lambda client: client.chat.completions.parse(model=MODEL, messages=ANYTHING, response_format=Order)
    )
    assert isinstance(completion.choices[0].message.parsed, Order)


def test_stream_parse(client: OpenAI, push: Push) -> None:
    """The stream helper collects the content, and parses it into the model at the end."""
    push("structured.yaml")
    with client.chat.completions.stream(model=MODEL, messages=SCIENCE_FAIR, response_format=CalendarEvent) as stream:
        events = list(stream)
    done = [event for event in events if event.type == "content.done"]
    assert [event.parsed for event in done] == [
        CalendarEvent(name="Science Fair", date="Friday", participants=["Alice", "Bob"])
    ]
    deltas = [event for event in events if event.type == "content.delta"]
    assert deltas[-1].snapshot == done[0].content


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"age": {"type": "integer", "minimum": 18}}, "required": ["age"]},
        {
            "type": "object",
            "properties": {"mail": {"type": "string", "format": "email"}, "day": {"type": "string", "format": "date"}},
            "required": ["mail", "day"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"items": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/item"}}},
            "required": ["items"],
            "$defs": {
                "item": {
                    "type": "object",
                    "properties": {"id": {"pattern": "^[A-Z]{3}-[0-9]+$", "type": "string"}},
                    "required": ["id"],
                }
            },
        },
        {"type": "array", "items": {"anyOf": [{"type": "null"}, {"enum": ["a", "b"]}]}, "minItems": 1, "maxItems": 3},
    ],
    ids=["number", "formats", "references", "list"],
)
def test_schema(client: OpenAI, schema: dict[str, Any]) -> None:
    """An answer to `json_schema` is valid by that schema."""
    answer = client.chat.completions.create(
        model=MODEL,
        messages=ANYTHING,
        response_format={"type": "json_schema", "json_schema": {"name": "thing", "schema": schema, "strict": True}},
    )
    made = json.loads(answer.choices[0].message.content or "")
    jsonschema.validate(made, schema, format_checker=jsonschema.FormatChecker())


def test_scripted_json(client: OpenAI, push: Push) -> None:
    """JSON mode gets the JSON that a scenario writes."""
    push("structured.yaml")
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "four words of JSON"}],
        response_format={"type": "json_object"},
    )
    assert json.loads(answer.choices[0].message.content or "") == {"words": 4, "echo": "four words of JSON"}


@pytest.mark.parametrize("kind", ["json_object", "application/json"])
def test_json_without_schema(client: OpenAI, kind: str) -> None:
    """JSON mode gets a JSON object; so does the MIME type, which is handed through as documented."""
    form: Any = {"type": kind}
    answer = client.chat.completions.create(model=MODEL, messages=ANYTHING, response_format=form)
    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)
