"""What takes long leaves the event loop, gets the same answer as it would there, and counts as it should when others are answered meanwhile."""

import asyncio
import gc
import json
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from emulator.engine.matching.choose import Chosen
from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import SystemClock
from emulator.server.long_work import LARGE_BODY, LongWork
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.store.interface import run_synchronously
from emulator.wire.requests import VERY_LARGE_BODY
from emulator.wire.urls import Target

TARGET = Target("v1", "p", "us-central1", "openapi")
MANY = "\n".join(f"- {{when: {{system: {{regex: '\\w+z\\d{{{at + 1}}}'}}}}, reply: a}}" for at in range(400))
SCENARIO = f"""
seed: 1
rules:
- {{name: short template, when: {{last_user: {{starts_with: short}}}}, reply: "{{{{ last_user | upper }}}}"}}
- name: long template
  when: {{last_user: {{starts_with: long}}}}
  reply: "{{% for i in range(300) %}}{{{{ fake.word() }}}} {{% endfor %}}"
- {{name: count, when: {{last_user: {{starts_with: count}}}}, sequence: [one, two, three], then: exhaust}}
- {{name: chunks, when: {{last_user: chunks}}, reply: {{say: "{"abc " * 3000}", chunks: {{size: 4}}}}}}
- {{name: json, when: {{response_format: json_schema}}, reply: {{json: auto}}}}
{MANY}
- {{name: other, when: {{last_user: other}}, reply: other}}
"""
RECORD = {"type": "object", "properties": {f"f{at}": {"type": "string"} for at in range(10)}}


def asked(text: str, system: str = "", **more: Any) -> bytes:
    """A body of a chat request."""
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": text})
    return json.dumps({"model": "google/gemini-2.5-flash", "messages": messages, **more}).encode()


def wants(schema: Any) -> dict[str, Any]:
    """The field that asks for an answer of a schema."""
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}}


@pytest.fixture(scope="module")
def rules() -> Any:
    """The rules, read once."""
    return compile_rules(read_text(SCENARIO, "long.yaml").scenarios)


@pytest.fixture
def service(rules: Any) -> Service:
    """A service of the rules."""
    return Service(rules, Settings(auth="off"), clock=SystemClock())


async def respond_at_once(service: Service, body: bytes) -> bool:
    """Whether a request is answered without a turn of the event loop; it is not waited for if it is not."""
    try:
        run_synchronously(service.respond(TARGET, b"", [], body))
    except RuntimeError:
        return False
    return True


ORDINARY = {
    "text": asked("short"),
    "template": asked("short, but a text that has some length " * 100),
    "schema": asked("x", **wants({"type": "array", "minItems": 5, "items": RECORD})),
    "sequence": asked("count"),
    "a long history": asked("count " + "lorem ipsum " * (LARGE_BODY // 12 - 20)),
}
LONG = {
    "a large body": asked("count " + "lorem ipsum " * (LARGE_BODY // 12 + 20)),
    "a very large body": asked("count " + "lorem ipsum " * (VERY_LARGE_BODY // 12)),
    "a template": asked("long"),
    "a schema": asked("x", **wants({"type": "array", "minItems": 500, "items": RECORD})),
    "many chunks": asked("chunks", stream=True),
    "regular expressions": asked("other", system="lorem ipsum " * 10_000),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_requests_are_answered_on_the_event_loop(service: Service, name: str) -> None:
    """No thread, no turn of the loop."""
    service.handle(TARGET, b"", [], ORDINARY[name])
    assert asyncio.run(respond_at_once(service, ORDINARY[name]))


@pytest.mark.parametrize("name", LONG)
def test_long_requests_leave_the_event_loop_and_get_the_same_answer(rules: Any, name: str) -> None:
    """The bytes are those that a caller without an event loop gets."""
    assert not asyncio.run(respond_at_once(Service(rules, Settings(auth="off"), clock=SystemClock()), LONG[name]))

    async def respond() -> Exchange:
        service = Service(rules, Settings(auth="off"), clock=SystemClock())
        return await service.respond(TARGET, b"", [], LONG[name])

    expected = Service(rules, Settings(auth="off"), clock=SystemClock()).handle(TARGET, b"", [], LONG[name])
    found = asyncio.run(respond())
    assert found.outcome.timeline == expected.outcome.timeline
    assert (found.rule, found.asked, found.warnings) == (expected.rule, expected.asked, expected.warnings)


def test_uses_are_counted_once_each_whatever_is_answered_meanwhile(service: Service) -> None:
    """Large and small requests use up a sequence together: each step is said once, and then no more."""

    async def respond() -> list[str | None]:
        large = [asyncio.ensure_future(service.respond(TARGET, b"", [], LONG["a large body"])) for _ in range(4)]
        await asyncio.sleep(0)
        found = [await service.respond(TARGET, b"", [], ORDINARY["sequence"]) for _ in range(2)]
        await asyncio.wait(large)
        return [
            json.loads(one.outcome.timeline.body)["choices"][0]["message"]["content"]
            for one in (*found, *(task.result() for task in large))
            if one.rule == "count"
        ]

    assert sorted(map(str, asyncio.run(respond()))) == ["one", "three", "two"]
    assert service.sessions.find("p").uses["long.yaml:count"] == 3


def test_a_choice_from_an_old_state_is_made_again() -> None:
    """It is used up, flags have changed, or the scenario is another one; a mere use by another gives it the next number."""
    text = "rules: [{name: a, times: 2, reply: a}, {name: b, sets: on, reply: b}, {name: c, reply: c}]"
    ruleset = compile_rules(read_text(text, "state.yaml").scenarios)
    service = Service(ruleset, Settings(auth="off"), clock=SystemClock())
    session, store = service.sessions.find("p"), service.store
    limited, setter, plain = (Chosen(rule, 1, {}, 0) for rule in ruleset.rules)

    def use(chosen: Chosen | None, state: Any) -> int | None:
        return run_synchronously(store.use("p", session, chosen, state))

    old = session.state
    assert [use(limited, old) for _ in range(3)] == [1, 2, None]
    assert [use(plain, old), use(plain, old), use(None, old)] == [1, 2, 0]
    assert use(setter, old) == 1
    assert [use(plain, old), use(None, old)] == [None, None]
    assert use(plain, session.state) == 3
    old = session.state
    session.replace_scenario(None, None)
    assert use(plain, old) == 1
    assert session.uses == {}


def run(work: Callable[[LongWork], Any]) -> Any:
    """Run a coroutine that is given the thread's work."""
    return asyncio.run(work(LongWork()))


def test_work_is_done_one_after_the_other_in_another_thread() -> None:
    """In the order in which it was asked for; what it raises is raised where it is waited for."""
    order: list[tuple[int, str]] = []

    async def work(long_work: LongWork) -> None:
        def note(number: int) -> int:
            order.append((number, threading.current_thread().name))
            return 1 // number

        results = await asyncio.gather(
            *(long_work.do(partial(note, number)) for number in (3, 0, 1)), return_exceptions=True
        )
        assert (results[0], type(results[1]), results[2]) == (0, ZeroDivisionError, 1)

    run(work)
    assert [number for number, _ in order] == [3, 0, 1]
    assert len({name for _, name in order} | {threading.current_thread().name}) == 2


def test_who_does_not_wait_any_more_leaves_the_turn_to_others() -> None:
    """A cancelled request is not waited for; the next is done behind it."""

    async def work(long_work: LongWork) -> str:
        loop, begun, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def wait() -> None:
            loop.call_soon_threadsafe(begun.set)
            go_on.wait(30)

        first = asyncio.ensure_future(long_work.do(wait))
        await begun.wait()
        first.cancel()
        second = asyncio.ensure_future(long_work.do(lambda: "done"))
        await asyncio.sleep(0)
        go_on.set()
        return await second

    assert run(work) == "done"


def test_the_thread_ends_with_its_owner() -> None:
    """Nothing is left when a service is gone."""
    threads: list[threading.Thread] = []

    async def work(long_work: LongWork) -> weakref.ref[LongWork]:
        threads.append(await long_work.do(threading.current_thread))
        return weakref.ref(long_work)

    owner = run(work)
    gc.collect()
    assert owner() is None
    threads[0].join(30)
    assert not threads[0].is_alive()


def test_no_garbage_is_collected_in_the_turn_of_a_very_large_body() -> None:
    """It is before and afterwards, and in other turns."""

    async def work(long_work: LongWork) -> list[bool]:
        seen = []
        for size in (VERY_LARGE_BODY, VERY_LARGE_BODY + 1):
            async with long_work.turn(size):
                seen.append(await long_work.run(gc.isenabled))
        return seen

    assert gc.isenabled()
    assert run(work) == [True, False]
    assert gc.isenabled()
