"""The example request that `serve` prints is one that a rule of the served scenarios answers."""

import itertools
import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.cli.banner import example_request
from emulator.engine.ruleset import Ruleset, compile_rules
from emulator.scenario.loading import read_paths, read_text
from emulator.server.clock import ManualClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.wire.urls import Target

SCENARIOS = Path(__file__).parents[2] / "scenarios"
TARGET = Target("v1", "demo", "global", "openapi")
HELLO = {"model": "google/gemini-3.5-flash", "messages": [{"role": "user", "content": "Hello"}]}


def outcome_of(ruleset: Ruleset) -> tuple[str, str | None]:
    """What becomes of the example: outcome and rule."""
    service = Service(ruleset, Settings(auth="off"), clock=ManualClock())
    exchange = service.handle(TARGET, b"", [], json.dumps(example_request(ruleset)).encode())
    return exchange.result, exchange.rule


@pytest.mark.parametrize(
    "name", sorted(path.relative_to(SCENARIOS).with_suffix("").as_posix() for path in SCENARIOS.rglob("*.yaml"))
)
def test_the_example_of_each_shipped_scenario_is_answered(name: str) -> None:
    """A rule answers it."""
    outcome, rule = outcome_of(compile_rules(read_paths([str(SCENARIOS / f"{name}.yaml")]).scenarios))
    # A tool's result with pictures cannot be made up.
    assert outcome == ("miss" if name == "documented/green_shirt" else "answer")
    assert (rule is None) is (outcome == "miss")


@pytest.mark.parametrize(
    ("when", "found"),
    [
        ("last_user: umbrella", True),
        ("last_user: {equals: Exactly This}", True),
        ("last_user: {any_of: [one, two]}", True),
        ("last_user: {starts_with: Tell me}, stream: true", True),
        ("model: google/gemini-2.5-pro, last_user: \"it's 5 o'clock\"", True),
        ("system: pirate, any_user: ship", True),
        ("model: google/*, turn: 1", True),
        ("last_user: [rain, snow]", True),
        ("model: meta/llama*", True),
        ("tools: get_weather", True),
        ("tools: [get_weather, get_time], last_user: rain", True),
        ("tools: true", True),
        ("tools: auto", True),
        ("response_format: json_schema", True),
        ("response_format: application/json", True),
        ("response_format: Event", True),
        ("modalities: image", True),
        ("tools: {regex: '^get_'}", False),
        ("last_user: {regex: '^[0-9]{4}$'}", False),
        ("turn: 3", False),
        ("header: {x-team: red}", False),
        ("model: bare", False),
    ],
)
def test_conditions_that_are_easily_met(when: str, found: bool) -> None:
    """What cannot be met by texts, model and stream leaves the greeting."""
    ruleset = compile_rules(read_text(f"rules: [{{name: it, when: {{{when}}}, reply: Hi}}]").scenarios)
    if found:
        assert outcome_of(ruleset) == ("answer", "it")
    else:
        assert example_request(ruleset) == HELLO


def test_the_first_rule_that_can_be_met_is_taken() -> None:
    """Rules that need more are passed over, and those that another rule hides."""
    text = "rules: [{when: {tools: x}, reply: A}, {name: it, when: {last_user: sun}, reply: B}, {reply: C}]"
    assert outcome_of(compile_rules(read_text(text).scenarios)) == ("answer", "it")


def test_the_printed_line_is_answered(serve: Any, tmp_path: Path) -> None:
    """The curl line as a shell reads it; the page and how to stop stand below it."""
    text = 'rules: [{name: quoted, when: {last_user: "it\'s \\"5\\" o\'clock"}, reply: Tea time.}]'
    (tmp_path / "tea.yaml").write_text(text, "utf-8")
    program = serve("tea.yaml")
    said = "\n".join(program.read_until("Ctrl-C stops the server."))
    command = re.search(r"(?s)  (curl .*?)\n\n", said)
    assert command is not None
    words = shlex.split(command[1].replace("\\\n", " "))
    headers = dict(one.split(": ", 1) for flag, one in itertools.pairwise(words) if flag == "-H")
    answer = httpx.post(words[1], headers=headers, content=words[words.index("-d") + 1].encode())
    assert answer.json()["choices"][0]["message"]["content"] == "Tea time."
    assert answer.headers["x-emulator-rule"] == '"quoted", tea.yaml:1:9'
    page = re.search(r"The page that shows what happens:\n  (http://\S+/__emulator__/)", said)
    assert page is not None
    assert page[1] in words[1].replace("/v1/", "/__emulator__/v1/")


def test_log_lines_as_json(serve: Any) -> None:
    """With --log-format json a program reads what is logged."""
    program = serve("--log-format", "json")
    base = program.read_base_url()
    httpx.post(f"{base}/chat/completions", json=HELLO, headers={"authorization": "Bearer any"})
    line = json.loads(program.read_until('{"number"')[-1])
    assert (line["number"], line["session"], line["model"], line["asked"]) == (1, "demo", HELLO["model"], "Hello")
    assert (line["outcome"], line["status"], line["ended"]) == ("answer", 200, "complete")
