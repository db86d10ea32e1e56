"""Exchanges as text to copy: drafts that answer what they were made of and nothing else, commands and programs that send it again."""

import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from emulator.api.emulator import build_service
from emulator.inspector.conversation import read_answer
from emulator.inspector.exports import EXPORTS, LONGEST_TEXT, ExportError, export
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.wire.urls import Target
from tests.inspector.conftest import GEMINI, TOOLS

TARGET = Target("v1", "demo", "us-central1", "openapi")
HEADERS = [(b"authorization", b"Bearer any"), (b"content-type", b"application/json")]
CALL = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
PICTURE = "data:image/png;base64," + "A" * (LONGEST_TEXT + 8)


def body_of(*messages: Any, **options: Any) -> dict[str, Any]:
    """A chat request."""
    return {"model": GEMINI, "messages": list(messages), **options}


def user(content: Any) -> dict[str, Any]:
    """A user message."""
    return {"role": "user", "content": content}


def exchange_of(
    service: Service, body: Any, target: Target = TARGET, headers: Sequence[tuple[bytes, bytes]] = HEADERS
) -> Exchange:
    """The exchange of one request."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return service.handle(target, b"", headers, data)


REQUESTS: dict[str, dict[str, Any]] = {
    "text": body_of(user("Hello")),
    "parts": body_of(user([{"type": "text", "text": "Hello"}, {"type": "text", "text": " there"}])),
    "system": body_of({"role": "system", "content": "Be brief."}, user("Hello")),
    "developer": body_of({"role": "developer", "content": "Be brief."}, user("Hello")),
    "several turns": body_of(user("Hello"), {"role": "assistant", "content": "Hi"}, user("How are you?")),
    "tools": body_of(user("Oslo?"), tools=TOOLS),
    "tool result": body_of(
        user("Oslo?"),
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "4"},
        tools=TOOLS,
    ),
    "stream": body_of(user("Hello"), stream=True),
    "options": body_of(
        user("Hello"), temperature=0.5, max_tokens=5, stop=["\n"], extra_body={"google": {"cached_content": "x"}}
    ),
    "schema": body_of(user("Hello"), response_format={"type": "json_object"}),
    "picture": body_of(
        user([{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PICTURE}}])
    ),
    "odd letters": body_of(user("tab\t, \x07 bell, 'quotes' \"double\", \\ back, é 🙂\n\n trailing \n")),
    "yaml words": body_of(user("yes")),
    "a number": body_of(user("1e3")),
    "templates": body_of(user("{{ what }} {% is %} {# this #}")),
    "long": body_of(user("word " * 1000)),
}


def neighbours(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Requests that say something else."""
    messages = body["messages"]
    return [
        {**body, "messages": [*messages, {"role": "assistant", "content": "Hm."}, user("And now?")]},
        {**body, "messages": [*messages[:-1], user("Something else entirely")]},
        {**body, "messages": [{"role": "system", "content": "Answer in French."}, *messages]},
        {**body, "model": "google/gemini-2.5-pro"},
        {**body, "stream": not body.get("stream", False)},
        {**body, "tools": [{"type": "function", "function": {"name": "another_tool"}}]},
    ]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_draft_answers_its_request_as_before_and_no_other(name: str) -> None:
    """A draft gives the answer that it was made of, and does not hold for requests that say something else."""
    body = REQUESTS[name]
    reply = 'A "text" with {{ "{{" }} braces,\n  lines  \n# and: more'
    first = build_service([f"rules:\n  - {{name: 'the: rule', reply: {json.dumps(reply)}}}\n"])
    exchange = exchange_of(first, body)
    assert exchange.result == "answer", exchange.outcome
    second = build_service([export("rule", exchange, "http://127.0.0.1", "any")])
    again = exchange_of(second, body)
    assert again.result == "answer"
    assert again.text == exchange.text
    assert again.rule == "the: rule"
    if name in {"picture", "long"}:
        # What is too long to be written into a rule is not asked for.
        return
    for other in neighbours(body):
        if other != body:
            assert exchange_of(second, other).result != "answer", other


@pytest.mark.slow
@settings(max_examples=settings().max_examples * 3 // 5)
@given(text=st.text(min_size=1, max_size=200), said=st.text(max_size=200), turns=st.integers(0, 2))
def test_every_text_survives_the_draft(text: str, said: str, turns: int) -> None:
    """Whatever text a request has, its draft can be read and answers it."""
    text, said = (one.encode("utf-8", "replace").decode() for one in (text, said))
    body = body_of(*([user("a"), {"role": "assistant", "content": said}] * turns), user(text))
    exchange = exchange_of(build_service(["rules:\n  - {reply: {raw: {choices: []}}}\n"]), body)
    assume(exchange.result != "refusal")
    draft = export("rule", exchange, "http://127.0.0.1", "any")
    assert exchange_of(build_service([draft + "\n"]), body).result == "answer"


@pytest.mark.parametrize(
    "reply",
    [
        "{call: get_weather, with: {city: Oslo}}",
        "[{say: Let me see.}, {call: get_weather, with: {city: '{{ \"{{\" }}'}}]",
        "{call: get_weather, with: 'no json'}",
        "{fail: 429}",
        "{fail: resource_exhausted}",
        "{json: {a: [1, null, true]}}",
        "[{think: Hm.}, {say: Yes.}]",
    ],
)
def test_a_draft_repeats_calls_errors_and_thoughts(reply: str) -> None:
    """Calls, errors and JSON come back as they were, streamed or not."""
    body = body_of(user("Oslo?"), tools=TOOLS, extra_body={"google": {"thinking_config": {"include_thoughts": True}}})
    for options in (body, {**body, "stream": True}):
        exchange = exchange_of(build_service([f"rules:\n  - {{reply: {reply}}}\n"]), options)
        again = exchange_of(build_service([export("rule", exchange, "http://x", "any")]), options)
        assert again.status == exchange.status
        assert again.text == exchange.text
        assert shown_calls(again) == shown_calls(exchange)


def shown_calls(exchange: Exchange) -> list[Any]:
    """Names and arguments of the calls of an answer."""
    return [(part["call"], part["arguments"]) for part in read_answer(exchange)["parts"] if "call" in part]


def test_a_curl_command_has_the_same_body() -> None:
    """A shell reads the body that was sent, and headers that change answers are kept."""
    service = build_service(["rules:\n  - {reply: Hi}\n"])
    body = body_of(user('it\'s "quoted" $HOME `x` \\ é'), stream=True)
    exchange = exchange_of(service, body, headers=[*HEADERS, (b"x-vertex-ai-llm-request-type", b"dedicated")])
    words = shlex.split(export("curl", exchange, "http://127.0.0.1:8080", "any"))
    assert words[:2] == ["curl", f"http://127.0.0.1:8080{TARGET.path}"]
    assert json.loads(words[words.index("-d") + 1]) == body
    assert "Authorization: Bearer any" in words
    assert "x-vertex-ai-llm-request-type: dedicated" in words
    assert "Authorization" not in export("curl", exchange, "http://127.0.0.1:8080", "off")
    assert "$OPENAI_API_KEY" in export("curl", exchange, "http://127.0.0.1:8080", "issued")


@pytest.mark.parametrize("form", EXPORTS)
def test_no_secret_is_copied(form: str) -> None:
    """Keys in headers, texts and fields are left out."""
    key = "AIza" + "b" * 35
    service = build_service(["rules:\n  - {reply: Hi}\n"])
    headers = [*HEADERS, (b"x-goog-api-key", key.encode()), (b"x-emulator-token", key.encode())]
    exchange = exchange_of(
        service, body_of(user(f"my key is {key}"), metadata={"api_key": "hunter2hunter2"}), headers=headers
    )
    text = export(form, exchange, "http://127.0.0.1", "any")
    assert key not in text
    assert "hunter2" not in text


def test_programs_are_python_for_every_route() -> None:
    """What is copied compiles, whatever route was asked."""
    service = build_service(["rules:\n  - {reply: Hi}\n"], Settings(auth="issued"))
    for method, body in (
        ("chat/completions", body_of(user("Hello"), top_k=3, google={"x": 1})),
        ("embeddings", {"model": "google/gemini-embedding-001", "input": ["a", "b"]}),
        ("completions", {"model": GEMINI, "prompt": "Hello"}),
        ("responses", {"model": GEMINI, "input": "Hello"}),
    ):
        exchange = exchange_of(service, body, TARGET._replace(method=method))
        text = export("python", exchange, "http://127.0.0.1", "issued")
        compile(text, "copied.py", "exec")
        assert 'os.environ["OPENAI_API_KEY"]' in text


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"[]", b'"text"', b'{"messages": "x"}', b'{"messages": [1]}', b"\xff\xfe"]
)
def test_what_cannot_be_copied_says_why(body: bytes) -> None:
    """A body that is no chat request gives a text or a reason, never an exception."""
    exchange = exchange_of(build_service(["rules:\n  - {reply: Hi}\n"]), body)
    for form in EXPORTS:
        if form == "curl":
            assert export(form, exchange, "http://127.0.0.1", "any").startswith("curl http://127.0.0.1/v1/")
            continue
        with suppress(ExportError):
            assert export(form, exchange, "http://127.0.0.1", "any")
