"""A client whose schemas ask for much gets its answer or error, and others are answered meanwhile."""

import json
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import httpx
import pytest

from emulator.api.emulator import Emulator

MODEL = "google/gemini-2.5-flash"
LONG = "a" * 60 + "!"
SECONDS = 3
"""How long the health check may take: some ten times what it does on a slow machine."""


def double(step: Any, last: Any) -> Any:
    """A schema of thirty levels, each of which leads twice to the next."""
    text = json.dumps(step)
    levels = {f"d{n}": json.loads(text.replace("NEXT", f"#/$defs/d{n + 1}")) for n in range(30)}
    return {"$defs": {**levels, "d30": last}, "$ref": "#/$defs/d0"}


NEXT = {"$ref": "NEXT"}
TEXTS = {"type": "array", "minItems": 1000, "items": {"type": "string", "minLength": 100_000}}
SCHEMAS: dict[str, Any] = {
    "const": {"const": LONG, "pattern": "^(a+)+$"},
    "names": {"type": "object", "propertyNames": {"pattern": "^(a+)+$"}, "required": [LONG]},
    "group": {"type": "string", "pattern": r"(a{99999})(\1{99999})"},
    "lookahead": {"type": "string", "pattern": "((?=a){99999}){99999}"},
    "nothing": {"type": "string", "pattern": "((((()){99999}){99999}){99999}){99999}"},
    "allOf": double({"allOf": [NEXT, NEXT]}, {"type": "integer"}),
    "anyOf": double({"anyOf": [NEXT, NEXT]}, {"not": {}}),
    "required": double(
        {"type": "object", "required": ["a", "b"], "properties": {"a": NEXT, "b": NEXT}}, {"type": "integer"}
    ),
    "enums": {"allOf": [{"enum": list(range(20_000))}, {"enum": list(range(20_000, 40_000))}]},
    "texts": TEXTS,
    "lists": {"type": "array", "minItems": 19, "items": TEXTS},
    "distinct": {
        "type": "array",
        "items": {"type": "string", "minLength": 50_000, "maxLength": 50_000},
        "uniqueItems": True,
        "minItems": 1000,
    },
}


def ask(vertex: Emulator, project: str, **fields: Any) -> httpx.Response:
    """Send a chat request to the built-in default scenario."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], **fields}
    headers = {"authorization": f"Bearer {vertex.api_key}"}
    return httpx.post(f"{vertex.session(project).base_url}/chat/completions", json=body, headers=headers, timeout=60)


def wanting(schema: Any) -> dict[str, Any]:
    """The field that asks for JSON of a schema."""
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


@pytest.mark.parametrize("name", SCHEMAS)
def test_others_are_answered_meanwhile(vertex: Emulator, project: str, name: str) -> None:
    """The health check of another client never waits for long, and the client itself is told the place."""
    health = f"{vertex.session(project).base_url.partition('/v1')[0]}/__emulator__/health"
    slowest = 0.0
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, vertex, project, **wanting(SCHEMAS[name]))
        while not asked.done():
            start = perf_counter()
            assert httpx.get(health, timeout=60).status_code == 200
            slowest = max(slowest, perf_counter() - start)
    assert slowest < SECONDS
    response = asked.result()
    assert response.status_code in (200, 418)
    assert len(response.content) < 1_500_000
    if response.status_code == 418:
        error = response.json()["error"]
        assert error["code"] == "rule_failed"
        assert "cannot make a value for the schema at #" in error["message"]


def test_example_that_its_pattern_refuses_is_not_used(vertex: Emulator, project: str) -> None:
    """The tool is called with an argument that fits, at once."""
    pattern = "^(([a-z0-9])+.)+[A-Z]([a-z0-9])+$"
    city = {"type": "string", "pattern": pattern, "examples": ["a" * 40]}
    parameters = {"type": "object", "properties": {"city": city}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "get_weather", "description": "weather", "parameters": parameters}}
    response = ask(vertex, project, tools=[tool], tool_choice="required")
    (call,) = response.json()["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"])["city"] != "a" * 40


def test_pattern_that_cannot_be_read_is_warned_of(vertex: Emulator, project: str) -> None:
    """The answer says which one values are not held to."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(?=x)x+$"}}, "required": ["a"]}
    response = ask(vertex, project, **wanting(schema))
    assert response.status_code == 200
    assert 'RE2 cannot read the pattern "^(?=x)x+$" of the schema' in response.headers["x-emulator-warning"]
