"""Several workers that share what they remember behave as one: the same requests get the same answers, whoever is asked."""

import asyncio
import json
from collections.abc import Coroutine
from functools import partial
from itertools import count
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.engine.quota import show_quotas
from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import ManualClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.store.interface import read_pushed_scenario
from emulator.store.replica import ReplicaStore
from emulator.store.shared import Shared
from emulator.wire.urls import Target
from emulator.workers.channel import Decoder, encode
from emulator.workers.notebooks import Notebook, Notebooks

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
TEXTS = ["pay", "ship", "count", "dice", "use", "bare", "hello", "nobody"]


class Direct:
    """A channel without a socket: what it carries is bytes all the same."""

    def __init__(self, worker: int, shared: Shared, notebook: Notebook, numbers: Any, state: dict[str, int]) -> None:
        self.worker = worker
        # The first worker has room for few, so that it runs out of them.
        self.counters = notebook.counters[: 1 + 9 * worker]
        self.note = notebook.tape.append
        self._shared = shared
        self._numbers = numbers
        self._state = state

    def next_number(self) -> int:
        """A number that nobody else gets."""
        number: int = next(self._numbers)
        return number

    @property
    def changes(self) -> int:
        """The number of the last change."""
        return self._state["changes"]

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call a method."""
        return carry(getattr(self._shared, method)(*carry(arguments)))

    def notify(self, method: str, *arguments: Any) -> None:
        """Call a method."""
        getattr(self._shared, method)(*carry(arguments))


def carry(message: Any) -> Any:
    """A message as it comes out at the other end."""
    (arrived,) = Decoder().feed(encode(message))
    return arrived


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine."""
    return asyncio.run(work)


class Server:
    """Services that share what they remember; one service alone, if there is to be only one."""

    def __init__(self, workers: int, **given: Any) -> None:
        self.clock = ManualClock()
        self.settings = Settings(auth="off", **given)
        bounds = self.settings.journal_exchanges, self.settings.journal_bytes
        self._state = {"changes": 0}
        self._numbers = count(1)
        self._notebooks = Notebooks(*bounds)
        self.shared = Shared(
            *bounds,
            self._notebooks,
            announce=lambda change: self._state.update(changes=change),
            wake=lambda worker, quota_ticket: self.links[worker].come(quota_ticket),
        )
        self.services = [Service(self._read("first"), self.settings, clock=self.clock) for _ in range(workers)]
        self.links: dict[int, ReplicaStore] = {}
        for worker in range(workers if workers > 1 else 0):
            self._link(worker)

    def _link(self, worker: int) -> None:
        service = self.services[worker]
        channel = Direct(worker, self.shared, self._notebooks.open(worker), self._numbers, self._state)
        reread = partial(self._read_again, service)
        link = ReplicaStore(service.sessions, service.journal, channel, reread, self.shared.reloads)
        service.store = self.links[worker] = link

    def replace(self, worker: int) -> None:
        """Let a worker die, and another one take its place; one alone stays."""
        if worker in self.links:
            self.shared.drop_worker(worker, self.clock.elapsed())
            ruleset = self._read("again" if self.shared.reloads else "first")
            self.services[worker] = Service(ruleset, self.settings, clock=self.clock)
            self._link(worker)

    def _read_again(self, service: Service) -> None:
        service.ruleset = self._read("again")

    @staticmethod
    def _read(name: str) -> Any:
        return compile_rules(read_text(f"scenario: {name}\n{RULES}", "shared.yaml").scenarios)

    def ask(self, worker: int, text: str, project: str, *, stream: bool) -> Any:
        """Status, body and what the log has of one request."""
        model = "gemini-2.5-flash" if text == "bare" else "google/gemini-2.5-flash"
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}
        exchange = run(self.finish(worker, project, body))
        timeline = exchange.outcome.timeline
        return exchange.number, exchange.rule, timeline.status, timeline.body, [frame.at for frame in timeline.frames]

    async def begin(self, worker: int, project: str, body: dict[str, Any]) -> Exchange:
        """Send a request whose answer does not end yet."""
        target = Target("v1", project, "global", "openapi")
        return await self.services[worker % len(self.services)].respond(target, b"", [], json.dumps(body).encode())

    async def finish(self, worker: int, project: str, body: dict[str, Any]) -> Exchange:
        """Send a request and finish its exchange."""
        exchange = await self.begin(worker, project, body)
        service = self.services[worker % len(self.services)]
        service.finish(exchange)
        service.store.flush()
        return exchange

    def look(self, worker: int, project: str) -> Any:
        """All that the control API can say."""
        service = self.services[worker % len(self.services)]
        run(service.store.refresh_all())
        session = service.sessions.find(project)
        found = service.verify(None, strict=True), service.verify(project, strict=True), service.verdicts()
        shown = run(show_quotas(service.store, service.ruleset.quotas, project, self.clock.elapsed()))
        journal = [_without_waiting(entry.to_json()) for entry in service.journal.entries]
        return found, session.uses, session.flags, session.text, service.ruleset.scenarios, shown, journal

    def do(self, worker: int, act: str, project: str) -> Any:
        """One step of a test, and what can be seen of it."""
        store = self.services[worker % len(self.services)].store
        match act:
            case "push":
                run(self.services[worker % len(self.services)].push_shared(project, read_pushed_scenario(project, OWN)))
            case "unpush":
                run(store.push(project, None))
            case "reset":
                run(store.reset(project))
            case "reset all":
                run(store.reset(None))
            case "reload":
                service = self.services[worker % len(self.services)]
                self._read_again(service)
                run(store.reload())
            case "die":
                self.replace(worker)
            case "wait":
                self.clock.advance(7.5)
            case "look":
                return self.look(worker, project)
            case text:
                return self.ask(worker, text.removesuffix("…"), project, stream=text.endswith("…"))
        return None


def _without_waiting(exchange: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in exchange.items() if key != "duration_ms"}


# Mostly what depends on what came before; a list has as many of each kind as makes mistakes likely to be seen.
_ASKED = st.sampled_from([f"{text}{end}" for text in TEXTS for end in ("", "…")] + ["count", "count", "bare", "use"])
_DONE = st.sampled_from(["push", "unpush", "reset", "reset all", "reload", "wait", "wait", "look", "die"])
_ACT = st.integers(0, 7).flatmap(lambda number: _DONE if number == 0 else _ASKED)
STEPS = st.lists(st.tuples(st.integers(0, 1), _ACT, st.sampled_from(["p", "p", "p", "q"])), min_size=30, max_size=60)


@settings(max_examples=60)
@given(STEPS, st.sampled_from([1000, 4]))
def test_two_workers_are_as_one(steps: list[tuple[int, str, str]], most: int) -> None:
    """Every answer, number, plan and look at the past is the same, byte for byte, whoever dies meanwhile."""
    two, one = (Server(workers, seed="s", journal_exchanges=most) for workers in (2, 1))
    for step in steps:
        assert two.do(*step) == one.do(*step)
    assert two.look(2, "p") == one.look(0, "p")


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["hello", "hello", "count", "look", "die"])), max_size=60))
def test_uses_outlive_their_exchanges_and_their_worker(steps: list[tuple[int, str]]) -> None:
    """Each is counted once, though the journal has long forgotten it and whoever counted it has died."""
    two, one = Server(2, journal_exchanges=2), Server(1, journal_exchanges=2)
    for worker, act in steps:
        for server in (two, one):
            server.do(worker, act, f"p{worker}")
    for project in ("p0", "p1"):
        run(two.services[0].store.refresh_all())
        assert two.services[0].sessions.find(project).uses == one.services[0].sessions.find(project).uses


def test_an_exchange_larger_than_the_journal_empties_it() -> None:
    """As it does where there is one worker."""
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "hello" * 1000}]}
    for server in (Server(2, journal_bytes=4000), Server(1, journal_bytes=4000)):
        for worker in (0, 1):
            server.ask(worker, "hello", "p", stream=False)
        run(server.finish(1, "p", body))
        assert server.look(0, "p")[-1] == []
        server.ask(1, "hello", "p", stream=False)
        assert [exchange["position"] for exchange in server.look(0, "p")[-1]] == [4]


def test_the_journal_is_bounded() -> None:
    """The oldest exchanges leave, in the common journal and in every replica."""
    server = Server(2, journal_exchanges=5)
    for number in range(9):
        server.ask(number, "hello", f"p{number}", stream=False)
        if number == 3:
            server.look(1, "p")
    for service in server.services:
        run(service.store.refresh_all())
        assert [exchange.number for exchange in service.journal] == [5, 6, 7, 8, 9]
        assert [exchange.position for exchange in service.journal] == [5, 6, 7, 8, 9]


def test_what_a_dead_worker_had_in_hand_is_given_back() -> None:
    """Its places among concurrent requests are free again."""
    text = "quota: {concurrent: 1}\nrules: [{reply: fine}]"
    server = Server(2)
    for service in server.services:
        service.ruleset = compile_rules(read_text(text, "quota.yaml").scenarios)
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}]}
    statuses = [run(server.begin(worker, "p", body)).status for worker in (0, 1)]
    server.shared.drop_worker(0, 0.0)
    assert [*statuses, run(server.begin(1, "p", body)).status] == [200, 429, 200]


@pytest.mark.parametrize("cut", [1, 7, 9, 1000])
def test_messages_arrive_however_they_are_cut(cut: int) -> None:
    """One by one, whole and in order."""
    sent = [("a", b"x" * 50), {"b": 1}, None, "c" * 3000]
    data = b"".join(map(encode, sent))
    decoder = Decoder()
    found = [one for start in range(0, len(data), cut) for one in decoder.feed(data[start : start + cut])]
    assert found == sent


def test_a_rule_that_another_worker_has_used_up_counts_no_more() -> None:
    """Its quirks, which act before it is chosen, are off then too."""
    two = Server(2)
    assert [two.ask(worker, "bare", "p", stream=False)[2] for worker in (0, 1, 0)] == [200, 200, 400]
