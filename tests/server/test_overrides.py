"""Surroundings of a session, and whether they made an answer another."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from emulator.catalogue.variations import Variation, choose_variations
from emulator.engine.ruleset import compile_rules
from emulator.errors import StartError
from emulator.scenario.loading import read_text
from emulator.server.clock import ManualClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.wire.urls import Target

RULES = """
rules:
  - {when: {last_user: cut}, reply: [{say: Never ever quite whole., chunks: words}], fault: end_mid_stream}
  - {when: {last_user: slow}, reply: At leisure., pace: {first_token_ms: 5}}
  - {when: {last_user: call}, reply: [{call: one, with: {}}, {call: two, with: {}}]}
  - {when: {last_user: think}, reply: [{think: So…}, {say: Thought.}]}
  - reply: [{say: "Un café, deux cafés, trois cafés.", chunks: words}]
"""


def build(**settings: Any) -> Service:
    """A service that answers by the rules above."""
    return Service(compile_rules(read_text(RULES).scenarios), Settings(**settings), clock=ManualClock())


def ask(service: Service, text: str = "hi", *, project: str = "p", stream: bool = True, **body: Any) -> Exchange:
    """Answer a request."""
    target = Target("v1", project, "global", "openapi")
    message = {"role": "user", "content": text}
    written = {"model": "google/gemini-2.5-flash", "messages": [message], "stream": stream, **body}
    exchange: Exchange = service.handle(target, b"", [(b"authorization", b"Bearer t")], json.dumps(written).encode())
    return exchange


def with_variation(service: Service, name: str, project: str = "p") -> None:
    """Give a session a variation of the catalogue."""
    service.disturb(project, *choose_variations([name]))


@pytest.mark.parametrize(
    "name",
    [one.name for one in choose_variations(["faults", "errors", "slow"])] + ["usage_on_every_chunk", "no_final_chunk"],
)
def test_what_happens_is_noticed(name: str) -> None:
    """Every fault, error and wait makes a streamed answer another; other sessions are left alone."""
    service = build()
    with_variation(service, name)
    assert ask(service).outcome.changed_by_overrides
    assert not ask(service, project="q").outcome.changed_by_overrides
    assert ask(service, project="q").outcome.timeline.is_instant


@pytest.mark.parametrize(
    ("name", "text", "changed_by_overrides"),
    [
        ("stop_on_calls", "hi", False),
        ("stop_on_calls", "call", True),
        ("midstream_cancelled", "call", True),
        ("tagged_thoughts", "hi", False),
        ("tagged_thoughts", "think", True),
        ("cut_inside_character", "cut", False),
        ("end_mid_stream", "cut", True),
        ("slow_first_token", "slow", False),
        ("429_once", "slow", True),
    ],
)
def test_only_what_comes_from_outside_counts(name: str, text: str, changed_by_overrides: bool) -> None:
    """A quirk that has nothing to change, a fault without a place and a rule's own pace and faults do not count."""
    service = build()
    with_variation(service, name)
    google: dict[str, Any] = {"extra_body": {"google": {"thinking_config": {"include_thoughts": True}}}}
    assert ask(service, text, **google).outcome.changed_by_overrides is changed_by_overrides


def test_a_refusal_that_a_quirk_brings_counts() -> None:
    """Another one, which would have come anyhow, does not."""
    service = build()
    with_variation(service, "unknown_fields_refused")
    refused = ask(service, store=True).outcome
    assert (refused.result, refused.changed_by_overrides) == ("refusal", True)
    anyhow = ask(service, model="bare").outcome
    assert (anyhow.result, anyhow.changed_by_overrides) == ("refusal", False)


def test_session_adds_to_what_holds_for_all() -> None:
    """The server's quirks stay, the last disturbance counts alone, and a reset ends it."""
    service = build(seed="1", quirks=frozenset({"usage_on_every_chunk"}))
    plain = ask(service).outcome.timeline
    service.disturb("p", Variation("", "", ("no_done",)))
    service.disturb("p", Variation("", "", ("end_mid_stream",)))
    found = ask(service).outcome.timeline
    assert found.ending == "end"
    assert plain.body.startswith(found.body)
    service.reset("p")
    assert ask(service).outcome.timeline.ending == "complete"


@pytest.mark.parametrize(
    ("variation", "said"),
    [
        (Variation("", "", ("reset_midstream",)), "reset_mid_stream"),
        (Variation("", "", pace="slow-trian"), "slow-train"),
        (Variation("", "", quirks=frozenset({"stop_on_call"})), 'did you mean "stop_on_calls"'),  # type: ignore[arg-type]  # the mistake
    ],
)
def test_mistakes_are_told(variation: Variation, said: str) -> None:
    """What there is not is named, and the session is as it was."""
    service = build()
    with pytest.raises(StartError, match=said):
        service.disturb("p", variation)
    assert not ask(service).outcome.changed_by_overrides


def answers(service: Service, count: int) -> Sequence[int]:
    """The statuses of so many answers."""
    return [ask(service).status for _ in range(count)]


def test_once_is_the_first_use_of_a_rule() -> None:
    """Whoever tries again is answered."""
    service = build()
    with_variation(service, "429_once")
    assert answers(service, 3) == [429, 200, 200]
