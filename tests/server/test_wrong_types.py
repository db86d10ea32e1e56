"""Values of wrong types anywhere in the body of any route: the 400 of a wrong type, or an answer, never a mistake of the emulator's."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import default_scenario_path, read_paths, read_text
from emulator.server.clock import ManualClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.wire.json_text import dump
from emulator.wire.urls import CHAT, Target

DEEPSEEK, GROK = "deepseek-ai/deepseek-v3.1-maas", "xai/grok-4.20-reasoning"
SCENARIO = """
rules:
- {when: {last_user: {regex: '(?P<found>o.*)'}}, headers: {x-a: '{{ model }}'}, reply: '{{ found }}{{ tools }}{{ request }}'}
- {when: {not: {body: {temperature: 9}}}, reply: {json: auto}}
"""
WRONG = [
    *("null", "true", "1", "-1", "1.5", "1e999", '"a"', '""', r'"\ud800"', r'"\u0000\u001b"'),
    *("[]", "{}", "[[]]", "[null]", "[1]", '["a"]', '{"a": 1}', "123456789012345678901234567890"),
]
PARAMETERS: dict[str, Any] = {
    "stream_options": {"include_usage": True},
    "max_tokens": 10,
    "temperature": 1.0,
    "stop": ["x"],
    "n": 1,
    "modalities": ["text"],
    "reasoning_effort": "low",
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
    "functions": [{"name": "g", "description": "d", "parameters": {"type": "object"}}],
    "function_call": {"name": "g"},
    "extra_body": {
        "google": {
            "thinking_config": {"include_thoughts": True, "thinking_budget": 100},
            "thought_tag_marker": "think",
            "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
            "cached_content": "c",
            "media_resolution": "low",
        },
        "chat_template_kwargs": {"enable_thinking": True},
    },
    "google": {"thought_tag_marker": "x"},
    "chat_template_kwargs": {"thinking": True},
    "logprobs": True,
    "metadata": {"a": "b"},
    "user": "u",
}
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (
        CHAT,
        {
            "model": DEEPSEEK,
            "messages": [
                {"role": "system", "content": "be"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "hi"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
                        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "c1",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"a": 1}'},
                            "extra_content": {"google": {"thought_signature": "c2ln"}},
                        }
                    ],
                    "extra_content": {"google": {"thought": False, "parts": [{"text": "x"}]}},
                },
                {"role": "tool", "tool_call_id": "c1", "content": '{"r": 1}'},
                {"role": "user", "content": "once"},
            ],
            **PARAMETERS,
            "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
        },
    ),
    "completions": ("completions", {"model": DEEPSEEK, "prompt": ["once"], "tools": [], **PARAMETERS}),
    "responses": (
        "responses",
        {
            "model": GROK,
            "instructions": "be",
            "input": [
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
                {"role": "user", "content": [{"type": "input_image", "image_url": "https://x.test/y.png"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "r"}]},
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "x"}]},
                {"type": "computer_call_output", "output": {"type": "screenshot"}},
                {"role": "user", "content": "once"},
            ],
            **PARAMETERS,
            "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {}}, {"type": "web_search"}],
            "tool_choice": {"type": "function", "name": "f"},
            "text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}}},
            "reasoning": {"effort": "low", "summary": "auto"},
            "previous_response_id": "",
        },
    ),
    "embeddings": (
        "embeddings",
        {"model": "intfloat/multilingual-e5-small-maas", "input": ["a", "b"], "encoding_format": "float", "dimensions": 3},
    ),
    "token ids": ("embeddings", {"model": "intfloat/multilingual-e5-small-maas", "input": [[1, 2], [3]]}),
}  # fmt: skip
PLACEHOLDER = "the value of a wrong type"


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all values in a body."""
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*path, key))


def with_wrong(body: Any, path: tuple[str | int, ...], wrong: str) -> bytes:
    """A body as JSON with the value at a path replaced."""

    def replace(value: Any, left: tuple[str | int, ...]) -> Any:
        if not left:
            return PLACEHOLDER
        items = value.items() if isinstance(value, dict) else enumerate(value)
        changed = {key: replace(item, left[1:]) if key == left[0] else item for key, item in items}
        return changed if isinstance(value, dict) else list(changed.values())

    return json.dumps(replace(body, path)).replace(f'"{PLACEHOLDER}"', wrong).encode()


def send(service: Service, method: str, body: bytes) -> Exchange:
    """Send a body to a route and put the exchange into the journal."""
    location = "global" if method == "responses" else "us-central1"
    exchange = service.handle(Target("v1", "p", location, "openapi", method), b"", [], body)
    service.finish(exchange)
    return exchange


def make_service(vetting: Any, *, default: bool = False) -> Service:
    """A service of the scenario above or of the default one."""
    loaded = read_paths([default_scenario_path()]) if default else read_text(SCENARIO)
    return Service(compile_rules(loaded.scenarios), Settings(auth="off", vetting=vetting), clock=ManualClock())


@pytest.mark.parametrize("vetting", ["enforce", "off"])
@pytest.mark.parametrize("name", BODIES)
def test_wrong_types_are_no_mistakes(name: str, vetting: Any) -> None:
    """Each value of a rich body replaced by each wrong one; journal and verdicts show them all."""
    method, body = BODIES[name]
    services = [make_service(vetting), make_service(vetting, default=True)]
    for path in places(body):
        for number, wrong in enumerate(WRONG):
            sent = with_wrong(body, path, wrong)
            exchange = send(services[(number + len(path)) % 2], method, sent)
            assert exchange.status in {200, 400} or exchange.outcome.report.startswith("rule "), (path, wrong, exchange)
            assert b"emulator_mistake" not in exchange.outcome.timeline.body, (path, wrong, exchange.outcome.report)
            json.loads(dump(exchange.to_json(), infinite="strings"))
    for service in services:
        service.verdicts()


@pytest.mark.parametrize(
    ("method", "model", "more", "status"),
    [
        ("completions", DEEPSEEK, {"prompt": "once", "extra_body": 2}, 200),
        ("completions", DEEPSEEK, {"prompt": "once", "google": 1}, 200),
        ("completions", DEEPSEEK, {"prompt": "once", "modalities": True}, 200),
        ("completions", DEEPSEEK, {"prompt": "once", "tools": True}, 200),
        ("completions", DEEPSEEK, {"prompt": "once", "response_format": 2}, 400),
        ("completions", DEEPSEEK, {"prompt": "once", "stream_options": 2}, 400),
        ("responses", GROK, {"input": "once", "google": "x"}, 200),
        ("responses", GROK, {"input": "once", "n": "a"}, 200),
        ("responses", GROK, {"input": "once", "response_format": "a"}, 200),
        ("responses", GROK, {"input": "once", "tools": [{"type": "function", "name": [None]}]}, 400),
        ("responses", GROK, {"input": "once", "tools": [{"type": "function", "name": None}]}, 400),
        ("responses", GROK, {"input": "once", "text": {"format": {"type": []}}}, 400),
        ("responses", GROK, {"input": [{"type": "function_call_output", "output": [[]]}]}, 400),
    ],
)
@pytest.mark.parametrize("vetting", ["enforce", "off"])
def test_siblings_ignore_what_they_do_not_know(
    method: str, model: str, more: dict[str, Any], status: int, vetting: Any
) -> None:
    """A field of chat requests that a route does not have means nothing there; its own are checked, and the place is named."""
    exchange = send(make_service(vetting), method, json.dumps({"model": model, **more}).encode())
    assert exchange.status == status
    if status == 400:
        assert exchange.outcome.refusal is not None
        assert exchange.outcome.refusal.place


def test_fields_that_mean_the_same_still_work() -> None:
    """A schema for completions, and the unknown field of a rule's condition."""
    scenario = "rules: [{when: {body: {custom: 1}}, reply: {json: auto}}]"
    service = Service(compile_rules(read_text(scenario).scenarios), Settings(auth="off"), clock=ManualClock())
    schema = {"type": "object", "properties": {"a": {"const": 5}}, "required": ["a"]}
    response_format = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    body = {"model": DEEPSEEK, "prompt": "once", "custom": 1, "response_format": response_format}
    assert json.loads(send(service, "completions", json.dumps(body).encode()).text) == {"a": 5}
