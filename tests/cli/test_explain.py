"""`vertex-emulator explain NUMBER`: an exchange of a running emulator, explained by what was remembered when it came."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openai import OpenAI

from emulator.api.emulator import Emulator
from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_paths
from emulator.server.settings import Settings

SCENARIO = """
scenario: desk
rules:
  - {name: once, when: {last_user: hello}, times: 1, reply: First.}
  - {name: told, when: {last_user: hello}, requires: told, reply: Again.}
  - {name: tell, when: {last_user: hello}, sets: told, reply: Second.}
"""


def ask(vertex: Emulator, text: str) -> None:
    """Send one request, whatever is answered."""
    client: OpenAI = vertex.openai(max_retries=0)
    messages: Any = [{"role": "user", "content": text}]
    client.chat.completions.with_raw_response.create(model="google/gemini-2.5-flash", messages=messages)


def test_what_was_used_up_and_set_then(run: Callable[..., Any], tmp_path: Path) -> None:
    """Each exchange is explained by the uses and flags of its own time, not of now."""
    path = tmp_path / "desk.yaml"
    path.write_text(SCENARIO, "utf-8")
    with Emulator(path) as vertex:
        for _ in range(3):
            ask(vertex, "hello")
        explained = [run("explain", str(number), "--url", vertex.url) for number in (1, 2, 3)]
        found = json.loads(run("explain", "2", "--url", vertex.url, "--json").stdout)
        gone = run("explain", "9", "--url", vertex.url)
        # As after an edit under --watch: what answered then would not answer now.
        path.write_text(
            SCENARIO.replace("name: told, when: {last_user: hello}", "name: told, when: {last_user: bye}"), "utf-8"
        )
        vertex.service.ruleset = compile_rules(read_paths([path]).scenarios)
        changed = run("explain", "3", "--url", vertex.url)
    assert [one.exit_code for one in explained] == [0, 0, 0]
    assert [[line for line in one.stdout.splitlines() if line.endswith(": answers")] for one in explained] == [
        [f'"{name}", desk.yaml:{line}:5: answers'] for name, line in (("once", 4), ("tell", 6), ("told", 5))
    ]
    assert "used up: 1 of 1" in explained[1].stdout
    assert (found["rule"], found["use"], [rule["answers"] for rule in found["rules"]]) == (
        "tell",
        1,
        [False, False, True],
    )
    assert gone.exit_code == 1
    assert "exchange 9 is not in the journal" in gone.stderr
    assert '"told", desk.yaml:5:5, answered it then; the rules have changed since' in changed.stdout


def test_the_default_scenario_behind_other_rules(run: Callable[..., Any]) -> None:
    """What the fallback answers is explained by its rules, after those that did not answer."""
    with Emulator(SCENARIO, settings=Settings(fallback="default")) as vertex:
        ask(vertex, "What is the capital of Norway?")
        done = run("explain", "1", "--url", vertex.url)
    assert done.exit_code == 0
    assert "have changed" not in done.stdout
    assert '"tell", <scenario>:6:5: misses' in done.stdout
    assert "default.yaml" in next(line for line in done.stdout.splitlines() if line.endswith(": answers"))


def test_a_rule_that_hands_over_names_the_rule_of_the_default(run: Callable[..., Any], tmp_path: Path) -> None:
    """The explanation says which rule of the default scenario gave the answer."""
    (tmp_path / "over.yaml").write_text("rules: [{name: hand over, when: {last_user: [hi, hello]}, reply: default}]\n")
    body = {"model": "google/gemini-3.5-flash", "messages": [{"role": "user", "content": "Hello"}]}
    (tmp_path / "request.json").write_text(json.dumps(body))
    done = run("explain", "over.yaml", "request.json")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == '"hand over" hands over to the rule "otherwise" of the default scenario'
    body["messages"] = [{"role": "user", "content": "Bye"}]
    (tmp_path / "request.json").write_text(json.dumps(body))
    missed = run("explain", "over.yaml", "request.json")
    assert 'last_user  MISS  wanted text containing "hi" or text containing "hello", got "Bye"' in missed.stdout


def test_the_request_comes_last(run: Any) -> None:
    """Files in the wrong order are not read as what they are not."""
    result = run("explain", "request.json", "sky.yaml")
    assert (result.exit_code, "the request comes last: explain SCENARIOS... REQUEST.json" in result.stderr) == (2, True)
