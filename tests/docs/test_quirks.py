"""docs/quirks.md has every quirk of the catalogue, and its example does what it says."""

import json
import re
from typing import Any

from emulator.catalogue.quirks import EARLY, PROFILES, QUIRKS, expand
from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import SystemClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.wire.urls import Target


def test_quirks_are_those_of_the_catalogue(assert_generated: Any) -> None:
    """Each with its effect, who reported it, and what it acts on."""
    lines = [
        "| quirk | what it does | status, and who reported it | acts on |",
        "| --- | --- | --- | --- |",
    ]
    for quirk in QUIRKS.values():
        parts = sorted(PROFILES.get(quirk.name, ()))
        effect = quirk.effect + (": " + ", ".join(f"`{part}`" for part in parts) if parts else "")
        names = expand(frozenset({quirk.name}))
        acts = "refusals and answers" if names & EARLY and names - EARLY else "refusals" if names & EARLY else "answers"
        lines.append(f"| `{quirk.name}` | {effect} | {quirk.source} | {acts} |")
    assert_generated("quirks.md", "\n".join(lines))


def test_every_source_has_a_status() -> None:
    """Documented, observed or assumed; only the switches of the emulator's own have none."""
    statuses = ("documented", "observed", "assumed", "a switch of the emulator's")
    assert [quirk.name for quirk in QUIRKS.values() if not quirk.source.startswith(statuses)] == []


def test_the_example_plays(read_guide: Any) -> None:
    """The stream breaks off with a bare error; a bare model is answered; the traffic type is missing from both."""
    (example,) = re.findall(r"(?s)```yaml\n(.*?)```", read_guide("quirks.md"))
    service = Service(compile_rules(read_text(example).scenarios), Settings(auth="off"), clock=SystemClock())
    answers = []
    for model, text, stream in (("google/gemini-2.5-flash", "A story, please", True), ("gemini-2.5-flash", "x", False)):
        body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}
        sent = service.handle(Target("v1", "p", "global", "openapi"), b"", [], json.dumps(body).encode())
        answers.append(sent.outcome.timeline)
    story, bare = answers
    assert json.loads(story.frames[-1].data)["error"]["status"] == "UNAVAILABLE"
    assert bare.status == 200
    assert all(b"traffic_type" not in answer.body for answer in answers)
