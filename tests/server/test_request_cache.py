"""Requests that are remembered."""

import json
from http.client import HTTPConnection
from typing import Any

import pytest

from emulator.api.emulator import Emulator
from emulator.catalogue.variations import Variation
from emulator.engine.request.facts import Facts
from emulator.scenario.rules import Endpoint
from emulator.server.request_cache import LARGEST_READING, MOST_BYTES, MOST_READINGS, Readings
from emulator.server.settings import Settings
from emulator.wire.requests import MalformedRequestError
from emulator.wire.urls import Target

TARGET = Target("v1", "p", "global", "openapi")


def body(text: str) -> bytes:
    """A request."""
    return json.dumps({"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": text}]}).encode()


def test_the_same_request_is_read_once() -> None:
    """Another body, header, query or target makes another request of it; large ones are read each time."""
    readings = Readings(strict_json=False)
    first = readings.find(TARGET, b"", [(b"a", b"b")], body("hi"))
    assert readings.find(TARGET, b"", [(b"a", b"b")], body("hi")) is first
    others = [
        readings.find(TARGET, b"", [(b"a", b"c")], body("hi")),
        readings.find(TARGET, b"", [(b"a", b"b")], body("ho")),
        readings.find(TARGET, b"key=1", [(b"a", b"b")], body("hi")),
        readings.find(Target("v1", "q", "global", "openapi"), b"", [(b"a", b"b")], body("hi")),
    ]
    assert all(other is not first for other in others)
    large = body("x" * LARGEST_READING)
    assert readings.find(TARGET, b"", [], large) is not readings.find(TARGET, b"", [], large)


def test_what_a_scenario_says_of_an_endpoint_is_asked_anew() -> None:
    """The facts are kept for as long as the endpoint is the same."""
    received = Readings(strict_json=False).find(TARGET, b"", [], body("hi"))
    one, two = Endpoint(family="vllm"), Endpoint(family="vllm")
    first = received.read_chat(one)
    assert received.read_chat(one) is first
    assert received.read_chat(two)[0].endpoint is two


@pytest.mark.parametrize(
    ("size", "remembered"), [(1, MOST_READINGS), (LARGEST_READING - 200, MOST_BYTES // LARGEST_READING)]
)
def test_they_are_bounded(size: int, remembered: int) -> None:
    """By their number and by the bytes of their bodies; the one unused for longest is read anew."""
    readings = Readings(strict_json=False)
    bodies = [body(f"{number}{'x' * size}") for number in range(remembered + 1)]
    received = [readings.find(TARGET, b"", [], one) for one in bodies]
    assert readings.find(TARGET, b"", [], bodies[1]) is received[1]
    assert readings.find(TARGET, b"", [], bodies[0]) is not received[0]
    # That was the newest, for which the one now unused for longest had to go.
    assert readings.find(TARGET, b"", [], bodies[1]) is received[1]
    assert readings.find(TARGET, b"", [], bodies[2]) is not received[2]


def test_what_cannot_be_read_is_told_each_time() -> None:
    """Of a body that is no JSON."""
    readings = Readings(strict_json=False)
    for _ in range(2):
        with pytest.raises(MalformedRequestError):
            readings.find(TARGET, b"", [], b"{").read_chat(None)


def test_the_same_request_is_judged_anew_by_other_rules() -> None:
    """What Vertex says of a request that is remembered holds as long as the scenario and what surrounds it."""
    path = "/v1/projects/p/locations/global/endpoints/openapi/chat/completions"
    empty = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": ""}]}
    with Emulator("rules: [{reply: one}]\n", settings=Settings(auth="off")) as vertex:
        connection = HTTPConnection(vertex.url.removeprefix("http://"), timeout=30)

        def ask() -> tuple[int, bytes]:
            connection.request("POST", path, json.dumps(empty))
            answer = connection.getresponse()
            return answer.status, answer.read()

        session = vertex.session("p")
        assert ask()[0] == 400
        session.push("vetting: off\nrules: [{reply: two}]\n")
        assert (ask()[0], b"two" in ask()[1]) == (200, True)
        session.push("vetting: off\nrules: [{reply: three}]\n")
        assert b"three" in ask()[1]
        session.reset()
        vertex.service.disturb("p", Variation("bare", "errors are objects", quirks=frozenset({"object_errors"})))
        assert ask()[1].startswith(b"{")
        vertex.reset()
        assert ask()[1].startswith(b"[{")
        connection.close()


def test_functions_may_change_what_they_are_given() -> None:
    """The next request that is the same finds what was sent."""

    def reply(facts: Facts) -> str:
        messages: Any = facts.messages
        return f"{messages.pop()['content']} {len(messages)}"

    with Emulator() as vertex:
        vertex.on(last_user="hello").reply(reply)
        client = vertex.openai()
        said = [
            client.chat.completions.create(
                model="google/gemini-2.5-flash", messages=[{"role": "user", "content": "hello"}]
            )
            .choices[0]
            .message.content
            for _ in range(2)
        ]
    assert said == ["hello 0", "hello 0"]


def test_requests_that_are_asked_alike_have_what_follows_from_it_in_common() -> None:
    """Whatever their messages and their other headers; not those with another parameter, model, target, endpoint or header of Vertex's."""
    readings = Readings(strict_json=False)

    def common(
        messages: int = 1, target: Target = TARGET, endpoint: Endpoint | None = None, header: bytes = b"a", **more: Any
    ) -> int:
        asked = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "hi"}] * messages, **more}
        received = readings.find(target, b"", [(header, b"flex")], json.dumps(asked).encode())
        return id(received.read_chat(endpoint)[0].common)

    own = Endpoint(family="vllm")
    assert common(1) == common(2) == common(3, header=b"b")
    others = [
        common(4),
        common(4, custom=1),
        common(4, custom=True),
        common(4, stream=True),
        common(4, model="google/gemini-3-pro-preview"),
        common(4, target=Target("v1", "q", "global", "openapi")),
        common(4, endpoint=own),
        common(4, endpoint=Endpoint(family="vllm")),
        common(4, header=b"x-vertex-ai-llm-shared-request-type"),
    ]
    assert len({*others}) == len(others)
    assert common(5, endpoint=own) == others[6]


def test_senders_are_told_apart_by_their_headers() -> None:
    """By token, key and host, though others with the same headers are remembered."""
    readings = Readings(strict_json=False)

    def send(*headers: tuple[bytes, bytes], query: bytes = b"") -> tuple[Any, ...]:
        received = readings.find(TARGET, query, [*headers], body(str(len(headers))))
        return received.envelope.credentials, received.sender

    one, two = (b"authorization", b"Bearer one"), (b"authorization", b"Bearer two")
    assert send(one) == send(one, (b"x-request-id", b"1")) != send(two)
    assert send(one)[1] != send(one, (b"host", b"other"))[1]
    assert send(one)[0] != send(one, (b"x-goog-api-key", b"k"))[0]
    assert send(one)[0] != send(one, query=b"key=k")[0]


def test_bodies_that_look_alike_are_told_apart() -> None:
    """Long ones are looked up by a sample of their bytes, and the last of those that have the same is remembered."""
    readings = Readings(strict_json=False)
    bodies = [body("x" * 10_000 + letter + "x" * 10_000) for letter in "abcdefghijklmnop"]
    for _ in range(2):
        for one in bodies:
            received = readings.find(TARGET, b"", [], one)
            assert received.body == one
            assert readings.find(TARGET, b"", [], one) is received
