"""docs/scenarios.md tells the language as it is."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from emulator.catalogue.quirks import QUIRK_NAMES
from emulator.engine.matching.conditions import compile_when, matches
from emulator.engine.reply.chunking import LONGEST
from emulator.engine.request.facts import Facts
from emulator.engine.signatures import signs_calls, signs_media
from emulator.scenario.conversation import TURNS
from emulator.scenario.reference import reference_text
from emulator.scenario.rules import ConversationRule, ReplyRule, SequenceRule
from emulator.scenario.schema import describe_keys
from emulator.scenario.steps import VERBS
from emulator.scenario.templates.variables import VARIABLES
from emulator.scenario.types import Model
from emulator.scenario.when import When
from emulator.server.settings import SEEDED_MOMENT
from emulator.wire.urls import parse_target

PATH = "/v1/projects/one/locations/global/endpoints/openapi/chat/completions"


def test_reference_is_generated(assert_generated: Any) -> None:
    """The second half of the guide is what `vertex-emulator reference` prints, without the quirks, which have a page."""
    text, _, _ = reference_text().partition("\n| quirk | ")
    assert_generated("scenarios.md", f"{text}\nAll of them: [Quirks](quirks.md).")


def test_reference_is_complete() -> None:
    """Every key of rules and of `when`, every verb, variable and quirk has a line or heading of its own."""
    text = reference_text()
    models: list[type[Model]] = [ReplyRule, SequenceRule, ConversationRule, *TURNS, When]
    assert all(describe_keys(model)[name] for model in models for name in model.model_fields)
    names = [*(name for model in models for name in model.model_fields), *VARIABLES, *QUIRK_NAMES]
    assert [name for name in names if f"\n| `{name.rstrip('_')}` |" not in text] == []
    assert re.findall(r"(?m)^### `(\w+)`$", text) == list(VERBS)


def test_every_line_means_something() -> None:
    """No key is left without a meaning, and no kind of value is a name of Python's."""
    rows = re.findall(r"(?m)^\| `\w+` \| (.+) \| (.*) \|$", reference_text())
    assert all(meaning for _, meaning in rows)
    assert not [kind for kind, _ in rows if re.search(r"\b(str|int|dict|None|Any|annotated)\b", kind)]


@pytest.mark.parametrize(
    ("field", "holds"), [("last_user", True), ("system", True), ("model", False), ("project", False)]
)
def test_short_forms(field: str, *, holds: bool) -> None:
    """A text means *contains* in prose, and the whole of a name."""
    target = parse_target(PATH)
    assert target is not None
    messages: Any = [{"role": "system", "content": "xONEx"}, {"role": "user", "content": "xonex"}]
    facts = Facts(target, [], {"model": "google/one", "messages": messages})
    assert matches(compile_when(When.model_validate({field: "on"})), facts) is holds


def test_figures_are_those_of_the_code(read_guide: Any) -> None:
    """The length of a chunk that the guide names is the one that is used."""
    assert f"at most {LONGEST} characters" in read_guide("scenarios.md")


def test_moment_is_that_of_the_code() -> None:
    """With a seed, it is always 1 January 2026, 00:00 UTC."""
    assert datetime.fromtimestamp(SEEDED_MOMENT, UTC) == datetime(2026, 1, 1, tzinfo=UTC)


def test_signatures_begin_where_the_guide_says() -> None:
    """Tool calls are signed from Gemini 2.5 on, pictures from Gemini 3 on."""
    models = ("google/gemini-2.0-flash-001", "google/gemini-2.5-flash", "google/gemini-3-flash-preview")
    assert [signs_calls(model) for model in models] == [False, True, True]
    assert [signs_media(model) for model in models] == [False, False, True]
