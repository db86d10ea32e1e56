"""`vertex-emulator exec --verify`, and what the last line says of requests that went wrong."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator.cli.exec import MAX_PROBLEMS

SKY = Path(__file__).with_name("sky.yaml")
CHAT = Path(__file__).with_name("programs") / "chat.py"
NOTHING = "vertex-emulator: no request reached the emulator; docs/exec.md lists what keeps programs from it\n"


@pytest.mark.parametrize(
    ("texts", "status", "said"),
    [
        (["sky"], 0, ""),
        (
            ["sky", "sea"],
            3,
            'vertex-emulator: request 2: no rule of "sky" answers this request (session demo, turn 1)\n',
        ),
        ([], 3, f'{NOTHING}vertex-emulator: "sky", {SKY}:3:5: never answered\n'),
    ],
    ids=["good", "miss", "unused"],
)
def test_verify(programs: Any, texts: list[str], status: int, said: str) -> None:
    """--verify makes misses and unused rules a failure."""
    done = programs.run("--verify", SKY, "--", sys.executable, CHAT, *texts)
    assert done.status == status
    assert done.err.partition(" leaks\n")[2] == said


@pytest.mark.parametrize(
    ("texts", "status", "said"),
    [
        (["sky", "sky"], 0, ""),
        (["sky", "sky", "sky"], 3, "answered 3 times, expected 2 times\n"),
        (["sky"], 3, "answered once, expected 2 times\n"),
    ],
    ids=["as often", "too often", "too rarely"],
)
def test_verify_asks_for_what_rules_expect(programs: Any, texts: list[str], status: int, said: str) -> None:
    """With --verify the `expect` of a rule must be met; a rule that may stay unused is not reported."""
    rules = [
        "{name: sky, when: {last_user: sky}, expect: {times: 2}, reply: Blue.}",
        "{name: sea, when: {last_user: sea}, expect: {times: 0}, reply: Green.}",
    ]
    scenario = programs.folder / "expecting.yaml"
    scenario.write_text("rules:\n" + "".join(f"- {rule}\n" for rule in rules), "utf-8")
    done = programs.run("--verify", scenario, "--", sys.executable, CHAT, *texts)
    assert done.status == status
    assert done.err.partition(" leaks\n")[2] == (f'vertex-emulator: "sky", expecting.yaml:2:3: {said}' if said else "")


def test_verify_leaves_failures_alone(programs: Any) -> None:
    """A program that fails keeps its own status."""
    done = programs.run("--verify", SKY, "--", "sh", "-c", "exit 5")
    assert (done.status, NOTHING in done.err) == (5, False)


def test_a_program_that_fails_is_told_which_requests_went_wrong(programs: Any) -> None:
    """Because they may be why; rules that it did not come to use are not named."""
    done = programs.run("--verify", SKY, "--", "sh", "-c", f"{sys.executable} {CHAT} sky sea; exit 7")
    reason = 'vertex-emulator: request 2: no rule of "sky" answers this request (session demo, turn 1)\n'
    assert (done.status, done.err.partition(" leaks\n")[2]) == (7, reason)
    done = programs.run("--verify", SKY, "--", "sh", "-c", f"{sys.executable} {CHAT} sky; exit 7")
    assert (done.status, done.err.partition(" leaks\n")[2]) == (7, "")


def test_verify_without_scenarios(programs: Any) -> None:
    """Rules of the built-in scenario may stay unused, but a program that reached nothing is not verified."""
    assert programs.run("--verify", "--", sys.executable, CHAT, "hello").status == 0
    done = programs.run("--verify", "--", "true")
    assert (done.status, done.err.partition(" leaks\n")[2]) == (3, NOTHING)


@pytest.mark.parametrize(
    ("rule", "model", "status", "said"),
    [
        (
            "{reply: Blue.}",
            "no-publisher",
            3,
            "vertex-emulator: request 1: refused by Vertex (malformed_publisher_model): ",
        ),
        ("{reply: {fail: 429}}", "google/gemini-2.5-flash", 0, ""),
        ("{reply: {fail: invalid_argument}}", "google/gemini-2.5-flash", 0, ""),
    ],
    ids=["Vertex's", "a rule's", "another rule's"],
)
def test_verify_names_refusals_that_are_not_scripted(
    programs: Any, rule: str, model: str, status: int, said: str
) -> None:
    """A request that Vertex would refuse is named; errors that rules script are as wanted."""
    (programs.folder / "one.yaml").write_text(f"rules:\n- {rule}\n", "utf-8")
    done = programs.run("--verify", "one.yaml", "--", sys.executable, CHAT, "x", env={"MODEL": model})
    assert done.status == status, done.err
    assert done.err.partition(" leaks\n")[2].startswith(said)


@pytest.mark.parametrize(("arguments", "status"), [([], 0), (["--verify"], 3)])
def test_models_that_vertex_would_not_find_are_named(programs: Any, arguments: list[str], status: int) -> None:
    """Once each, with --verify or without, because the program would fail in the cloud."""
    model = {"MODEL": "google/gemini-3.5-flsh"}
    done = programs.run(*arguments, SKY, "--", sys.executable, CHAT, "sky", "sky", "sky", env=model)
    assert done.status == status
    assert done.err.partition(" leaks\n")[2] == (
        'vertex-emulator: request 1 (and 2 more requests): not found in the cloud: the model "google/gemini-3.5-flsh" is not in the '
        'catalogue, and `--models known` refuses it; did you mean "google/gemini-3.5-flash"?\n'
    )


@pytest.mark.parametrize("arguments", [[], ["--verify"]])
def test_models_whose_end_was_announced_are_named_by_verify(programs: Any, arguments: list[str]) -> None:
    """They may still be answered, so that nothing fails."""
    done = programs.run(*arguments, SKY, "--", sys.executable, CHAT, "sky", env={"MODEL": "google/gemini-2.5-flash"})
    warning = "vertex-emulator: request 1: warning: the end of google/gemini-2.5-flash was announced for 2026-10-20; take a newer model\n"
    assert (done.status, done.err.partition(" leaks\n")[2]) == (0, warning if arguments else "")


@pytest.mark.parametrize("project", [None, "demo", "my-shop"])
def test_another_project_than_the_one_named_is_warned_of(programs: Any, project: str | None) -> None:
    """Which any is, if none is named."""
    named = ["--project", project] if project else []
    url = "$(echo $OPENAI_BASE_URL | sed 's,projects/[^/]*,projects/demo,')"
    done = programs.run("--verify", *named, SKY, "--", "sh", "-c", f"OPENAI_BASE_URL={url} {sys.executable} {CHAT} sky")
    warning = 'vertex-emulator: request 1: warning: the project is "demo", and --project says "my-shop"\n'
    assert (done.status, done.err.partition(" leaks\n")[2]) == (0, warning if project == "my-shop" else "")


def test_what_answers_did_not_do_is_named(programs: Any) -> None:
    """A fault that finds no place, and a model that is not known, are no reason to fail."""
    (programs.folder / "one.yaml").write_text("rules:\n- {reply: Hi., fault: comment_lines}\n", "utf-8")
    done = programs.run("--verify", "one.yaml", "--", sys.executable, CHAT, "x", env={"MODEL": "acme/own"})
    assert done.status == 0
    fault, model = done.err.partition(" leaks\n")[2].splitlines()
    assert fault.startswith("vertex-emulator: request 1: warning: fault ")
    assert model.startswith(
        'vertex-emulator: request 1: warning: the model "acme/own" is not in the catalogue, so it is misspelt or newer'
    )


@pytest.mark.parametrize(
    ("scenario", "asked", "status", "requests"),
    [
        ("tokens: {fail: 503, times: 1}\nrules: [{reply: Hi.}]\n", "grant_type=refresh_token", 0, 1),
        ("rules: [{reply: Hi.}]\n", "grant_type=refresh_token", 3, 1),
        ("quota: {requests_per_minute: 1}\nrules: [{reply: Hi.}]\n", "", 0, 2),
    ],
    ids=["scripted token", "token", "quota"],
)
def test_verify_knows_what_the_scenario_wants(
    programs: Any, scenario: str, asked: str, status: int, requests: int
) -> None:
    """Refusals that `tokens` and `quota` bring about are as wanted, others of the token service are not."""
    (programs.folder / "one.yaml").write_text(scenario, "utf-8")
    token = f"curl -s -o /dev/null -d {asked} https://oauth2.googleapis.com/token;" if asked else ""
    chat = f"{sys.executable} {CHAT} {'x ' * requests}"
    done = programs.run("--verify", "one.yaml", "--", "sh", "-c", f"{token} {chat}")
    assert done.status == status, done.err
    said = "vertex-emulator: request 1: /token refused it (token_parameter_missing): "
    assert (said in done.err) == (status == 3)


UNROUTED = """
base=https://us-central1-aiplatform.googleapis.com/v1/projects/demo/locations/us-central1
ask() { curl -s -o /dev/null "$@"; }
ask $base/publishers/google/models/gemini-2.5-flash:generateContent -d {}
ask $base/publishers/google/models/gemini-2.5-flash:generateContent -d {}
ask $base/endpoints/openapi/models
ask ${OPENAI_BASE_URL%%/v1/*}/v1/chat/completions -d {}
ask ${OPENAI_BASE_URL%%/v1/*}/health
ask https://storage.googleapis.com/storage/v1/b/bucket
ask https://storage.googleapis.com/storage/v1/b/bucket
"""


def test_unrouted_requests_are_named(programs: Any) -> None:
    """Requests to what is not emulated are in the last line, by kind; other services of Google's are leaks with a hint."""
    done = programs.run("-v", "--verify", "--", "sh", "-c", UNROUTED)
    lines = done.err.splitlines()
    (summary,) = [line for line in lines if line.startswith("vertex-emulator: 0 requests, ")]
    assert summary == (
        "vertex-emulator: 0 requests, 0 misses, 0 refusals, 2 leaks (storage.googleapis.com), "
        "5 requests to things that are not emulated: POST .../models/gemini-2.5-flash:generateContent (2 times), "
        "GET .../openapi/models, POST /v1/chat/completions, and 1 more"
    )
    hint = (
        "vertex-emulator: leak: a program wanted GET /storage/v1/b/bucket of storage.googleapis.com, which is not emulated; "
        "it got a 404 (--pass storage.googleapis.com lets it through)"
    )
    assert lines.count(hint) == 1
    assert done.status == 3
    problems = lines[lines.index(summary) + 1 :]
    assert [line.partition(": ")[2].partition(": ")[0] for line in problems] == [
        *(f"request {number}" for number in range(1, 8)),
        "leak",
    ]
    assert "POST /v1/chat/completions: no such path; did you mean " in problems[3]
    assert problems[-1] == "vertex-emulator: leak: storage.googleapis.com, 2 requests"
    models = (
        r"#\d+ [\d:]+ demo 404 GET /v1/projects/demo/locations/us-central1/endpoints/openapi/models: no such path.*"
    )
    assert sum(re.fullmatch(models, line) is not None for line in lines[: lines.index(summary)]) == 1


def test_scenarios_behind_the_dashes_are_told(programs: Any) -> None:
    """They are taken for the program."""
    done = programs.run("--verify", "--", "sky.yaml", sys.executable, CHAT, "sky")
    assert (
        done.err == "vertex-emulator: cannot run sky.yaml: no such file or directory; scenarios stand before the --\n"
    )


def test_verify_names_leaks(programs: Any) -> None:
    """A host that was refused makes the status 3, also if the program does not mind."""
    done = programs.run("--verify", "--", "sh", "-c", f"curl -s https://example.com/; {sys.executable} {CHAT} hello")
    assert (done.status, done.err.splitlines()[-1]) == (3, "vertex-emulator: leak: example.com, 1 request")


def test_verify_names_a_bounded_number_of_requests(programs: Any) -> None:
    """Of many requests with the same fault not all are listed."""
    done = programs.run("--verify", SKY, "--", sys.executable, CHAT, *["sea"] * (MAX_PROBLEMS + 5))
    problems = done.err.partition(" leaks\n")[2].splitlines()
    assert len(problems) == MAX_PROBLEMS + 2
    assert problems[MAX_PROBLEMS] == "vertex-emulator: and 5 more such requests; -v or --log tells which"
