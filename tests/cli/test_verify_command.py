"""`vertex-emulator verify`, asked of a running emulator."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from emulator.api.emulator import Emulator
from emulator.cli.control_client import get_control
from emulator.errors import EmulatorError

SCENARIO = """
quota: {requests_per_minute: 2}
rules:
  - {name: weather, when: {last_user: weather}, expect: {at_least: 1}, reply: It rains.}
  - {name: unused, when: {last_user: unused}, reply: Never.}
"""
MISS = """\
exchange 4, session miss: no rule of "<scenario>" answers this request (session miss, turn 1)
nearest: "weather", <scenario>:4:5
  last_user  MISS  wanted text containing "weather", got "How was the match?"
also near: "unused" (1 miss)
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The URL of an emulator that has answered, refused and missed, each in a project, and one beyond its quota."""
    with Emulator(SCENARIO) as vertex:
        for project, model, text in (
            ("misspelt", "google/gemini-3.5-flsh", "How is the weather?"),
            ("fine", "google/gemini-3.5-flash", "How is the weather?"),
            ("refused", "gemini", "How is the weather?"),
            ("miss", "google/gemini-3.5-flash", "How was the match?"),
            *[("busy", "google/gemini-3.5-flash", "How is the weather?")] * 3,
        ):
            connection = HTTPConnection(vertex.url.removeprefix("http://"), timeout=30)
            body = {"model": model, "messages": [{"role": "user", "content": text}]}
            path = f"/v1/projects/{project}/locations/global/endpoints/openapi/chat/completions"
            connection.request("POST", path, json.dumps(body), {"Authorization": "Bearer ya29.x"})
            connection.getresponse().read()
            connection.close()
        yield vertex.url


@pytest.mark.parametrize(
    ("arguments", "said", "status"),
    [
        (["--session", "fine"], "", 0),
        (["--session", "busy"], "", 0),
        (["--session", "fine", "--strict"], '"unused", <scenario>:5:5: never answered\n', 1),
        (["--session", "none"], '"weather", <scenario>:4:5: never answered, expected at least once\nno request reached the emulator\n', 1),
        (["--session", "miss"], f'{MISS}"weather", <scenario>:4:5: never answered, expected at least once\n', 1),
    ],
)  # fmt: skip
def test_problems_are_printed(run: Any, url: str, arguments: list[str], said: str, status: int) -> None:
    """Each problem is printed, and makes the exit status 1; refusals by a quota are none."""
    result = run("verify", "--url", url, *arguments)
    assert (result.stdout, result.exit_code) == (said, status)


def test_problems_of_all_sessions_are_json_lines(run: Any, url: str) -> None:
    """--json prints one text a line: unanswered requests, refusals, models that would not be found, then rules."""
    result = run("verify", "--json", env={"VERTEX_EMULATOR_URL": url})
    missed, refused, misspelt = map(json.loads, result.stdout.splitlines())
    assert missed.startswith("exchange 4, session miss: no rule of")
    assert refused.startswith("exchange 3, session refused: refused by Vertex (malformed_publisher_model): model is")
    assert misspelt.startswith(
        'exchange 1: not found in the cloud: the model "google/gemini-3.5-flsh" is not in the catalogue'
    )
    assert result.exit_code == 1


@pytest.mark.parametrize("command", ["verify", "verdicts", "journal"])
def test_a_project_that_asked_nothing_is_named(run: Any, url: str, command: str) -> None:
    """If others have asked something, since it may be misspelt."""
    result = run(command, "--url", url, "--session", "fnie")
    assert result.stderr == (
        'vertex-emulator: no request of the project "fnie" is in the journal, only those of busy, fine, miss, misspelt and refused; did you mean "fine"?\n'
    )
    assert run(command, "--url", url, "--session", "fine").stderr == ""


def test_an_outcome_that_there_is_not_is_told(url: str) -> None:
    """No exchange ends so, which an empty list would not say."""
    with pytest.raises(
        EmulatorError, match='outcome is "mis"; expected answer, refusal, miss, error, token or unrouted'
    ):
        get_control(url, "journal", outcome="mis")


def test_unreachable_emulator_is_reported(run: Any) -> None:
    """An unreachable emulator is reported in one sentence."""
    result = run("verify", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert result.stderr.startswith("vertex-emulator: no emulator answers at http://127.0.0.1:1 (connection refused)")
