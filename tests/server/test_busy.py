"""What takes long, one client's schema or template or a scenario that is read, leaves others their answers."""

import http.client
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.target import Target, running_server

SHARED = "/v1/projects/fuzz/locations/us-central1/endpoints/openapi"
HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer x"}
LONGEST_WAIT = 1.5
"""Seconds that a health check may take; less than 0.1 on a machine that does nothing else."""
DEPTH = 30


def _doubling(step: Any, last: Any) -> dict[str, Any]:
    """A schema whose steps each lead to the next one twice."""
    steps = {f"d{at}": step({"$ref": f"#/$defs/d{at + 1}"}) for at in range(DEPTH)}
    return {"$ref": "#/$defs/d0", "$defs": {**steps, f"d{DEPTH}": last}}


def _two(inner: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": inner, "b": inner}, "required": ["a", "b"]}


LONG = {"type": "string", "minLength": 100_000}
SCHEMAS = {
    "value beside a pattern": {"const": "a" * 60 + "!", "pattern": "^(a+)+$"},
    "two patterns": {"type": "string", "allOf": [{"pattern": "^a{60}c$"}, {"pattern": "^(a*)*b$"}]},
    "references": {"type": "string", "pattern": r"(a{99999})(\1{99999})"},
    "repeats of nothing": {"type": "string", "pattern": "((((()){99999}){99999}){99999}){99999}"},
    "allOf": _doubling(lambda inner: {"allOf": [inner, inner]}, {"type": "integer"}),
    "anyOf": _doubling(lambda inner: {"anyOf": [inner, inner]}, {"not": {}}),
    "oneOf": _doubling(lambda inner: {"oneOf": [inner, inner]}, {"type": "integer"}),
    "required": _doubling(_two, {"type": "integer"}),
    "items": _doubling(lambda inner: {"type": "array", "items": inner, "minItems": 2}, {"type": "integer"}),
    "disjoint enums": {"allOf": [{"enum": list(range(20_000))}, {"enum": list(range(20_000, 40_000))}]},
    "100 MB": {"type": "array", "minItems": 1000, "items": LONG},
    "numbers": {"type": "array", "minItems": 1000, "items": {"type": "array", "minItems": 1000, "items": {"type": "integer"}}},
    "properties": {"type": "object", "properties": {f"f{at}": {"type": "string"} for at in range(20_000)}},
}  # fmt: skip
TEMPLATES = [
    "{% set ns = namespace(t=()) %}{% for i in range(99999) %}{% set ns.t = (ns.t,) %}{% endfor %}{{ {ns.t: 1} }}",
    "{% for i in range(100000) %}{{ fake.name() }}{% endfor %}",
    "{% for i in range(100000) %}{{ '%s-%s' % (i, i) }}{% endfor %}",
    "{% for i in range(100000) %}{{ {'a': i} | tojson }}{% endfor %}",
    "{{ range(90000) | map('string') | map('upper') | list | tojson | length }}",
    "{{ ('x' * 1000000).join(range(3000) | map('string')) | length }}",
    "{{ [(1,) | tojson(99999) | batch(2) | list] | tojson(99999) }}",
    "{{ (1,) | tojson(99999) | batch(2) | list | tojson(99999) | tojson(99999) }}",
]


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """A server whose health another client asks for all the time."""
    with running_server() as running:
        yield running


def _cpu(target: Target) -> float:
    """Seconds of processor time that the server has had."""
    fields = Path(f"/proc/{target.process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _others_are_answered(target: Target) -> Iterator[None]:
    target.slowest_health = 0.0
    yield
    target.check()
    assert target.slowest_health < LONGEST_WAIT


def _ask(target: Target, **more: Any) -> tuple[int, bytes]:
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}], **more}
    answer = target.send("POST", f"{SHARED}/chat/completions", json.dumps(body).encode(), HEADERS)
    return answer.status, answer.body


def _push(target: Target, text: str) -> int:
    return target.send("PUT", "/__emulator__/scenario?session=fuzz", text.encode(), {}).status


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processor time is read from /proc")
@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_holds_nobody_up(target: Target, name: str) -> None:
    """A value, or a 418 that says why there is none, for a bounded time of work."""
    target.send("DELETE", "/__emulator__/scenario?session=fuzz", b"", {})
    before = _cpu(target)
    with _others_are_answered(target):
        wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMAS[name]}}
        status, body = _ask(target, response_format=wanted)
    assert status == 200 or (status == 418 and b"rule_failed" in body)
    assert _cpu(target) - before < 2


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processor time is read from /proc")
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_holds_nobody_up(target: Target, template: str) -> None:
    """A 418 that says that it does too much; neither reading nor filling it takes long."""
    before = _cpu(target)
    with _others_are_answered(target):
        assert _push(target, json.dumps({"rules": [{"reply": template}]})) == 204
        status, body = _ask(target)
    assert (status, b"rule_failed" in body) == (418, True)
    assert _cpu(target) - before < 2


WORDS = "lorem ipsum dolor " * 58_000
TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}},
}
MESSAGES = [{"role": "user", "content": "Hello"}]
CHAT = f"{SHARED}/chat/completions"
# Rules, the path, and a body that they keep busy.
REQUESTS: dict[str, tuple[Any, str, Any]] = {
    "regular expressions": ([{"last_user": {"regex": f"lo.*z{at}"}} for at in range(500)], CHAT, {"content": WORDS}),
    "regular expressions that only Python reads": (
        [{"last_user": {"regex": f"(?!z)\\w+\\s{at}"}} for at in range(12)],
        CHAT,
        {"content": WORDS},
    ),
    "regular expressions and a small body": (
        [{"last_user": {"regex": f"(?!z)\\w+\\s*{at}"}} for at in range(40)],
        CHAT,
        {"content": "a" * 2000},
    ),
    "rules without texts": ([{"turn": at + 2} for at in range(2000)], CHAT, {}),
    "tools": ([], CHAT, {"tools": [TOOL] * 33_000}),
    "too many tools": ([], CHAT, {"tools": [TOOL] * 60_000}),
    "tools, fewer": ([], CHAT, {"tools": [TOOL] * 20_000}),
    "messages": ([], CHAT, {"messages": MESSAGES * 99_000}),
    "parts": ([], CHAT, {"content": [{"type": "text", "text": "a"}] * 80_000}),
    "unknown values": ([], CHAT, {"x": [{"a": at} for at in range(149_000)]}),
    "too many values": ([], CHAT, {"x": [{}] * 3_000_000}),
    "a long text": ([], CHAT, {"content": WORDS * 15}),
    "inputs": (
        [],
        f"{SHARED.replace('us-central1', 'global')}/responses",
        {"model": "xai/grok-4.20-reasoning", "input": MESSAGES * 40_000},
    ),
    "prompts of a wrong type": ([], f"{SHARED}/completions", {"prompt": [["a"]] * 60_000}),
}


def _send(target: Target, method: str, path: str, body: bytes = b"") -> int:
    """The status of an answer that may take its time."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=120)
    try:
        connection.request(method, path, body, HEADERS)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


@pytest.mark.parametrize("name", REQUESTS)
def test_a_large_request_holds_nobody_up(target: Target, name: str) -> None:
    """Whatever its answer is; nor do the journal, the verdicts and the page that show it."""
    conditions, path, given = REQUESTS[name]
    more = dict(given)
    assert (
        _push(target, json.dumps({"rules": [{"when": when, "reply": "a"} for when in conditions] or [{"reply": "b"}]}))
        == 204
    )
    body = {
        "model": "google/gemini-2.5-flash",
        "messages": [{"role": "user", "content": more.pop("content", "Hello")}],
        **more,
    }
    written = json.dumps(body).encode()
    with _others_are_answered(target):
        assert _send(target, "POST", path, written) in {200, 400, 418}
    with _others_are_answered(target):
        for shown in ("journal?limit=1", "verdicts", "verify", "explain?number=1", "inspector/clients"):
            assert _send(target, "GET", f"/__emulator__/{shown}") in {200, 400, 404}
    _send(target, "POST", "/__emulator__/reset")


def test_ordinary_schemas_and_templates_are_far_from_the_bounds(target: Target) -> None:
    """A hundred records of ten required properties, by a schema and by a template."""
    target.send("DELETE", "/__emulator__/scenario?session=fuzz", b"", {})
    types = ("string", "integer", "boolean", "number")
    properties = {f"field_{at}": {"type": types[at % 4]} for at in range(10)}
    record = {"type": "object", "properties": properties, "required": list(properties)}
    schema = {"type": "array", "minItems": 100, "items": record}
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    status, body = _ask(target, response_format=wanted)
    assert status == 200, body
    assert len(json.loads(json.loads(body)["choices"][0]["message"]["content"])) == 100
    fields = " ".join("{{ fake.word() }}" for _ in range(10))
    assert (
        _push(target, json.dumps({"rules": [{"reply": f"{{% for i in range(100) %}}{fields}\n{{% endfor %}}"}]})) == 204
    )
    status, body = _ask(target)
    assert status == 200, body


@pytest.mark.parametrize(
    "text",
    ["rules:\n" + "- reply: a\n" * 5_000, "rules:\n- reply: a\n" + "".join(f"  k{at}: 1\n" for at in range(10_000))],
)
def test_requests_are_answered_while_a_scenario_is_read(target: Target, text: str) -> None:
    """A push that takes seconds leaves others their turns."""
    statuses: list[int] = []

    def push() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=120)
        connection.request("PUT", "/__emulator__/scenario?session=other", text.encode())
        statuses.append(connection.getresponse().status)
        connection.close()

    pushing = threading.Thread(target=push)
    waits: list[float] = []
    target.slowest_health = 0.0
    pushing.start()
    while pushing.is_alive():
        begin = time.monotonic()
        assert _ask(target)[0] == 200
        waits.append(time.monotonic() - begin)
        pushing.join(0.05)
    assert statuses in ([204], [400])
    assert len(waits) > 2
    assert max(*waits, target.slowest_health) < LONGEST_WAIT


@pytest.mark.slow
def test_the_journal_is_written_while_others_are_answered(target: Target) -> None:
    """Large requests in it hold up nobody who asks for something else."""
    for number in range(8):
        _ask(target, metadata={"a": "b"}, x=[{"a": number, "k": str(at)} for at in range(30_000)])
    with _others_are_answered(target):
        answer = target.send("GET", "/__emulator__/journal", b"", {})
    exchanges = json.loads(answer.body)["exchanges"]
    assert len(answer.body) > 1_000_000
    assert [exchange["position"] for exchange in exchanges] == sorted(exchange["position"] for exchange in exchanges)
