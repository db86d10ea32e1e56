"""Requests that are remembered."""

import json
from typing import Any

import pytest

from emulator import Emulator
from emulator.engine.facts import Facts
from emulator.server.readings import LARGEST_READING, MOST_READINGS, Readings
from emulator.wire.requests import MalformedRequestError
from emulator.wire.targets import Target

TARGET = Target("v1", "p", "global", "openapi")


def body(text: str) -> bytes:
    """A request."""
    return json.dumps({"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": text}]}).encode()


def test_the_same_request_is_read_once() -> None:
    """Another body, header, target or endpoint makes another request of it; large ones are read each time."""
    readings = Readings(strict_json=False)
    first = readings.read(TARGET, [(b"a", b"b")], body("hi"), None)
    assert readings.read(TARGET, [(b"a", b"b")], body("hi"), None) is first
    others = [
        readings.read(TARGET, [(b"a", b"c")], body("hi"), None),
        readings.read(TARGET, [(b"a", b"b")], body("ho"), None),
        readings.read(Target("v1", "q", "global", "openapi"), [(b"a", b"b")], body("hi"), None),
    ]
    assert all(other[0] is not first[0] for other in others)
    large = body("x" * LARGEST_READING)
    assert readings.read(TARGET, [], large, None)[0] is not readings.read(TARGET, [], large, None)[0]


def test_they_are_bounded() -> None:
    """The one unused for longest is read anew."""
    readings = Readings(strict_json=False)
    first = readings.read(TARGET, [], body("first"), None)
    for number in range(MOST_READINGS):
        readings.read(TARGET, [], body(str(number)), None)
    assert readings.read(TARGET, [], body("first"), None) is not first


def test_what_cannot_be_read_is_told_each_time() -> None:
    """A body that is no JSON leaves nothing behind."""
    readings = Readings(strict_json=False)
    for _ in range(2):
        with pytest.raises(MalformedRequestError):
            readings.read(TARGET, [], b"{", None)


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
