"""JSON that messages ask for in words.

Two-file cases: `json_prompts/NAME.json` is a request, among them what libraries really send; `NAME.txt` is the form and the schema that are read
from it, or `no JSON`. UPDATE_EXPECTED=1 rewrites it.
"""

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.randomness import AnswerInputs, SeededRandom
from emulator.engine.reply.auto import write_json, write_text
from emulator.engine.reply.json_prompts import find_schema, find_wanted_json
from emulator.engine.reply.templates import Context, Request
from emulator.engine.request.facts import Facts
from emulator.wire.urls import Target

CASES = sorted(Path(__file__).with_name("json_prompts").glob("*.json"))
TARGET = Target("v1", "p", "global", "openapi")
INPUTS = AnswerInputs(0, "seed", bytes(16))


def context_of(request: Any) -> Context:
    """The context of a reply to a request."""
    facts = Facts(TARGET, (), request)
    return Context(Request(facts, {}, 1, SeededRandom(INPUTS, request, 0), INPUTS), 0)


def values_of(text: str, form: str) -> Any:
    """The value of an answer in one of the forms, read as its library does."""
    if form == "fenced":
        return json.loads(text.removeprefix("```json\n").removesuffix("\n```"))
    if form == "json":
        return json.loads(text)
    *sections, end = text.split("\n\n[[ ## ")
    assert end == "completed ## ]]"
    pairs = [section.removeprefix("[[ ## ").split(" ## ]]\n", 1) for section in sections]
    return {name: json.loads(value) if value[:1].isdigit() else value for name, value in pairs}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_wanted_json_is_found_and_made(path: Path) -> None:
    """The schema and form are read from the messages, and the answer satisfies them."""
    context = context_of(json.loads(path.read_text("utf-8")))
    wanted = find_wanted_json(context.facts)
    shown = "no JSON\n" if wanted is None else f"{wanted.form}\n{json.dumps(wanted.schema, indent=2)}\n"
    expected = path.with_suffix(".txt")
    if os.environ.get("UPDATE_EXPECTED"):
        expected.write_text(shown, "utf-8")
    assert shown == expected.read_text("utf-8")
    text = "".join(write_text(context, None))
    if wanted is None:
        assert not text.startswith("{")
        return
    value = values_of(text, wanted.form)
    jsonschema.validate(value, wanted.schema or {"type": "object"})
    if wanted.form == "json":
        assert json.loads(write_json(context)) == value


def test_every_expectation_has_a_case() -> None:
    """No file is left behind."""
    folder = Path(__file__).with_name("json_prompts")
    assert {path.stem for path in folder.glob("*.txt")} == {path.stem for path in CASES}


def test_values_come_from_the_messages() -> None:
    """What the user says goes into the JSON that the system message describes."""
    folder = Path(__file__).with_name("json_prompts")
    parts: list[tuple[str, dict[str, Any]]] = [
        ("instructor_json", {"name": "Ann", "age": 30}),
        ("instructor_md_json", {"members": [{"name": "Ann", "age": 30}]}),
        ("pydantic_ai_prompted", {"name": "Oslo", "population": 700000}),
        ("types_for_values", {"name": "Ann", "age": 30}),
        ("genkit", {"name": "Ann", "age": 30}),
    ]
    for name, part in parts:
        context = context_of(json.loads((folder / f"{name}.json").read_text("utf-8")))
        wanted = find_wanted_json(context.facts)
        assert wanted is not None
        value = values_of("".join(write_text(context, None)), wanted.form)
        assert {key: value[key][:1] if isinstance(value[key], list) else value[key] for key in part} == part


def test_a_schema_in_words_that_allows_nothing_refuses_nothing() -> None:
    """Only words ask for it, so another object is the answer."""
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 2, "maximum": 1}}, "required": ["a"]}
    request = {"messages": [{"role": "user", "content": f"Respond with JSON of this schema: {json.dumps(schema)}"}]}
    assert isinstance(json.loads("".join(write_text(context_of(request), None))), dict)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        *(
            "{" * 1_000_000,
            '{"a":' * 200_000,
            '{"a": 1} ' * 100_000,
            '{"properties": {}}' * 50_000,
            "{ a: " * 200_000 + "}",
        ),
        *("respond json " * 80_000, "json\n" * 200_000, "`a`, " * 200_000, "keys: " + "`a`, " * 200_000),
        *(
            "fields " + "a, " * 300_000 + "\njson",
            "[[ ## " * 160_000,
            " " * 1_000_000,
            "observation" * 90_000,
            "```" * 300_000,
        ),
    ],
    ids=lambda text: text[:12],
)
def test_work_is_bounded(text: str) -> None:
    """A megabyte of what looks like the beginning of something is answered."""
    for content in (text, f"Respond with JSON.\n{text}"):
        request = {"messages": [{"role": "system", "content": content}, {"role": "user", "content": content}]}
        assert "".join(write_text(context_of(request), None))


@given(st.lists(st.text()))
def test_any_texts_can_be_read(texts: list[str]) -> None:
    """Whatever texts hold, there is a schema or there is none."""
    find_schema(texts)
    request = {"messages": [{"role": "user", "content": text} for text in texts]}
    assert isinstance("".join(write_text(context_of(request), None)), str)
