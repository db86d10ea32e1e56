"""All that is public, used as a user would: read by mypy, never run."""

from pathlib import Path
from typing import Any, assert_type

from openai import AsyncOpenAI, OpenAI

from emulator.api.emulator import Emulator
from emulator.api.rules import RuleBuilder
from emulator.api.session import VertexSession
from emulator.engine.request.facts import Facts
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.store.views import JournalView
from emulator.verdicts.registry import Verdict
from emulator.verdicts.verification import Verification


def echo(facts: Facts) -> str:
    """A function as a reply."""
    return f"You said {facts.last_user}, with {len(facts.tools)} tools."


def steps(facts: Facts) -> list[dict[str, Any]]:
    """Another, which gives steps."""
    return [{"think": "Hm."}, {"say": facts.model}]


def use_emulator() -> None:
    """Start, ask for what a client needs, stop."""
    with Emulator("weather.yaml", Path("more"), "rules:\n- reply: Hello\n", settings=Settings(seed="1")) as vertex:
        assert_type(vertex, Emulator)
        assert_type(vertex.url, str)
        assert_type(vertex.base_url, str)
        assert_type(vertex.session(project="mine", location="global", endpoint="openapi").base_url, str)
        assert_type(vertex.api_key, str)
        assert_type(vertex.credentials_file, Path)
        assert_type(vertex.write_credentials("mine"), Path)
        assert_type(vertex.environment(project="mine"), dict[str, str])
        assert_type(vertex.openai(max_retries=0), OpenAI)
        assert_type(vertex.async_openai(project="mine"), AsyncOpenAI)
        assert_type(vertex.session("mine"), VertexSession)
        assert_type(vertex.journal, JournalView)
        assert_type(vertex.verify(strict=True), Verification)
        assert_type(vertex.verdicts(), tuple[Verdict, ...])
        vertex.assert_clean()
        assert_type(vertex.assert_sent(session="mine", last_user="weather"), tuple[Exchange, ...])
        vertex.on(last_user="weather").reply("It is cold.")
        vertex.reset()
    emulator = Emulator(host="::1", port=8080).start()
    emulator.stop()


async def use_emulator_async() -> None:
    """The same with asyncio."""
    async with Emulator() as vertex:
        assert_type(vertex, Emulator)
        client = vertex.session().async_openai()
        await client.chat.completions.create(model="google/gemini-2.5-flash", messages=[])
        assert_type(await vertex.journal.wait_for_async(1, timeout=1), tuple[Exchange, ...])


def use_session(vertex: VertexSession) -> None:
    """What a test has."""
    assert_type(vertex.project, str)
    assert_type(vertex.location, str)
    assert_type(vertex.endpoint, str)
    assert_type(vertex.base_url, str)
    assert_type(vertex.api_key, str)
    assert_type(vertex.credentials_file, Path)
    assert_type(vertex.environment(), dict[str, str])
    assert_type(vertex.openai(), OpenAI)
    assert_type(vertex.verify(), Verification)
    assert_type(vertex.verify().problems, tuple[str, ...])
    assert_type(vertex.verdicts(), tuple[Verdict, ...])
    vertex.assert_clean()
    assert_type(vertex.assert_sent(1, model="google/*", tool="f", rule=None, body={"n": 1}), tuple[Exchange, ...])
    vertex.assert_sent(modle="google/*")  # type: ignore[call-arg]  # the mistake
    vertex.push("weather.yaml", Path("more.yaml"), "rules:\n- reply: Hello\n")
    vertex.reset()
    vertex.close()
    with vertex as same:
        assert_type(same, VertexSession)


def use_rules(vertex: VertexSession) -> None:
    """Rules in Python."""
    rule = vertex.on(last_user="weather", tools=["get_weather"], after_tool=False, stream=True, turn="2+")
    assert_type(rule, RuleBuilder)
    assert_type(rule.call("get_weather", city="Oslo").then("It is cold."), RuleBuilder)
    vertex.on(last_user={"regex": "^Hi"}, has=["image"], header={"x-a": True}, not_={"system": "no"})
    vertex.on(any=[{"model": "google/*"}, {"body": {"n": 2}}]).reply(echo).then(steps).after_last("loop")
    vertex.on().think("Hm.").say(["a", "b"]).call("f", {"a": 1}).call("f", "{broken").call("auto")
    vertex.on().json({"a": 1}, chunks="whole").json().image().audio("sound.wav", mime_type="audio/wav").raw([1])
    vertex.on().fail(429, message="Later.").then().fail("UNAVAILABLE").times(2).named("busy").expect(times=2)
    vertex.on().reply({"say": "a"}).expect(at_least=1)
    vertex.on().reply([{"say": "a"}]).beside(
        finish="length", usage={"prompt": 1}, headers={"x": "y"}, quirks=[], pace="instant", fault=[]
    )
    vertex.on().requires("paid", "not shipped").reply("RequestFilter.").sets("shipped")
    vertex.on().conversation([{"user": "hi"}, {"assistant": [{"say": "Hello."}]}])
    vertex.on(last_usr="weather")  # type: ignore[call-arg]  # the mistake


def use_journal(vertex: VertexSession) -> None:
    """Questions to the journal."""
    assert_type(vertex.journal, JournalView)
    assert_type(vertex.journal.last, Exchange)
    assert_type(vertex.journal.wait_for(1, timeout=1.0), tuple[Exchange, ...])
    assert_type(vertex.journal.where(model="google/*", tool="get_*", outcome="answer", status=200), JournalView)
    vertex.journal.where(last_user="weather")  # type: ignore[call-arg]  # the mistake
    assert_type(vertex.journal.assert_sent(times=1, last_user="weather", body={"n": 1}), tuple[Exchange, ...])
    for exchange in vertex.journal:
        assert_type(exchange.text, str)
        assert_type(exchange.status, int)
        assert_type(exchange.rule, str | None)
        assert_type(exchange.model, str)
        assert_type(exchange.warnings, tuple[str, ...])
        assert_type(exchange.sender.host, str)
        assert_type(exchange.to_json(), dict[str, Any])
