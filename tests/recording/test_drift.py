"""Recordings sent again: what has changed in shape, and what is not compared."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from emulator.api.emulator import Emulator
from emulator.catalogue.quirks import QuirkName
from emulator.errors import StartError
from emulator.recording.drift import Drift, DriftCheck, cost_of_recording, project_of
from emulator.recording.recording import Frame, RecordedAnswer, RecordedExchange, RecordedRequest
from emulator.recording.sender import Sender
from emulator.server.settings import Settings

PATH = "/v1/projects/PROJECT/locations/global/endpoints/openapi/chat/completions"
SCENARIO = Path(__file__).parents[2] / "scenarios" / "attest.yaml"
STORY = {
    "model": "google/gemini-3.8-flash",
    "messages": [{"role": "user", "content": "Write three sentences about the sea."}],
}
Check = Callable[..., list[Drift]]


def request(**more: Any) -> RecordedRequest:
    """A request as it stands in a recording."""
    body = json.dumps(STORY | more).encode()
    return RecordedRequest("POST", "aiplatform.googleapis.com", PATH, "", (("content-type", "application/json"),), body)


REQUESTS = (request(), request(stream=True), request(n=9))


def record(*requests: RecordedRequest, **settings: Any) -> list[RecordedExchange]:
    """Record what an emulator answers."""
    with (
        Emulator(SCENARIO, settings=Settings(fallback="default", **settings)) as emulator,
        Sender(emulator.url) as sender,
    ):
        answers = [sender.send(replace(one, headers=(*one.headers, ("authorization", "Bearer t")))) for one in requests]
    return [
        RecordedExchange(number, datetime(2026, 11, 1, tzinfo=UTC), one, answer)
        for number, (one, answer) in enumerate(zip(requests, answers, strict=True), start=1)
    ]


def check(exchanges: list[RecordedExchange], **settings: Any) -> list[Drift]:
    """Send the requests of a recording to an emulator."""
    with (
        Emulator(SCENARIO, settings=Settings(fallback="default", **settings)) as emulator,
        Sender(emulator.url) as sender,
    ):
        return list(DriftCheck(sender.send, "ya29.some-token", "my-project").run(exchanges))


@pytest.mark.parametrize(
    ("quirks", "changed"),
    [
        ([], {}),
        (["openai_key_order"], {1: "order of body", 2: "order of chunks"}),
        (["object_errors"], {3: "framing"}),
        (["usage_on_every_chunk"], {2: "chunks.usage"}),
        (["no_final_chunk"], {2: "framing"}),
        (["no_traffic_type"], {1: "usage.extra_properties", 2: "last chunk.usage.extra_properties"}),
    ],
)
def test_what_has_changed(quirks: list[QuirkName], changed: dict[int, str]) -> None:
    """Another seed changes nothing, a quirk what it is about."""
    found = check(record(*REQUESTS, seed="then"), seed="now", quirks=frozenset(quirks))
    assert {one.exchange.number: one.changes[0].where for one in found if one.changes} == changed


def test_refusals_are_changes() -> None:
    """What was answered and is refused today, with the text of today."""
    (found,) = check(record(request(model="google/gemini-2.0-flash-001")), models="known")
    assert str(found.changes[0]).startswith("status: expected 200, found 404 (Publisher Model … was not found")


def test_what_did_not_end_is_not_compared() -> None:
    """Its shape is not known."""
    (exchange,) = record(request())
    ends = [replace(exchange, answer=replace(exchange.answer, end=end)) for end in ("left", "cut", "unreachable")]
    assert [one.skipped for one in check(ends)] == [
        "the client had left before its end",
        "the answer had been broken off",
        "no answer had come",
    ]
    assert cost_of_recording(ends).requests == 0


def test_requests_ask_in_the_name_of_the_user() -> None:
    """The placeholder of the project is replaced in path, headers and body, the credentials are the user's."""
    one = request(extra_body={"google": {"cached_content": "projects/PROJECT/locations/global/cachedContents/1"}})
    one = replace(one, headers=(*one.headers, ("x-goog-user-project", "redacted-project-2")))
    sent = DriftCheck(lambda _request: RecordedAnswer(0, (), 0.0, (), "unreachable", 0.0), "t", "my-project").prepare(
        one
    )
    assert sent.path == PATH.replace("PROJECT", "my-project")
    assert b'"projects/my-project/locations' in sent.body
    assert sent.headers[-2:] == (("x-goog-user-project", "my-project"), ("authorization", "Bearer t"))
    assert (
        project_of([RecordedExchange(1, datetime.now(UTC), one, RecordedAnswer(0, (), 0, (), "cut", 0))]) == "PROJECT"
    )


def test_what_it_costs() -> None:
    """As it did when it was recorded."""
    cost = cost_of_recording(record(*REQUESTS))
    assert cost.requests == 3
    assert cost.tokens > 100
    assert 0 < cost.dollars < 0.1


def test_silence_ends_the_check() -> None:
    """After several requests without an answer no more are sent."""
    exchanges = record(request()) * 9
    silent = RecordedAnswer(0, (), 0.0, (Frame(0.0, b"cannot reach it"),), "unreachable", 0.0)
    run = DriftCheck(lambda _request: silent, "t").run(exchanges)
    found = [next(run) for _ in range(5)]
    assert [str(one.changes[0]) for one in found] == ["status: expected 200, found cannot reach it"] * 5
    with pytest.raises(StartError, match=r"no answer came 5 times in a row \(cannot reach it\)"):
        next(run)
