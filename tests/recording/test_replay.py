"""Replay: the recorded bytes for the same request, and a miss with the nearest one for any other."""

import asyncio
import http.client
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from emulator import Emulator
from emulator.api.emulator import build_service
from emulator.engine.session import State
from emulator.errors import StartError
from emulator.recording.loading import load_rules
from emulator.recording.recording import Frame, Recording, read_exchange, read_manifest, write_exchange, write_manifest
from emulator.server.clock import SystemClock
from emulator.server.explaining import explain_exchange
from emulator.server.lifetime import kill_with_parent
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.store.private_redis import private_redis
from emulator.store.redis import RedisStore
from emulator.wire.urls import Target

RecordRequests = Callable[..., Path]
TARGET = Target("v1", "other", "global", "openapi")
SCENARIO = """
defaults: {pace: {first_token_ms: 200, every_ms: 100}}
rules:
- when: {last_user: flaky}
  sequence: [{fail: 429}, Third time lucky., And again.]
- when: {last_user: cut}
  reply: [{say: ["One. ", "Two. "]}, {cut: close}]
- when: {last_user: leave}
  reply: [{say: ["One. ", "Two. "]}, {stall: forever}]
- when: {last_user: reset}
  reply: Never seen.
  fault: reset_before_headers
- reply: {say: ["Hello ", "there, ", "you."]}
"""


def ask(text: str, **fields: Any) -> dict[str, Any]:
    """A chat request."""
    return {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": text}], **fields}


def send(service: Service, body: Any, target: Target = TARGET) -> Exchange:
    """Send a request to a service below HTTP."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    exchange = service.handle(target, b"", [(b"authorization", b"Bearer token")], data)
    service.finish(exchange)
    return exchange


def bodies_of(folder: Path) -> list[bytes]:
    """The recorded answers' bodies."""
    return [exchange.answer.body for exchange in Recording.read(folder).exchanges]


def repeat(folder: Path, repeats: str) -> None:
    """Say in the manifest what answers a request that is sent once more."""
    write_manifest(folder, replace(read_manifest(folder), repeats=repeats))


def test_the_same_bytes_at_the_recorded_times(record_answers: RecordRequests) -> None:
    """Status, frames, ids and times are the recorded ones, at any project and location."""
    folder = record_answers(SCENARIO, [ask("hello", stream=True), ask("hello"), ask("flaky")])
    service = build_service([folder])
    for exchange in Recording.read(folder).exchanges:
        timeline = send(service, exchange.request.body).outcome.timeline
        answer = exchange.answer
        assert timeline.status == answer.status
        assert [(frame.at, frame.data) for frame in timeline.frames] == [(one.at, one.data) for one in answer.frames]
        assert (timeline.head_at, timeline.end_at) == (answer.head_at, answer.ended_at)


@pytest.mark.parametrize(
    ("repeats", "statuses"),
    [
        ("", [429, 200, 200, 200, 200]),
        ("last", [429, 200, 200, 200, 200]),
        ("loop", [429, 200, 200, 429, 200]),
        ("never", [429, 200, 200, 418, 418]),
    ],
)
def test_repeated_requests_answer_in_their_order(
    record_answers: RecordRequests, repeats: str, statuses: list[int]
) -> None:
    """Then the last one again, all from the first on, or none."""
    folder = record_answers(SCENARIO, [ask("flaky")] * 3)
    repeat(folder, repeats)
    service = build_service([folder])
    exchanges = [send(service, ask("flaky")) for _ in statuses]
    assert [one.status for one in exchanges] == statuses
    recorded = bodies_of(folder)
    assert [one.outcome.timeline.body for one in exchanges[:3]] == recorded
    if repeats != "never":
        assert exchanges[3].outcome.timeline.body == recorded[0 if repeats == "loop" else 2]
    else:
        assert "has this request 3 times" in exchanges[3].outcome.report


def test_another_session_and_a_reset_begin_again(record_answers: RecordRequests) -> None:
    """How often a request was answered is kept for each session."""
    service = build_service([record_answers(SCENARIO, [ask("flaky"), ask("flaky")])])
    assert [send(service, ask("flaky")).status for _ in range(3)] == [429, 200, 200]
    assert send(service, ask("flaky"), TARGET._replace(project="third")).status == 429
    service.reset("other")
    assert send(service, ask("flaky")).status == 429


def test_a_prompt_with_another_time_takes_the_next_answer(record_answers: RecordRequests) -> None:
    """Prompts that differ in their times only are answered in the recorded order, each once before one is repeated."""
    folder = record_answers(SCENARIO, [ask(f"It is 2026-11-28T10:00:0{second}Z: flaky") for second in range(3)])
    service = build_service([folder])
    answers = [send(service, ask(f"It is 2027-01-01T00:00:0{second}Z: flaky")) for second in range(4)]
    recorded = bodies_of(folder)
    assert [one.outcome.timeline.body for one in answers] == [*recorded, recorded[-1]]
    # One that is exactly a recorded one gets its answer.
    assert send(service, ask("It is 2026-11-28T10:00:01Z: flaky")).outcome.timeline.body == recorded[1]


def test_a_miss_shows_the_nearest_request(record_answers: RecordRequests) -> None:
    """A prompt that was not recorded never gets the answer to another one."""
    long = "Tell me about the history of the city of Oslo, and be brief, please."
    folder = record_answers(SCENARIO, [ask("hello"), ask(long, temperature=0.5), ask("flaky")])
    exchange = send(build_service([folder]), ask(long.replace("Oslo", "Bergen"), stream=True))
    assert exchange.outcome.result == "miss"
    assert exchange.status == 418
    assert json.loads(exchange.outcome.timeline.body)["error"]["code"] == "not_recorded"
    place = exchange.outcome.report.split("\n")[1].partition(", ")[2]
    assert exchange.outcome.report == (
        'no request of the recording "everyday" is the same as this one\n'
        f'nearest: "exchange 2", {place}\n'
        '  messages[0].content  MISS  recorded "…tory of the city of Oslo, and be brief, please.", '
        'got "…tory of the city of Bergen, and be brief, please."\n'
        "  temperature          MISS  recorded 0.5, got nothing\n"
        "  stream               MISS  recorded nothing, got true\n"
        "and 2 more"
    )
    assert Path(place.partition(":")[0]).name == "0002.yaml"


def test_a_miss_without_any_exchange(record_answers: RecordRequests) -> None:
    """An empty recording says that it is empty."""
    exchange = send(build_service([record_answers(SCENARIO, [])]), ask("hello"))
    assert exchange.outcome.report.endswith("it has no exchanges")


def test_rules_answer_what_is_not_recorded(record_answers: RecordRequests) -> None:
    """Scenarios beside a recording, and the built-in default, answer its misses; they are named in what remains a miss."""
    folder = record_answers(SCENARIO, [ask("hello")])
    service = build_service([folder, "rules:\n- when: {last_user: news}\n  reply: None."])
    assert [send(service, ask(text)).text for text in ("hello", "news")] == ["Hello there, you.", "None."]
    assert "no request of the recording" in send(service, ask("other")).outcome.report
    lenient = build_service([folder], Settings(fallback="default"))
    assert send(lenient, ask("Good morning")).outcome.result == "answer"


def test_what_the_service_refused_is_replayed(record_answers: RecordRequests) -> None:
    """Refusals, bodies that cannot be read and other routes are answered as recorded, before anything is checked."""
    folder = record_answers(SCENARIO, [ask("hello", n=99)])
    path = folder / "0001.yaml"
    exchange = read_exchange(path)
    odd = replace(exchange, number=2, request=replace(exchange.request, body=b"{no json"))
    write_exchange(folder, odd)
    native = "/v1/projects/redacted-project-1/locations/global/publishers/google/models/gemini:generateContent"
    write_exchange(folder, replace(exchange, number=3, request=replace(exchange.request, path=native, body=b"{}")))
    service = build_service([folder])
    assert exchange.answer.status == 400
    for body in (exchange.request.body, b"{no json"):
        found = send(service, body)
        assert (found.status, found.outcome.timeline.body) == (400, exchange.answer.body)
        assert found.outcome.result == "answer"
    with Emulator(folder) as vertex:
        for native_path, status in (
            (native.replace("redacted-project-1", "p"), 400),
            (native.replace("gemini:", "other:"), 404),
        ):
            connection = http.client.HTTPConnection(vertex.url.partition("//")[2])
            connection.request("POST", native_path, b"{}", {"authorization": f"Bearer {vertex.api_key}"})
            assert connection.getresponse().status == status
            connection.close()
        assert len(vertex.unrouted) == 1


def test_credentials_are_still_checked(record_answers: RecordRequests) -> None:
    """A request without a bearer gets a recorded refusal of it, else the usual one."""
    folder = record_answers(SCENARIO, [ask("hello")])
    exchange = read_exchange(folder / "0001.yaml")
    refused = replace(
        exchange.answer, status=401, frames=(Frame(0.0, b'[{"error": {"code": 401, "message": "No."}}]'),)
    )
    write_exchange(folder, replace(exchange, number=2, answer=refused))
    service = build_service([folder])
    body = json.dumps(ask("hello")).encode()
    assert service.handle(TARGET, b"", [], body).outcome.result == "refusal"
    assert send(service, body).status == 200
    found = service.handle(TARGET, b"", [], body)
    assert (found.status, found.outcome.said) == (401, "No.")


def test_speed_pace_and_faults_act_on_recorded_answers(record_answers: RecordRequests) -> None:
    """Recorded times are scaled or replaced, and faults and quirks happen to recorded answers too."""
    folder = record_answers(SCENARIO, [ask("hello", stream=True)])
    asked, recorded = ask("hello", stream=True), bodies_of(folder)[0]

    def times(**settings: Any) -> list[float]:
        timeline = send(build_service([folder], Settings(**settings)), asked).outcome.timeline
        assert timeline.body == recorded
        return [round(frame.at, 3) for frame in timeline.frames]

    assert times() == [0.2, 0.3, 0.4, 0.4]
    assert times(speed=2) == [0.1, 0.15, 0.2, 0.2]
    assert times(pace="instant") == [0, 0, 0, 0]
    assert times(pace="first_token_ms=1000,every_ms=10") == [1, 1.01, 1.02, 1.02]
    changed = send(build_service([folder], Settings(faults=("duplicate_chunk",))), asked).outcome
    assert changed.changed_by_overrides
    assert len(changed.timeline.body) > len(recorded)
    failed = send(build_service([folder], Settings(faults=("fail=503",))), asked)
    assert failed.status == 503
    quirky = send(build_service([folder], Settings(quirks=frozenset({"no_final_chunk"}))), asked).outcome.timeline.body
    assert b"[DONE]" not in quirky


def test_an_unknown_pace_is_said_as_of_any_other_answer(record_answers: RecordRequests) -> None:
    """Of a request that is in the recording as of one that a rule answers."""
    service = build_service([record_answers(SCENARIO, [ask("hello")])])
    headers = [(b"authorization", b"Bearer token"), (b"x-emulator-pace", b"slow-trian")]
    exchange = service.handle(TARGET, b"", headers, json.dumps(ask("hello")).encode())
    assert (exchange.result, exchange.status) == ("error", 418)
    assert exchange.outcome.report.startswith('the header x-emulator-pace: "pace" must be')
    assert exchange.asked.text == "hello"


def test_a_replayed_exchange_is_explained(record_answers: RecordRequests) -> None:
    """By its recording, without any rule."""
    service = build_service([record_answers(SCENARIO, [ask("hello")])])
    exchange = send(service, ask("hello"))
    explained = explain_exchange(exchange, exchange.facts, service.ruleset, State())
    assert explained["notes"] == ["the request is in a recording, which answers before rules are tried"]


def test_the_journal_knows_a_recorded_answer(record_answers: RecordRequests) -> None:
    """Text, usage and error are read off the recorded bytes."""
    service = build_service([record_answers(SCENARIO, [ask("hello", stream=True), ask("flaky")])])
    answered, failed = send(service, ask("hello", stream=True)), send(service, ask("flaky"))
    assert answered.text == answered.outcome.said == "Hello there, you."
    assert answered.outcome.usage is not None
    assert answered.outcome.usage.prompt == 2
    assert answered.asked.text == "hello"
    assert failed.outcome.refusal is not None
    assert (failed.outcome.refusal.code, failed.outcome.refusal.status) == (429, "RESOURCE_EXHAUSTED")
    assert failed.outcome.said.startswith("Resource exhausted")
    problems = service.verify(None, strict=True).problems
    assert problems == ()
    again = build_service([record_answers(SCENARIO, [ask("hello"), ask("flaky"), ask("flaky")], "other")])
    send(again, ask("flaky"))
    assert [problem.partition(": ")[2] for problem in again.verify(None, strict=True).problems] == [
        "never answered",
        "answered 1 of 2 times that were recorded",
    ]


def test_cut_left_and_unanswered(record_answers: RecordRequests) -> None:
    """A cut stream is cut, a connection without an answer ends so, and what a client left plays what there was."""
    folder = record_answers(SCENARIO, [ask("cut", stream=True), ask("reset"), ask("leave", stream=True)])
    with Emulator(folder, settings=Settings(speed=20)) as vertex, vertex.openai(max_retries=0) as client:

        def read(text: str) -> tuple[list[str], str]:
            pieces: list[str] = []
            try:
                for chunk in client.chat.completions.create(**ask(text), stream=True):
                    pieces += [chunk.choices[0].delta.content or ""]
                    if text == "leave" and len(pieces) == 2:
                        return pieces, "left"
            except openai.APIConnectionError:
                return pieces, "no connection"
            return pieces, "complete"

        assert read("cut")[0] == ["One. ", "Two. "]
        assert read("cut")[1] == "no connection"
        assert read("leave") == (["One. ", "Two. "], "left")
        with pytest.raises(openai.APIConnectionError):
            client.chat.completions.create(**ask("reset"))


def test_two_hundred_at_once(record_answers: RecordRequests) -> None:
    """Each of many parallel requests gets its own answer."""
    numbers = range(200)
    folder = record_answers(
        "rules:\n- reply: 'You said {{ last_user }}.'", [ask(f"number {number}") for number in numbers]
    )
    with Emulator(folder) as vertex:

        async def run() -> list[str | None]:
            async with vertex.async_openai() as client:
                answers = await asyncio.gather(
                    *(client.chat.completions.create(**ask(f"number {number}")) for number in reversed(numbers))
                )
                return [answer.choices[0].message.content for answer in answers]

        assert asyncio.run(run()) == [f"You said number {number}." for number in reversed(numbers)]
        assert vertex.verify(strict=True).problems == ()


def test_the_bytes_on_the_wire(record_answers: RecordRequests) -> None:
    """Over a socket the body is the recorded one, with the recorded headers and the rule's name."""
    folder = record_answers(SCENARIO, [ask("hello", stream=True)])
    with Emulator(folder, settings=Settings(pace="instant")) as vertex:
        connection = http.client.HTTPConnection(vertex.url.partition("//")[2])
        path = TARGET.path
        connection.request("POST", path, json.dumps(ask("hello", stream=True)), {"authorization": "Bearer x"})
        answer = connection.getresponse()
        assert answer.read() == bodies_of(folder)[0]
        assert answer.getheader("content-type") == "text/event-stream"
        assert (answer.getheader("x-emulator-rule") or "").startswith('"exchange 1", ')
        connection.close()


def test_a_client_that_reads_on_is_not_left_waiting(record_answers: RecordRequests) -> None:
    """Behind what a client has left, the connection is closed after a while."""
    folder = record_answers(SCENARIO, [ask("leave", stream=True)])
    timeline = send(build_service([folder], Settings(speed=1000)), ask("leave", stream=True)).outcome.timeline
    recorded = read_exchange(folder / "0001.yaml").answer
    assert timeline.ending == "close"
    assert timeline.end_at >= recorded.ended_at + 1
    assert timeline.frames[-1].at < 0.01


def test_folders_with_recordings(record_answers: RecordRequests, tmp_path: Path) -> None:
    """A folder stands for the recordings and the scenarios below it; the files of a recording are no scenarios."""
    record_answers(SCENARIO, [ask("hello")], "one")
    record_answers(SCENARIO, [ask("flaky")], "two")
    (tmp_path / "more.yaml").write_text("rules: [{when: {last_user: more}, reply: Enough.}]")
    rules = load_rules([tmp_path])
    assert [one.name for one in rules.ruleset.recordings] == ["one", "two"]
    assert rules.ruleset.scenarios == ("one", "two", "more")
    service = build_service([tmp_path])
    assert [send(service, ask(text)).status for text in ("hello", "flaky", "more")] == [200, 429, 200]
    (tmp_path / "more.yaml").unlink()
    assert load_rules([tmp_path]).ruleset.is_recording_only


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("repeats: often", r'recording.yaml: `repeats` must be last, loop or never, not "often"'),
        ("ignore: [body]", r'recording.yaml: `ignore` must be a list of .*, not "body"'),
        ("ignore: body.user", r'recording.yaml:\d+: "ignore" is a list, not a text'),
    ],
)
def test_a_manifest_that_cannot_be_followed(record_answers: RecordRequests, line: str, message: str) -> None:
    """One sentence says what is wrong, and where."""
    folder = record_answers(SCENARIO, [])
    with (folder / "recording.yaml").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(StartError, match=message):
        load_rules([folder])


def test_workers_share_what_was_answered(record_answers: RecordRequests) -> None:
    """With a store outside the process, repeated requests answer in their order whichever worker gets them."""
    folder = record_answers(SCENARIO, [ask("flaky")] * 3)

    async def run(redis_url: str) -> list[int]:
        services = [Service(load_rules([folder]).ruleset, Settings(auth="off"), clock=SystemClock()) for _ in range(2)]
        for service in services:
            service.store = RedisStore(redis_url, service.sessions, service.journal, namespace="replay")
            await service.store.open()
        statuses = []
        for service in (*services, *services):
            exchange = await service.respond(TARGET, b"", [], json.dumps(ask("flaky")).encode())
            service.finish(exchange)
            service.store.flush()
            statuses.append(exchange.status)
        for service in services:
            await service.store.close()
        return statuses

    with private_redis(kill_with_parent) as url:
        assert asyncio.run(run(url)) == [429, 200, 200, 200]


def test_a_recorded_stream_is_slow_where_it_was(record_answers: RecordRequests) -> None:
    """The first bytes come when they came, and so does the end."""
    folder = record_answers(SCENARIO, [ask("hello", stream=True)])
    with (
        Emulator(folder) as vertex,
        socket.create_connection(("127.0.0.1", int(vertex.url.rpartition(":")[2]))) as peer,
    ):
        body = json.dumps(ask("hello", stream=True)).encode()
        head = (
            f"POST {TARGET.path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer x\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        started = time.monotonic()
        peer.sendall(head.encode() + body)
        peer.settimeout(10)
        received, first = b"", 0.0
        with suppress(TimeoutError):
            while b"0\r\n\r\n" not in received:
                received += peer.recv(65536)
                first = first or time.monotonic() - started
        assert first >= 0.19
        assert time.monotonic() - started >= 0.39
