"""Journal views: reading exchanges, filtering, waiting and assertions."""

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import SystemClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.store.views import JournalView
from emulator.wire.urls import Target

FLASH = "google/gemini-2.5-flash"
LLAMA = "meta/llama-3.3-70b-instruct-maas"
SCENARIO = """
rules:
  - {name: greeting, when: {last_user: hello}, reply: [{think: Well}, {say: Hi there.}]}
  - {name: "weather [cold]", when: {last_user: weather, tools: get_*}, reply: {call: get_weather, with: {city: Oslo}}}
  - {name: busy, when: {last_user: busy}, reply: {fail: 429}}
"""
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
PATIENCE = 30.0


@pytest.fixture
def service() -> Service:
    """A service with a few rules."""
    return Service(compile_rules(read_text(SCENARIO).scenarios), Settings(auth="off"), clock=SystemClock())


def send(service: Service, text: str, *, project: str = "p", method: str = "chat/completions", **more: Any) -> Exchange:
    """Send one request and finish its exchange."""
    body = {"model": FLASH, "messages": [{"role": "user", "content": text}], **more}
    if method != "chat/completions":
        body = {"model": FLASH, **more}
    return send_bytes(service, json.dumps(body).encode(), project, method)


def send_bytes(service: Service, body: bytes, project: str = "p", method: str = "chat/completions") -> Exchange:
    """As `send`, with a body of bytes."""
    exchange = service.handle(Target("v1", project, "us-central1", "openapi", method), b"", [], body)
    service.finish(exchange)
    return exchange


def test_attributes_of_an_exchange(service: Service) -> None:
    """Request, facts, rule, result, status and text of a plain answer."""
    one = send(service, "Hello!", tools=[WEATHER], temperature=0)
    assert one.request is not None
    assert one.request["temperature"] == 0
    assert (one.session, one.model, one.tools, one.last_user) == ("p", FLASH, ("get_weather",), "Hello!")
    assert (one.rule, one.outcome.result, one.status, one.text) == ("greeting", "answer", 200, "Hi there.")
    assert (one.stream, one.warnings, one.position, one.ended) == (False, (), 1, "complete")
    assert one.to_json()["position"] == 1


def test_text_is_joined_from_a_stream(service: Service) -> None:
    """A stream has the text of the plain answer; calls and errors have none."""
    assert send(service, "Hello!", stream=True).text == "Hi there."
    assert send(service, "The weather?", tools=[WEATHER]).text == ""
    assert send(service, "Are you busy?", stream=True).text == ""
    assert send(service, "Nobody knows").text == ""


@pytest.mark.parametrize("stream", [False, True])
def test_text_of_other_routes(stream: bool) -> None:
    """Completions and responses have a text too."""
    settings = Settings(auth="off", vetting="off")
    service = Service(compile_rules(read_text(SCENARIO).scenarios), settings, clock=SystemClock())
    assert send(service, "", method="completions", prompt="hello", stream=stream).text == "Hi there."
    one = send(service, "", method="responses", input="hello", stream=stream)
    assert (one.text, one.last_user) == ("Hi there.", "hello")


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'{"messages": 3}', b'{"model": 3, "stream": 1}', b"\xff"])
def test_unreadable_requests_are_in_the_journal(service: Service, body: bytes) -> None:
    """Missing values are None or empty; nothing raises."""
    one = send_bytes(service, body)
    assert (one.facts, one.last_user, one.tools, one.model, one.stream, one.text) == (None, None, (), "", False, "")
    assert one.status == 400
    view = JournalView(service.journal)
    assert len(view.where(status=400, outcome="refusal")) == 1
    with pytest.raises(AssertionError, match="MISS"):
        view.assert_sent(last_user="hello", body={"model": FLASH}, tool="get_*")


def test_repaired_requests_are_read(service: Service) -> None:
    """A body with backslashes before its line ends, as documented samples send, is shown as it was parsed."""
    one = send_bytes(
        service, b'{"model": "google/gemini-2.5-flash", \\\n"messages": [{"role": "user", "content": "hello"}]}'
    )
    assert one.request is not None
    assert one.request["model"] == FLASH
    assert one.warnings


def test_view_is_a_live_sequence(service: Service) -> None:
    """Iteration, length, index, last; it is live, and of its session only."""
    view = JournalView(service.journal, "p")
    assert (list(view), len(view), bool(view)) == ([], 0, False)
    with pytest.raises(LookupError, match=r"^'?there are no exchanges of session p; nothing was sent'?$"):
        _ = view.last
    first, other, last = send(service, "hello"), send(service, "hello", project="q"), send(service, "hello")
    assert list(view) == [first, last]
    assert (view.last, view[0], view[-1], len(view)) == (last, first, last, 2)
    assert list(JournalView(service.journal)) == [first, other, last]
    assert repr(view) == "<exchanges of session p: 1, 3>"
    service.reset("p")
    assert list(JournalView(service.journal)) == [other]


@pytest.mark.parametrize(
    ("conditions", "numbers"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"model": "google/*"}, [1, 2, 3, 4]),
        ({"model": LLAMA}, [5]),
        ({"tool": "get_*"}, [2]),
        ({"tool": "send_mail"}, []),
        ({"rule": "greeting"}, [1, 5]),
        ({"rule": "weather [cold]"}, [2]),
        ({"rule": "*"}, [1, 2, 3, 5]),
        ({"outcome": "miss"}, [4]),
        ({"status": 429}, [3]),
        ({"stream": True}, [1]),
        ({"stream": False}, [2, 3, 4, 5]),
        ({"session": "q"}, [5]),
        ({"session": "q", "rule": "busy"}, []),
    ],
)
def test_where(service: Service, conditions: Any, numbers: list[int]) -> None:
    """All conditions must hold; a view of a view is narrower."""
    send(service, "hello", stream=True)
    send(service, "weather", tools=[WEATHER])
    send(service, "busy")
    send(service, "what?")
    send(service, "hello", project="q", model=LLAMA)
    assert [one.number for one in JournalView(service.journal).where(**conditions)] == numbers
    twice = JournalView(service.journal).where(outcome="answer").where(**conditions)
    assert [one.number for one in twice] == [number for number in numbers if number != 4]


def test_unknown_outcome_is_an_error(service: Service) -> None:
    """An unknown outcome would never be found."""
    with pytest.raises(ValueError, match=r'^no exchange ends as "answered"; expected answer, refusal, miss or error$'):
        JournalView(service.journal).where(outcome="answered")


def test_unknown_filters_are_errors(service: Service) -> None:
    """They are not ignored."""
    view: Any = JournalView(service.journal)
    with pytest.raises(TypeError, match=r'^where\(\) has no argument "modle"; did you mean "model"\?$'):
        view.where(modle="x")
    with pytest.raises(TypeError, match=r'^where\(\) has no argument "body"'):
        view.where(body={})
    with pytest.raises(TypeError, match=r'^assert_sent\(\) has no argument "last_usr"; did you mean "last_user"\?$'):
        view.assert_sent(last_usr="x")


def test_session_names_are_not_globs(service: Service) -> None:
    """A project id is compared literally, even if it looks like a glob."""
    send(service, "hello", project="t1")
    mine = send(service, "hello", project="t[1]")
    assert list(JournalView(service.journal, "t[1]")) == [mine]


def test_wait_for_returns_as_soon_as_there_are_enough(service: Service) -> None:
    """It waits for exchanges of another thread."""
    view = JournalView(service.journal, "p").where(rule="greeting")
    send(service, "hello")
    assert [one.number for one in view.wait_for()] == [1]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(view.wait_for, 3, PATIENCE)
        for text in ("hello", "busy", "hello"):
            send(service, text)
        assert [one.number for one in waiting.result()] == [1, 2, 4]


def test_wait_for_times_out(service: Service) -> None:
    """The error says how many exchanges there are."""
    send(service, "busy")
    view = JournalView(service.journal, "p").where(rule="greeting")
    said = '^waited 0 seconds for 2 exchanges of session p with rule "greeting"; there are none, 1 was sent in all$'
    with pytest.raises(TimeoutError, match=said):
        view.wait_for(2, timeout=0)
    with pytest.raises(
        TimeoutError, match=r'^waited 0\.01 seconds for 1 exchange of session p with rule "greeting"; there'
    ):
        view.wait_for(timeout=0.01)


def test_wait_for_async_leaves_the_loop_free(service: Service) -> None:
    """The awaited exchange is sent from the same loop."""

    async def wait() -> list[int]:
        waiting = asyncio.create_task(JournalView(service.journal).wait_for_async(1, PATIENCE))
        await asyncio.sleep(0)
        send(service, "hello")
        return [one.number for one in await waiting]

    assert asyncio.run(wait()) == [1]


def test_the_journal_is_thread_safe(service: Service) -> None:
    """No exchange is lost, and concurrent changes raise nothing."""
    each, threads = 50, 8
    failures: list[BaseException] = []

    def guard(work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  # shown below
                failures.append(error)

        return run

    def client(name: str) -> None:
        view = JournalView(service.journal, name)
        for number in range(each):
            send(service, "hello", project=name)
            assert len(view) == number + 1
        view.wait_for(each, PATIENCE)

    def reset() -> None:
        for _ in range(each):
            send(service, "hello", project="other")
            service.reset("other")

    work = [guard(lambda name=f"p{number}": client(name)) for number in range(threads)]  # type: ignore[misc]  # a default
    running = [threading.Thread(target=each_one) for each_one in [*work, guard(reset)]]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert failures == []
    assert len(JournalView(service.journal)) == each * threads


def test_assert_sent_returns_matches(service: Service) -> None:
    """At least one, or exactly `times`, zero included."""
    send(service, "Hello Ann", temperature=0.5)
    send(service, "Hello Bob")
    view = JournalView(service.journal, "p")
    assert [one.number for one in view.assert_sent(last_user="hello")] == [1, 2]
    assert [one.number for one in view.assert_sent(1, last_user="ann", body={"temperature": 0.5})] == [1]
    assert view.assert_sent(times=0, status=500) == ()
    assert len(view.assert_sent(2)) == 2
    assert len(view.where(rule="greeting").assert_sent(times=1, body={"messages": [{"content": "Hello Bob"}]})) == 1


def failure_of(view: JournalView, *times: int, **conditions: Any) -> str:
    """The message of the failed assertion."""
    with pytest.raises(AssertionError) as caught:
        view.assert_sent(*times, **conditions)
    return str(caught.value)


def test_assert_sent_shows_the_nearest(service: Service) -> None:
    """The message compares the nearest exchange filter by filter; of equals, the last."""
    send(service, "hello", temperature=0)
    send(service, "busy", temperature=1)
    said = failure_of(JournalView(service.journal, "p"), model="google/*", last_user="HELLO", body={"temperature": 1})
    assert said == (
        "none of the 2 exchanges of session p fits, at least one was expected\n"
        "nearest: exchange 2\n"
        '  model      ok    "google/gemini-2.5-flash"\n'
        '  last_user  MISS  wanted text containing "HELLO", got "busy"\n'
        "  body       ok    all of it"
    )
    said = failure_of(JournalView(service.journal, "p"), last_user="hello", body={"temperature": 1, "n": 2}, status=200)
    assert said.splitlines()[1:] == [
        "nearest: exchange 1",
        "  status     ok    200",
        '  last_user  ok    "hello"',
        '  body       MISS  wanted {"temperature":1,"n":2}, got temperature is 0',
    ]


def test_assert_sent_counts(service: Service) -> None:
    """Too many, too few, none."""
    view = JournalView(service.journal, "p")
    assert failure_of(view) == "there are no exchanges of session p, at least one was expected; nothing was sent"
    send(service, "hello")
    send(service, "hello")
    assert failure_of(view, 1, last_user="hello") == (
        "2 of the 2 exchanges of session p fit, 1 was expected\nfitting: 1, 2"
    )
    assert failure_of(view, 0) == "2 of the 2 exchanges of session p fit, 0 were expected\nfitting: 1, 2"
    assert failure_of(view, 3, last_user="hello").startswith("2 of the 2 exchanges of session p fit, 3 were expected")
    send(service, "busy")
    assert failure_of(view, 2, last_user="busy").splitlines()[:3] == [
        "1 of the 3 exchanges of session p fits, 2 were expected",
        "fitting: 3",
        "nearest: exchange 2",
    ]
    assert failure_of(view.where(stream=True), last_user="x") == (
        "there are no exchanges of session p with stream true, at least one was expected; 3 were sent in all"
    )


def test_ignored_parameters_and_quirks_are_recorded() -> None:
    """Only in the exchange: the client gets no warning of parameters that Vertex silently ignores."""
    service = Service(compile_rules(read_text(SCENARIO).scenarios), Settings(auth="off"), clock=SystemClock())
    service.ruleset = compile_rules(read_text("rules: [{reply: Hello., quirks: [no_logprobs]}]").scenarios)
    asked = {
        "model": "google/gemini-2.5-flash",
        "messages": [{"role": "user", "content": "hi"}],
        "store": True,
        "zeal": 1,
    }
    exchange = service.handle(Target("v1", "p", "global", "openapi"), b"", [], json.dumps(asked).encode())
    shown = exchange.to_json()
    assert (exchange.ignored, exchange.warnings) == (("store", "zeal"), ())
    assert (shown["ignored"], shown["quirks"]) == (["store", "zeal"], ["no_logprobs"])
