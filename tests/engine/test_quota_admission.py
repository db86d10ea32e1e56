"""Quotas of the service: which requests share them, what is refused with which texts, and what is queued."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from emulator.engine.quota import MOST_BUCKETS, show_quotas
from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.app import App
from emulator.server.clock import ManualClock
from emulator.server.control import build_control
from emulator.server.log import log_line
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.store.interface import run_synchronously
from emulator.wire.urls import Target

MODEL = "google/gemini-2.5-flash"
HEADER = b"x-vertex-ai-llm-request-type"
SHARED_HEADER = b"X-Vertex-AI-LLM-Shared-Request-Type"
Headers = list[tuple[bytes, bytes]]


class Played:
    """A service under a clock that is moved by hand."""

    def __init__(self, text: str, **given: Any) -> None:
        self.clock = ManualClock()
        rules = compile_rules(read_text(text, "quota.yaml").scenarios)
        self.service = Service(rules, Settings(auth="off", **given), clock=self.clock)

    def begin(self, project: str = "p", *, model: str = MODEL, headers: Headers | None = None, **more: Any) -> Exchange:
        """Send a request whose answer does not end yet."""
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}
        target = Target("v1", project, "global", "openapi")
        return self.service.handle(target, b"", headers or [], json.dumps(body).encode())

    def send(self, *args: Any, **more: Any) -> Exchange:
        """Send a request, and finish its exchange."""
        exchange = self.begin(*args, **more)
        self.service.finish(exchange)
        return exchange

    def show(self) -> Any:
        """What the control API shows of the one quota, for the session `p`."""
        service = self.service
        (shown,) = run_synchronously(show_quotas(service.store, service.ruleset.quotas, "p", self.clock.elapsed()))
        return shown

    def statuses(self, count: int, *args: Any, **more: Any) -> list[int]:
        """Send several and tell their statuses."""
        return [self.send(*args, **more).status for _ in range(count)]


def played(quota: str, rules: str = "[{reply: fine}]", **given: Any) -> Played:
    """A service with these quotas."""
    return Played(f"quota: {quota}\nrules: {rules}", **given)


def traffic_of(exchange: Exchange) -> str:
    """The traffic type that an answer reports."""
    found: str = json.loads(exchange.outcome.timeline.body)["usage"]["extra_properties"]["google"]["traffic_type"]
    return found


def test_excess_gets_the_exact_429_with_an_explanation() -> None:
    """The catalogue's body, no `retry-after`; header, journal and log say which quota, what is left and when it would pass."""
    one = played("{requests_per_minute: 2}")
    assert one.statuses(2) == [200, 200]
    refused = one.send()
    assert refused.status == 429
    assert refused.outcome.timeline.body.decode() == (
        '[{\n  "error": {\n    "code": 429,\n    "message": "Resource exhausted. Please try again later. Please refer to '
        'https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details.",\n'
        '    "status": "RESOURCE_EXHAUSTED"\n  }\n}\n]\n'
    )
    explanation = (
        "the quota at quota.yaml:1:8 gives 2 requests per minute in session p; 0 left, 1 needed; it would pass in 30 s"
    )
    headers = dict(refused.outcome.timeline.headers)
    assert headers["x-emulator-explanation"] == f"resource_exhausted: {explanation}"
    assert "retry-after" not in headers
    shown = refused.to_json()
    assert (shown["outcome"], shown["rule"]) == ("refusal", None)
    assert shown["refusal"] == {
        "name": "resource_exhausted",
        "place": None,
        "explanation": explanation,
        "scripted": True,
    }
    assert explanation in log_line(refused)
    one.clock.advance(29.9)
    assert one.send().status == 429
    one.clock.advance(0.2)
    assert one.send().status == 200


@pytest.mark.parametrize(
    ("error", "status", "part"),
    [
        ("quota_exceeded_base_model", 429, "with base model: gemini-2.5-flash."),
        ("503", 503, "The service is currently unavailable."),
        ("RESOURCE_EXHAUSTED", 429, "Resource exhausted."),
        ("out_of_capacity", 429, "temporarily out of capacity"),
    ],
)
def test_the_error_is_that_of_the_catalogue(error: str, status: int, part: str) -> None:
    """By number, status or name, its placeholders filled."""
    one = played(f"{{requests_per_minute: 1, on_excess: {error}}}")
    one.send()
    refused = one.send()
    assert refused.status == status
    assert part in json.loads(refused.outcome.timeline.body)[0]["error"]["message"]


def test_sessions_do_not_share_but_the_server_does() -> None:
    """By default a quota is each session's own; `per: server` is one for all; `per: model` one for each model of a session."""
    one = played("{requests_per_minute: 1}")
    assert [one.send("a").status, one.send("b").status, one.send("a").status] == [200, 200, 429]
    one = played("{requests_per_minute: 1, per: server}")
    assert [one.send("a").status, one.send("b").status] == [200, 429]
    one = played("{requests_per_minute: 1, per: model}")
    other = "google/gemini-2.5-pro"
    assert [one.send("a").status, one.send("a", model=other).status, one.send("a").status] == [200, 200, 429]
    assert one.send("b").status == 200
    assert "of google/gemini-2.5-flash in session a" in str(one.send("a").to_json()["refusal"])


def test_a_quota_may_be_about_some_models_and_all_must_have_room() -> None:
    """`model` is a glob; what one of several quotas refuses takes nothing from the others."""
    one = played("[{requests_per_minute: 1, model: google/gemini-3*}, {requests_per_minute: 3}]")
    new = "google/gemini-3-flash-preview"
    assert one.send(model=new).status == 200
    assert one.statuses(5, model=new) == [429] * 5
    assert one.statuses(3) == [200, 200, 429]


def test_tokens_are_estimated_first_and_settled_by_the_answer() -> None:
    """The answer's total counts once it has ended; a refusal by Vertex or by the quota costs nothing."""
    rules = "[{reply: fine, usage: {prompt: 10, completion: 50, reasoning: 40}}]"
    one = played("{tokens_per_minute: 120}", rules)
    assert one.send().status == 200
    shown = one.show()
    assert shown["accounts"][0]["tokens_left"] == 20
    assert one.send(messages=[]).status == 400
    assert one.send().status == 200
    refused = one.send()
    assert refused.status == 429
    assert "120 tokens per minute in session p; -80 left, 2 needed; it would pass in 41 s" in log_line(refused)
    one.clock.advance(41)
    assert one.send().status == 200


def test_a_failed_answer_costs_its_prompt_only() -> None:
    """There is no usage to settle by."""
    one = played("{tokens_per_minute: 100}", "[{reply: {fail: 503}}]")
    assert one.send().status == 503
    shown = one.show()
    assert 90 < shown["accounts"][0]["tokens_left"] < 100


def test_concurrent_requests_count_until_they_end() -> None:
    """Also those that the emulator could not answer; ending twice frees one place only."""
    one = played("{concurrent: 2}", "[{when: {last_user: hello}, reply: fine}]")
    first, second = one.begin(), one.begin()
    refused = one.send()
    assert (first.status, second.status, refused.status) == (200, 200, 429)
    assert "lets 2 be answered at the same time in session p; 2 in hand" in log_line(refused)
    one.service.finish(first)
    one.service.finish(first)
    third = one.begin(messages=[{"role": "user", "content": "no rule"}])
    assert third.status == 418
    assert one.send().status == 429
    one.service.finish(third)
    assert one.send().status == 200


PROVISIONED = "{requests_per_minute: 1, on_excess: provisioned_throughput_exceeded}"


def test_provisioned_throughput_spills_over() -> None:
    """Documented: what exceeds it is paid as it goes, with the priority that is asked for."""
    one = played(f"[{PROVISIONED}, {{requests_per_minute: 2}}]")
    assert traffic_of(one.send()) == "PROVISIONED_THROUGHPUT"
    assert traffic_of(one.send()) == "ON_DEMAND"
    assert traffic_of(one.send(headers=[(SHARED_HEADER, b"priority")])) == "ON_DEMAND_PRIORITY"
    refused = one.send()
    assert refused.outcome.refusal is not None
    assert refused.outcome.refusal.rule == "resource_exhausted"


def test_dedicated_requests_are_refused_and_shared_ones_pass() -> None:
    """Documented: `dedicated` gets the 429 of provisioned throughput, `shared` never touches it."""
    one = played(f"[{PROVISIONED}, {{requests_per_minute: 3}}]")
    assert traffic_of(one.send(headers=[(HEADER, b"shared")])) == "ON_DEMAND"
    carried = one.send(headers=[(HEADER, b"dedicated")])
    assert traffic_of(carried) == "PROVISIONED_THROUGHPUT"
    refused = one.send(headers=[(HEADER, b"Dedicated")])
    assert json.loads(refused.outcome.timeline.body)[0]["error"] == {
        "code": 429,
        "message": "Too many requests. Exceeded the Provisioned Throughput.",
        "status": "RESOURCE_EXHAUSTED",
    }
    assert one.statuses(3, headers=[(HEADER, b"shared")]) == [200, 200, 429]


def test_a_queued_request_is_delayed() -> None:
    """Its answer is made at once and delayed; a request that would wait for too long, or find the queue full, is refused."""
    one = played("{requests_per_minute: 60, queue: {length: 2, wait_ms: 2000}}")
    assert [one.send().held for _ in range(60)] == [0.0] * 60
    assert [one.send().held, one.send().held] == [pytest.approx(1.0), pytest.approx(2.0)]
    refused = one.send()
    assert (refused.status, refused.held) == (429, 0.0)
    assert "none may wait for more than 2000 ms" in log_line(refused)
    one = played("{requests_per_minute: 60, queue: {length: 1, wait_ms: 60000}}")
    one.statuses(61)
    assert "1 wait already, which is all that its queue has room for" in log_line(one.send())


def test_levels_survive_a_reload_and_reset_fills_them() -> None:
    """A reload keeps them, also with other limits; `reset` and another scenario fill those of a session."""
    one = played("{requests_per_minute: 1}")
    assert one.statuses(2) == [200, 429]
    text = "quota: {requests_per_minute: 30}\nrules: [{reply: new}]"
    one.service.ruleset = compile_rules(read_text(text, "quota.yaml").scenarios)
    assert one.send().status == 429
    one.clock.advance(2)
    assert one.statuses(2) == [200, 429]
    one.service.reset("other")
    assert one.send().status == 429
    one.service.reset("p")
    assert one.send().status == 200
    one.service.push("p", "quota: {requests_per_minute: 1}\nrules: [{reply: mine}]")
    assert one.statuses(2) == [200, 429]
    assert one.send("other").status == 200
    one.service.push("p", None)
    assert one.send().status == 200


def test_buckets_are_bounded() -> None:
    """The least recently used one is dropped, as sessions are."""
    one = played("{requests_per_minute: 1}")
    facts = [one.send(f"p{number}").status for number in range(MOST_BUCKETS + 1)]
    assert set(facts) == {200}
    assert one.send(f"p{MOST_BUCKETS}").status == 429
    assert one.send("p0").status == 200


def test_other_paths_have_quotas_too() -> None:
    """A request for vectors counts as any other."""
    one = played("{requests_per_minute: 1}")
    target = Target("v1", "p", "us-central1", "openapi", "embeddings")
    body = json.dumps({"model": "intfloat/multilingual-e5-small-maas", "input": "x"}).encode()
    assert [one.service.handle(target, b"", [], body).status for _ in range(2)] == [200, 429]


async def control(service: Service, path: str, query: str = "") -> tuple[int, Any]:
    """Ask the control API."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "root_path": ""}
    await build_control(service)(
        {**scope, "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1)}, receive, send
    )
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_the_control_path_shows_what_is_left() -> None:
    """Each quota of the session with its buckets."""
    one = played("[{requests_per_minute: 60, tokens_per_minute: 1000}, {concurrent: 3, per: server}]")
    one.send("other")
    kept = one.begin()
    one.clock.advance(0.5)
    status, body = asyncio.run(control(one.service, "/__emulator__/quotas", "session=p"))
    assert status == 200
    first, second = body["quotas"]
    assert (first["place"], first["per"], first["requests_per_minute"]) == ("quota.yaml:1:9", "session", 60)
    (account,) = first["accounts"]
    assert (account["session"], account["requests_left"], account["in_hand"]) == ("p", 59.5, 1)
    assert second["accounts"] == [
        {"session": None, "model": None, "requests_left": None, "tokens_left": None, "in_hand": 1, "waiting": 0}
    ]
    one.service.finish(kept)
    status, body = asyncio.run(control(one.service, "/__emulator__/quotas"))
    assert status == 400


class Visit:
    """A request to the application whose client can refuse to read on, or leave."""

    def __init__(self, app: App) -> None:
        self.body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}).encode()
        self.read_on = asyncio.Event()
        self.left = asyncio.Event()
        self.begun = asyncio.Event()
        self.fails: BaseException | None = None
        self.status = 0
        self._is_read = False
        path = "/v1/projects/p/locations/global/endpoints/openapi/chat/completions"
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
        self.task = asyncio.ensure_future(app(scope, self.receive, self.send))

    async def receive(self) -> Any:
        """The body, then nothing until the client leaves."""
        if not self._is_read:
            self._is_read = True
            return {"type": "http.request", "body": self.body}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Take in an answer as fast as the client reads."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.begun.set()
            await self.read_on.wait()
            if self.fails is not None:
                raise self.fails

    async def finish(self) -> int:
        """Read all of the answer."""
        self.read_on.set()
        await self.task
        return self.status


async def settle() -> None:
    """Let all tasks run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def run(quota: str, work: Callable[[Played, App], Awaitable[None]]) -> Played:
    """Run something with the application of a service with this quota."""
    one = played(quota)

    async def main() -> None:
        await work(one, App(one.service))

    asyncio.run(main())
    return one


QUEUE = "{concurrent: 1, queue: {length: 2, wait_ms: 60000}}"


def test_the_queue_is_first_come_first_served() -> None:
    """The first leaves, the second is answered, and a new request queues behind the third."""

    async def work(one: Played, app: App) -> None:
        first = Visit(app)
        await first.begun.wait()
        second, third = Visit(app), Visit(app)
        await settle()
        assert not second.begun.is_set()
        fourth = Visit(app)
        await fourth.begun.wait()
        assert await fourth.finish() == 429
        assert await first.finish() == 200
        await second.begun.wait()
        await settle()
        assert not third.begun.is_set()
        assert one.show()["accounts"][0]["waiting"] == 1
        assert await second.finish() == 200
        assert await third.finish() == 200

    journal = list(run(QUEUE, work).service.journal)
    assert [(exchange.number, exchange.status) for exchange in journal] == [(4, 429), (1, 200), (2, 200), (3, 200)]
    assert "2 waiting, which is all that its queue has room for" in log_line(journal[0])


def test_a_request_is_refused_after_its_queue_timeout() -> None:
    """After `wait_ms` the refusal goes out, and the place in the queue is free."""

    async def work(one: Played, app: App) -> None:
        first = Visit(app)
        await first.begun.wait()
        for _ in range(2):
            waiting = Visit(app)
            await settle()
            assert not waiting.begun.is_set()
            one.clock.advance(0.001)
            assert await waiting.finish() == 429
        assert await first.finish() == 200
        assert await Visit(app).finish() == 200

    journal = list(run("{concurrent: 1, queue: {length: 1, wait_ms: 1}}", work).service.journal)
    assert "no place came free within 1 ms" in log_line(journal[0])


def test_a_client_that_disconnects_frees_its_place() -> None:
    """In the queue, while the answer is sent, and when sending breaks in any other way."""

    async def work(_one: Played, app: App) -> None:
        first = Visit(app)
        await first.begun.wait()
        second, third = Visit(app), Visit(app)
        await settle()
        second.left.set()
        second.read_on.set()
        await second.task
        first.fails = OSError("gone")
        first.read_on.set()
        await first.task
        await third.begun.wait()
        fourth = Visit(app)
        third.fails = RuntimeError("broken")
        third.read_on.set()
        with pytest.raises(RuntimeError, match="broken"):
            await third.task
        await fourth.begun.wait()
        fifth = Visit(app)
        await settle()
        fourth.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fourth.task
        assert await fifth.finish() == 200

    journal = list(run(QUEUE, work).service.journal)
    endings = [(exchange.number, exchange.status, exchange.ended) for exchange in journal]
    gone = [(2, 429, "client left"), (1, 200, "client left"), (3, 200, "failed"), (4, 200, "client left")]
    assert endings == [*gone, (5, 200, "complete")]


def test_a_reset_while_a_request_is_queued() -> None:
    """The queued request finds a full bucket when the one before has left."""

    async def work(one: Played, app: App) -> None:
        first = Visit(app)
        await first.begun.wait()
        second = Visit(app)
        await settle()
        one.service.reset("p")
        third = Visit(app)
        await third.begun.wait()
        assert await first.finish() == 200
        await settle()
        assert not second.begun.is_set()
        assert await third.finish() == 200
        assert await second.finish() == 200

    run(QUEUE, work)


def test_an_answer_that_cannot_be_sent_has_failed() -> None:
    """The journal tells it from a client that has left."""

    async def work(_one: Played, app: App) -> None:
        for fails in (ValueError("no header can have this"), ConnectionResetError()):
            visit = Visit(app)
            visit.fails = fails
            visit.read_on.set()
            with suppress(ValueError):
                await visit.task

    one = run("{requests_per_minute: 60}", work)
    assert [entry.to_json()["ended"] for entry in one.service.journal.entries] == ["failed", "client left"]
