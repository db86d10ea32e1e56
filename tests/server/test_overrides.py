"""Overrides of a session, and whether they changed an answer."""

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
    """A service with the rules above."""
    return Service(compile_rules(read_text(RULES).scenarios), Settings(**settings), clock=ManualClock())


def ask(service: Service, text: str = "hi", *, project: str = "p", stream: bool = True, **body: Any) -> Exchange:
    """Send a request and return its exchange."""
    target = Target("v1", project, "global", "openapi")
    message = {"role": "user", "content": text}
    written = {"model": "google/gemini-2.5-flash", "messages": [message], "stream": stream, **body}
    exchange: Exchange = service.handle(target, b"", [(b"authorization", b"Bearer t")], json.dumps(written).encode())
    return exchange


def apply_variation(service: Service, name: str, project: str = "p") -> None:
    """Apply a variation of the catalogue to a session."""
    service.disturb(project, *choose_variations([name]))


@pytest.mark.parametrize(
    "name",
    [one.name for one in choose_variations(["faults", "errors", "slow"])] + ["usage_on_every_chunk", "no_final_chunk"],
)
def test_variations_change_answers(name: str) -> None:
    """Every fault, error and delay changes a streamed answer; other sessions are not affected."""
    service = build()
    apply_variation(service, name)
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
def test_only_effective_overrides_count(name: str, text: str, changed_by_overrides: bool) -> None:
    """A quirk or fault without effect, and a rule's own pace and faults, do not count as changes by overrides."""
    service = build()
    apply_variation(service, name)
    google: dict[str, Any] = {"extra_body": {"google": {"thinking_config": {"include_thoughts": True}}}}
    assert ask(service, text, **google).outcome.changed_by_overrides is changed_by_overrides


def test_a_refusal_caused_by_a_quirk_counts() -> None:
    """A refusal that happens without the quirk does not."""
    service = build()
    apply_variation(service, "unknown_fields_refused")
    refused = ask(service, store=True).outcome
    assert (refused.result, refused.changed_by_overrides) == ("refusal", True)
    anyhow = ask(service, model="bare").outcome
    assert (anyhow.result, anyhow.changed_by_overrides) == ("refusal", False)


def test_session_overrides_add_to_the_servers() -> None:
    """The server's quirks stay, a later `disturb` replaces the previous one, and a reset removes it."""
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
def test_unknown_names_raise(variation: Variation, said: str) -> None:
    """The error names the unknown word, and the session is unchanged."""
    service = build()
    with pytest.raises(StartError, match=said):
        service.disturb("p", variation)
    assert not ask(service).outcome.changed_by_overrides


def answers(service: Service, count: int) -> Sequence[int]:
    """The statuses of `count` answers."""
    return [ask(service).status for _ in range(count)]


def test_once_is_the_first_use_of_a_rule() -> None:
    """A retry is answered normally."""
    service = build()
    apply_variation(service, "429_once")
    assert answers(service, 3) == [429, 200, 200]
