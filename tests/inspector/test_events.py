"""The event stream: rows in order, once each, without their words when they come fast."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from emulator import Emulator
from emulator.engine.ruleset import compile_rules
from emulator.inspector.rows import MAX_READ_BODY, WORDS, make_row
from emulator.scenario.loading import read_text
from emulator.store.exchange import Exchange
from emulator.store.redis import RedisStore
from tests.inspector.conftest import GEMINI, Ask, asker


@contextmanager
def events(vertex: Emulator, last_id: str = "") -> Iterator[Iterator[tuple[str, str, Any]]]:
    """The events of a stream: name, id and data."""
    headers = {"last-event-id": last_id} if last_id else {}
    with httpx.stream("GET", f"{vertex.url}/__emulator__/events", headers=headers, timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield parse(answer.iter_lines())


def parse(lines: Iterator[str]) -> Iterator[tuple[str, str, Any]]:
    """Server-sent events, by the rules of the HTML standard that are used here."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield fields["event"], fields.get("id", ""), json.loads(fields["data"])
            fields = {}


def rows_of(found: Iterator[tuple[str, str, Any]], count: int) -> tuple[list[dict[str, Any]], str]:
    """The next rows, and the id of the last event."""
    rows: list[dict[str, Any]] = []
    last = ""
    while len(rows) < count:
        name, id_, data = next(found)
        if name == "exchanges":
            rows += data["rows"]
            last = id_
    return rows, last


def test_rows_come_in_order_and_a_stream_is_taken_up_where_it_broke(vertex: Emulator, ask: Ask) -> None:
    """A client that comes back with its last event gets what it has missed, and a new one everything."""
    ask("Hello")
    ask("What time is it?")
    with events(vertex) as found:
        assert next(found)[0] == "hello"
        rows, last = rows_of(found, 2)
        assert [(row["number"], row["outcome"], row["asked"]) for row in rows] == [
            (1, "answer", "Hello"),
            (2, "miss", "What time is it?"),
        ]
        ask("Hello again")
        rows, last = rows_of(found, 1)
        assert rows[0]["number"] == 3
    ask("Hello at last")
    with events(vertex, last) as found:
        assert [row["number"] for row in rows_of(found, 1)[0]] == [4]
    with events(vertex, "another-2") as found:
        assert [row["number"] for row in rows_of(found, 4)[0]] == [1, 2, 3, 4]


def test_requests_that_lead_nowhere_have_rows(vertex: Emulator, ask: Ask) -> None:
    """In their turn, with what was asked for and what was probably meant."""
    ask("Hello")
    assert httpx.get(f"{vertex.url}/v1/models?key=hush").status_code == 404
    with events(vertex) as found:
        row = rows_of(found, 2)[0][1]
    assert (row["outcome"], row["status"], row["asked"]) == ("unrouted", 404, "GET /v1/models")
    assert row["answered"].startswith("no such path: this endpoint does not list its models")
    shown = httpx.get(f"{vertex.url}/__emulator__/inspector/exchanges/{row['number']}").json()
    assert shown["row"] == row
    assert "hush" not in json.dumps(shown)
    assert httpx.get(f"{vertex.url}/__emulator__/inspector/exchanges/{row['number']}/curl").status_code == 404


def test_many_exchanges_at_once_come_without_their_words() -> None:
    """Rows of a crowd are all there, most of them brief, and can be completed."""
    body = {"model": GEMINI, "messages": [{"role": "user", "content": "hello"}]}
    with Emulator("rules: [{name: greet, reply: Hi}]\n") as vertex:
        with httpx.Client(headers={"authorization": "Bearer any"}) as client:
            for _ in range(300):
                client.post(f"{vertex.session('demo').base_url}/chat/completions", json=body)
        with events(vertex) as found:
            rows, _ = rows_of(found, 300)
        assert [row["number"] for row in rows] == list(range(1, 301))
        assert {row["rule"] for row in rows} == {"greet"}
        assert rows[-1]["brief"]
        completed = httpx.get(f"{vertex.url}/__emulator__/inspector/rows?numbers=299,300").json()["rows"]
        assert [row["asked"] for row in completed] == ["hello", "hello"]


def test_a_new_ruleset_and_its_problems_are_told(vertex: Emulator) -> None:
    """Whoever shows rules hears when they have changed."""
    with events(vertex) as found:
        names = [next(found) for _ in range(2)]
        assert [name for name, _, _ in names] == ["hello", "rules"]
        vertex.service.ruleset = compile_rules(read_text("rules: [{reply: Hi}]").scenarios)
        assert next(found) == ("rules", "", {"rules": 1, "problems": 0})
        vertex.service.reload_problems = ("one", "two")
        assert next(found) == ("rules", "", {"rules": 1, "problems": 2})


def test_nobody_looking_costs_nothing(vertex: Emulator, ask: Ask) -> None:
    """Without a stream, nothing is called for an exchange; with one, nothing either: the journal is read."""
    assert vertex.service.on_exchange == []
    ask("Hello")
    with events(vertex) as found:
        rows_of(found, 1)
        assert vertex.service.on_exchange == []


@pytest.mark.parametrize("size", [10, MAX_READ_BODY * 3])
def test_rows_are_short_whatever_is_asked(vertex: Emulator, ask: Ask, size: int) -> None:
    """A long request is not read for its row, but its model is found; a secret is not shown."""
    key = "AIza" + "b" * 35
    ask(f"{key} {'x' * size}")
    row = make_row(vertex.service.journal.entries[-1])
    assert row["model"] == GEMINI
    assert len(row["asked"]) <= WORDS
    assert len(row["answered"]) <= WORDS
    assert key not in json.dumps(row)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"x"',
        b"{",
        b"\xff",
        b'{"messages": 5}',
        b'{"messages": [5, {"role": "user", "content": 5}]}',
        b'{"model": 5, "input": [[1]]}',
        b'{"messages": [{"role": "user", "content": [5, {"text": 5}]}]}',
    ],
)
def test_whatever_a_body_is_it_has_a_row_and_a_view(vertex: Emulator, body: bytes) -> None:
    """Rows and views are made of what requests should be and of what they should not."""
    with httpx.Client(verify=False) as client:  # noqa: S501  # plain HTTP; to load certificates takes longest
        for method in ("chat/completions", "embeddings", "completions", "responses"):
            url = f"{vertex.session('demo').base_url}/{method}"
            client.post(url, content=body, headers={"authorization": "Bearer any"})
        numbers = [entry.number for entry in vertex.service.journal.entries if isinstance(entry, Exchange)]
        assert len(numbers) == 4
        for number in numbers:
            answer = client.get(f"{vertex.url}/__emulator__/inspector/exchanges/{number}")
            assert answer.status_code == 200, answer.text
            assert answer.json()["row"]["number"] == number
            for form in ("curl", "python", "rule", "test"):
                assert client.get(f"{vertex.url}/__emulator__/inspector/exchanges/{number}/{form}").status_code in {
                    200,
                    409,
                }


def test_the_exchanges_of_all_processes_are_shown(redis_url: str) -> None:
    """With a shared store, a stream of one server has the rows of another."""
    servers = [Emulator("rules: [{name: greet, reply: Hi}]\n") for _ in range(2)]
    for server in servers:
        service = server.service
        service.store = RedisStore(redis_url, service.sessions, service.journal, namespace="page")
    with servers[0] as one, servers[1] as other:
        asker(one)("first")
        with events(one) as found:
            assert [row["asked"] for row in rows_of(found, 1)[0]] == ["first"]
            asker(other)("second")
            rows, last = rows_of(found, 1)
            assert [row["asked"] for row in rows] == ["second"]
        asker(other)("third")
        with events(other, last) as found:
            assert [row["asked"] for row in rows_of(found, 1)[0]] == ["third"]
        number = rows[0]["number"]
        shown = httpx.get(f"{one.url}/__emulator__/inspector/exchanges/{number}").json()
        assert "content-type" in {name for name, _ in shown["request_headers"]}
        assert "authorization" not in {name for name, _ in shown["request_headers"]}
