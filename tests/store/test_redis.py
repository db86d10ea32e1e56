"""Processes that share a Redis server behave as one that has its own memory: the same requests get the same answers, whoever is asked."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.engine.quota import show_quotas
from emulator.engine.ruleset import compile_rules
from emulator.errors import StartError
from emulator.scenario.loading import read_text
from emulator.server.clock import ManualClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.store.interface import OPEN_STREAMS, read_pushed_scenario
from emulator.store.redis import RedisStore
from emulator.wire.urls import Target

RULES = """
quota: {requests_per_minute: 30, tokens_per_minute: 9000}
rules:
- {name: pay, when: {last_user: pay}, sets: paid, reply: Thanks.}
- {name: ship, when: {last_user: ship}, requires: [paid, not shipped], sets: [shipped], reply: Sent.}
- {name: count, when: {last_user: count}, sequence: [one, two, three], then: exhaust}
- {name: dice, when: {last_user: dice}, pace: {every_ms: 20, jitter: 0.5}, fault: {fail: 503, every: 3}, reply: {say: [a, b]}}
- {name: use, when: {last_user: use}, reply: "this is use {{ use }}"}
- {name: quirky, when: {last_user: bare}, quirks: [bare_models], times: 2, reply: Bare.}
- {name: otherwise, when: {last_user: hello}, reply: Hello.}
"""
OWN = "rules: [{name: own, when: {last_user: count}, sequence: [uno, due]}]"
Result = TypeVar("Result")
TEXTS = ["pay", "ship", "count", "dice", "use", "bare", "hello", "nobody", "hello " * 4000]


class Servers:
    """Services that share a Redis server; without a URL, a single one with its own memory."""

    def __init__(self, runner: asyncio.Runner, url: str | None, count_: int = 2, **given: Any) -> None:
        self.clock = ManualClock()
        self.settings = Settings(auth="off", **given)
        self.reloads = 0
        self._runner = runner
        self._url = url
        self._namespace = f"test-{uuid4().hex}"
        self._numbers = count(1)
        self.services = [self._start() for _ in range(count_ if url else 1)]

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of a coroutine."""
        return self._runner.run(work)

    def _start(self) -> Service:
        service = Service(self._read(), self.settings, clock=self.clock)
        if self._url is not None:
            store = RedisStore(
                self._url,
                service.sessions,
                service.journal,
                namespace=self._namespace,
                reread=partial(self._read_again, service),
                server_time=False,
                read_counters=service.metrics.read,
            )
            # Numbers are unique across processes but not in order; the comparison is of all else.
            store.next_number = partial(next, self._numbers)
            service.store = store
            self.run(store.open())
        return service

    def close(self) -> None:
        """Disconnect."""
        for service in self.services:
            self.run(service.store.close())

    def replace(self, which: int) -> None:
        """Let a process end, and another one take its place; one with its own memory stays."""
        if self._url is not None:
            self.run(self.services[which].store.close())
            self.services[which] = self._start()

    def _read_again(self, service: Service) -> None:
        service.ruleset = self._read()

    def _read(self) -> Any:
        text = f"scenario: {'again' if self.reloads else 'first'}\n{RULES}"
        return compile_rules(read_text(text, "shared.yaml").scenarios)

    def pick(self, which: int) -> Service:
        """One of the services."""
        return self.services[which % len(self.services)]

    async def begin(self, which: int, project: str, body: dict[str, Any]) -> Exchange:
        """Send a request whose answer does not end yet."""
        target = Target("v1", project, "global", "openapi")
        return await self.pick(which).respond(target, b"", [], json.dumps(body).encode())

    async def finish(self, which: int, project: str, body: dict[str, Any]) -> Exchange:
        """Send a request and finish its exchange."""
        exchange = await self.begin(which, project, body)
        self.pick(which).finish(exchange)
        self.pick(which).store.flush()
        return exchange

    def ask(self, which: int, text: str, project: str, *, stream: bool) -> Any:
        """Status, body and what the log has of one request."""
        model = "gemini-2.5-flash" if text == "bare" else "google/gemini-2.5-flash"
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}
        exchange = self.run(self.finish(which, project, body))
        timeline = exchange.outcome.timeline
        return exchange.number, exchange.rule, timeline.status, timeline.body, [frame.at for frame in timeline.frames]

    async def look(self, which: int, project: str) -> Any:
        """All that the control path can say."""
        service = self.pick(which)
        await service.store.refresh_all()
        session = service.sessions.find(project)
        found = service.verify(None, strict=True), service.verify(project, strict=True), service.verdicts()
        shown = await show_quotas(service.store, service.ruleset.quotas, project, self.clock.elapsed())
        journal = [
            {key: value for key, value in entry.to_json().items() if key != "duration_ms"}
            for entry in service.journal.entries
        ]
        return found, session.uses, session.flags, session.text, service.ruleset.scenarios, shown, journal

    def do(self, which: int, act: str, project: str) -> Any:
        """One step of a test, and what can be seen of it."""
        service = self.pick(which)
        match act:
            case "push":
                self.run(service.push_shared(project, read_pushed_scenario(project, OWN, "own.yaml")))
            case "unpush":
                self.run(service.store.push(project, None))
            case "reset":
                self.run(service.store.reset(project))
            case "reset all":
                self.run(service.store.reset(None))
            case "reload":
                self.reloads += 1
                self._read_again(service)
                self.run(service.store.reload())
            case "end":
                self.replace(which)
            case "wait":
                self.clock.advance(7.5)
            case "look":
                return self.run(self.look(which, project))
            case text:
                return self.ask(which, text.removesuffix("…"), project, stream=text.endswith("…"))
        return None


@pytest.fixture
def start(redis_url: str) -> Iterator[Callable[..., Servers]]:
    """Starts services that share a Redis server; `memory=True` one that does not."""
    with asyncio.Runner() as runner, closing_servers() as started:

        def make(*, memory: bool = False, **given: Any) -> Servers:
            started.append(Servers(runner, None if memory else redis_url, **given))
            return started[-1]

        yield make


@contextmanager
def closing_servers() -> Iterator[list[Servers]]:
    """A list of servers that are closed at the end."""
    started: list[Servers] = []
    try:
        yield started
    finally:
        for one in started:
            one.close()


# Mostly what depends on what came before; a list has as many of each kind as makes mistakes likely to be seen.
_ASKED = st.sampled_from([f"{text}{end}" for text in TEXTS for end in ("", "…")] + ["count", "count", "bare", "use"])
_DONE = st.sampled_from(["push", "unpush", "reset", "reset all", "reload", "wait", "wait", "look", "end"])
_ACT = st.integers(0, 7).flatmap(lambda number: _DONE if number == 0 else _ASKED)
STEPS = st.lists(st.tuples(st.integers(0, 1), _ACT, st.sampled_from(["p", "p", "p", "q"])), min_size=30, max_size=60)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, most=st.sampled_from([1000, 4]))
def test_two_processes_are_as_one(start: Any, steps: list[tuple[int, str, str]], most: int) -> None:
    """Every answer, plan and look at the past is the same, byte for byte, whichever process ends meanwhile."""
    with closing_servers() as started:
        shared, alone = (start(memory=memory, seed="s", journal_exchanges=most) for memory in (False, True))
        started += [shared]
        for step in steps:
            assert shared.do(*step) == alone.do(*step)
        assert shared.run(shared.look(1, "p")) == alone.run(alone.look(0, "p"))


def test_the_journal_is_bounded_in_bytes(start: Any) -> None:
    """The oldest exchanges leave, and one that is larger than the journal empties it."""
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "hello" * 3000}]}
    shared = start(journal_bytes=9000)
    for which in (0, 1, 0, 1):
        shared.ask(which, "hello", "p", stream=False)
    shared.run(shared.finish(1, "p", body))
    assert shared.run(shared.look(0, "p"))[-1] == []
    shared.ask(1, "hello", "p", stream=False)
    assert [exchange["position"] for exchange in shared.run(shared.look(0, "p"))[-1]] == [6]


def test_a_rule_that_another_process_has_used_up_counts_no_more(start: Any) -> None:
    """Its quirks, which act before it is chosen, are off then too."""
    shared = start()
    assert [shared.ask(which, "bare", "p", stream=False)[2] for which in (0, 1, 0)] == [200, 200, 400]


def test_numbers_are_unique(redis_url: str) -> None:
    """Whoever takes them, and also where more are taken at once than were reserved."""

    async def take() -> list[int]:
        stores = []
        for _ in range(2):
            service = Service(compile_rules(read_text(RULES).scenarios), Settings(), clock=ManualClock())
            stores.append(RedisStore(redis_url, service.sessions, service.journal, namespace="numbers"))
            await stores[-1].open()
        taken = []
        for _ in range(30):
            taken += [store.next_number() for store in stores for _ in range(20)]
            await asyncio.sleep(0)
        for store in stores:
            await store.close()
        return taken

    taken = asyncio.run(take())
    assert len(set(taken)) == len(taken) == 1200


def test_versions_do_not_mix(start: Any, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of another version that uses the namespace is named, and what can be done."""
    shared = start()
    service = shared.services[0]
    monkeypatch.setattr("emulator.store.redis.__version__", "0.0.9")
    store = RedisStore(redis_url, service.sessions, service.journal, namespace=shared._namespace)
    with pytest.raises(
        StartError, match=r"uses the namespace test-\w+ of the store, and this is version 0\.0\.9; stop it"
    ):
        shared.run(store.open())
    shared.run(store.close())


def test_a_store_that_is_not_there_is_one_sentence() -> None:
    """With its address, but without its password."""
    service = Service(compile_rules(read_text(RULES).scenarios), Settings(), clock=ManualClock())
    store = RedisStore("redis://user:secret@127.0.0.1:1/0", service.sessions, service.journal)
    with pytest.raises(StartError, match=r"^the store redis://127\.0\.0\.1:1/0 cannot be reached: ") as raised:
        asyncio.run(store.open())
    assert "secret" not in str(raised.value)


def test_counters_of_all_processes_are_added_up(start: Any) -> None:
    """What each process has counted is counted once, also after it has ended."""
    servers = start()
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "hello"}]}

    def requests_seen_by(which: int) -> int:
        found = servers.run(servers.pick(which).store.sum_counters())
        return sum(number for name, number in found.items() if name.startswith('["requests"'))

    for which in (0, 1, 1, 0, 1):
        servers.run(servers.finish(which, "p", body))
    requests_seen_by(0)
    assert requests_seen_by(1) == 5
    assert requests_seen_by(0) == requests_seen_by(1) == 5
    servers.replace(1)
    assert requests_seen_by(1) == requests_seen_by(0) == 5
    servers.pick(1).open_streams[1] = None
    servers.run(servers.pick(1).store.sum_counters())
    assert servers.run(servers.pick(0).store.sum_counters())[OPEN_STREAMS] == 1
