"""The action and the workflow of docs/runners.md: what they name is there, and their steps, run by bash, do what they are there for."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from emulator.cli.commands import main

ROOT = Path(__file__).parents[2]
ACTION_FILE = ROOT / "action.yml"
ACTION = yaml.safe_load(ACTION_FILE.read_text("utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
GUIDE = (ROOT / "docs" / "runners.md").read_text("utf-8")
WORKFLOW_TEXTS = re.findall(r"(?ms)^```yaml\n# \.github/workflows/[\w.]+\n(.*?)^```$", GUIDE)
WORKFLOW, EXEC_WORKFLOW = map(yaml.safe_load, WORKFLOW_TEXTS)
CONTAINER, WITH_ACTION = WORKFLOW["jobs"]["container"], WORKFLOW["jobs"]["action"]
EXEC = EXEC_WORKFLOW["jobs"]["exec"]
INSTALLING = "npm ci"
PROGRAM = """
import OpenAI from "openai";
const messages = [{{ role: "user", content: "{text}" }}];
await new OpenAI().chat.completions.create({{ model: "google/gemini-2.5-flash", messages }}).catch(() => "never mind");
"""
BY_EXEC = """
from openai import OpenAI, OpenAIError

for text in {texts}:
    try:
        messages = [{{"role": "user", "content": text}}]
        OpenAI().chat.completions.create(model="google/gemini-3.5-flash", messages=messages)
    except OpenAIError:
        print("never mind")
"""


def service() -> dict[str, Any]:
    """The service container."""
    found = CONTAINER["services"]["vertex"]
    assert isinstance(found, dict)
    return found


def test_ports_are_those_of_the_image() -> None:
    """The port that is published is the one that the image serves and exposes, and the tests are sent to its other end."""
    (ports,) = service()["ports"]
    outside, inside = ports.split(":")
    command = json.loads(re.findall(r"(?m)^CMD (.+)$", DOCKERFILE)[-1])
    assert command[command.index("--port") + 1] == inside
    assert re.findall(r"(?m)^EXPOSE (.+)$", DOCKERFILE) == [inside]
    assert CONTAINER["env"]["VERTEX_EMULATOR_URL"] == f"http://127.0.0.1:{outside}"


def test_variables_are_those_of_serve() -> None:
    """Each variable of the container is that of an option of `serve`, and the helper gets the same token."""
    serve = main.get_command(click.Context(main), "serve")
    assert serve is not None
    known = {parameter.envvar for parameter in serve.params if isinstance(parameter, click.Option)}
    assert set(service()["env"]) <= known
    token = "VERTEX_EMULATOR_CONTROL_TOKEN"
    assert service()["env"][token] == CONTAINER["env"][token]


def test_health_check_is_the_image_s() -> None:
    """The image has a health check, and the workflow changes only its pace, in a way that the Dockerfile does too."""
    (instruction,) = re.findall(r"(?ms)^HEALTHCHECK (.*?[^\\])$", DOCKERFILE)
    pace, _, check = instruction.partition("CMD ")
    assert "/__emulator__/ready" in check
    words = service()["options"].split()
    assert dict(zip(words[::2], words[1::2], strict=True)).keys() <= {
        name.replace("--", "--health-") for name in re.findall(r"--[\w-]+", pace)
    }


def check(schema: str, file: Path) -> None:
    """Check a file by one of the schemas that check-jsonschema brings."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_action_and_workflow_follow_their_schemas(tmp_path: Path) -> None:
    """By the schemas of GitHub's workflows and actions."""
    check("vendor.github-actions", ACTION_FILE)
    for text in WORKFLOW_TEXTS:
        (tmp_path / "workflow.yml").write_text(text, "utf-8")
        check("vendor.github-workflows", tmp_path / "workflow.yml")


def test_inputs_are_those_that_are_read() -> None:
    """Every input of the action reaches its script, which reads no other; the guide lists all, and all outputs."""
    (step,) = ACTION["runs"]["steps"]
    assert step["env"] == {f"INPUT_{name.upper()}": f"${{{{ inputs.{name} }}}}" for name in ACTION["inputs"]}
    script = (ROOT / "deploy" / "action" / "run.sh").read_text("utf-8")
    assert set(re.findall(r"\bINPUT_[A-Z]+", script)) == set(step["env"])
    section = GUIDE.split("\n## GitHub Actions\n")[1]
    inputs = [name for cell in re.findall(r"(?m)^\| (`.+?) \|", section) for name in re.findall(r"`([\w-]+)`", cell)]
    assert sorted(inputs) == sorted(ACTION["inputs"])
    outputs = re.findall(r"The outputs are (.+?), the file", section)[0]
    assert re.findall(r"`([\w-]+)`", outputs) == list(ACTION["outputs"])


def test_steps_are_known() -> None:
    """Every step uses an action or runs a command, and uses our action with inputs that it has."""
    for job in (CONTAINER, WITH_ACTION):
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])
        assert {"run": INSTALLING} in job["steps"]
    ours = [step for step in WITH_ACTION["steps"] if "vertex-openai-emulator@" in step.get("uses", "")]
    assert [step["with"].get("mode", "start") for step in ours] == ["start", "verify"]
    assert all(set(step["with"]) <= set(ACTION["inputs"]) for step in ours)


@pytest.mark.parametrize(
    ("texts", "scenario", "status", "said"),
    [
        (["weather?", "busy?"], None, 0, "3 requests, 0 misses, 0 refusals, 0 leaks"),
        (["weather?", "busy?", "match?"], None, 3, "4 requests, 1 miss, 0 refusals, 0 leaks"),
        (["weather?"], None, 3, '"busy at first", weather.yaml:3:5: never answered'),
        (["weather?"], "rules: [{repyl: Hi}]", 1, 'weather.yaml:1:10: unknown key "repyl" in a rule'),
    ],
    ids=["fine", "miss", "unused", "scenario"],
)
def test_exec_job(runner: Any, texts: list[str], scenario: str | None, status: int, said: str) -> None:
    """The scenario is checked, then the program is run; what went wrong fails its step, and the log is there for the artifact."""
    folder = runner.recipe.folder
    (folder / "app.py").write_text(BY_EXEC.format(texts=texts), "utf-8")
    if scenario is not None:
        (folder / "weather.yaml").write_text(scenario, "utf-8")
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = runner.run(EXEC, PATH=path)
    log = runner.log.read_text("utf-8")
    assert done == status, log
    assert said in log
    upload = EXEC["steps"][-1]
    assert upload["if"] == "${{ !cancelled() }}"
    kept = folder / upload["with"]["path"]
    assert kept.exists() == (scenario is None)
    if scenario is None:
        assert all(f'"{text}"' in kept.read_text("utf-8") for text in texts)


@pytest.fixture
def serve_image(runner: Any, tmp_path: Path) -> Iterator[str]:
    """Run the command of the image, reached by a foreign name as a container is, and return its URL."""
    command = json.loads(re.findall(r"(?m)^CMD (.+)$", DOCKERFILE)[-1])
    # An empty volume; and not on all addresses, but on one that the control path does not take for local either.
    (tmp_path / "volume").mkdir()
    put = {"0.0.0.0": "127.0.0.2", "8080": "0", "/scenarios": str(tmp_path / "volume")}  # noqa: S104  # looked up, not bound
    words = [put.get(word, word) for word in command]
    with subprocess.Popen(
        [sys.executable, "-m", "emulator", *words, "--print", "json"],
        env=runner.recipe.environment | {name: str(value) for name, value in service()["env"].items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            url: str = json.loads(process.stdout.readline())["url"]
            yield url
        finally:
            process.kill()


needs_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="the container's address is played by another loopback address"
)


def run_container_job(runner: Any, url: str) -> int:
    """Run the container's job against its service at a URL."""
    moved = {name: str(value).replace("http://127.0.0.1:8080", url) for name, value in CONTAINER["env"].items()}
    done: int = runner.run(CONTAINER, **moved)
    return done


@needs_linux
@pytest.mark.parametrize(("text", "status"), [("How is the weather?", 0), ("How was the match?", 1)])
def test_container_job(runner: Any, serve_image: str, text: str, status: int) -> None:
    """A program that knows nothing but the variables gets answers of the scenario that a step pushes; the last step verifies them."""
    runner.test_with("node program.mjs")
    (runner.recipe.folder / "program.mjs").write_text(PROGRAM.format(text=text), "utf-8")
    done = run_container_job(runner, serve_image)
    log = runner.log.read_text("utf-8")
    assert done == status, log
    assert ('wanted text containing "weather", got "How was the match?"' in log) == (status == 1)


@needs_linux
def test_container_job_with_a_bad_scenario(runner: Any, serve_image: str) -> None:
    """A scenario with a mistake fails its step, which says where it is."""
    (runner.recipe.folder / "weather.yaml").write_text("rules: [{repyl: Hi}]", "utf-8")
    assert run_container_job(runner, serve_image)
    assert ':1:10: unknown key \\"repyl\\" in a rule' in runner.log.read_text("utf-8")


@needs_linux
@pytest.mark.parametrize(("token", "status"), [("only-for-tests", 0), ("another", 1)])
def test_helper_in_the_container_job(runner: Any, serve_image: str, token: str, status: int) -> None:
    """Tests that use the helper push and verify by themselves, with the token of the job."""
    environment = {"VERTEX_EMULATOR_URL": serve_image, "VERTEX_EMULATOR_CONTROL_TOKEN": token}
    assert runner.step("node --test", environment) == status, runner.log.read_text("utf-8")
    assert ("bearer of the control token" in runner.log.read_text("utf-8")) == (status == 1)


@pytest.mark.parametrize(("text", "status"), [("How is the weather?", 0), ("How was the match?", 1)])
def test_action_job(runner: Any, text: str, status: int) -> None:
    """A program that knows nothing but the variables finds the server, and the last step fails if a request went unanswered."""
    runner.use_installed()
    runner.test_with("node program.mjs")
    (runner.recipe.folder / "program.mjs").write_text(PROGRAM.format(text=text), "utf-8")
    done = runner.run(WITH_ACTION)
    log = runner.log.read_text("utf-8")
    assert done == status, log
    assert f'demo gemini-2.5-flash "{text}"' in log
    # An annotation is one line.
    wanted = r'(?m)^::error title=vertex-emulator::exchange 1, .*%0A.*wanted text containing "weather", got "How was the match\?"'
    assert bool(re.search(wanted, log)) == (status == 1)
    outputs = runner.variables("GITHUB_OUTPUT")
    assert set(outputs) == {re.findall(r"outputs\.([\w-]+)", one["value"])[0] for one in ACTION["outputs"].values()}
    assert Path(outputs["log"]).read_text("utf-8").startswith("#1 ")
    assert outputs["base-url"] == runner.variables("GITHUB_ENV")["OPENAI_BASE_URL"]


def test_helper_and_commands_find_the_server_of_the_action(runner: Any) -> None:
    """The steps behind reach it by the helper and by the commands of the emulator, and each session is its own."""
    runner.use_installed()
    assert runner.use() == 0
    (runner.recipe.folder / "bin" / "vertex-emulator").unlink()
    command = runner.temp / "vertex-emulator" / "bin" / "vertex-emulator"
    assert runner.step(f'node --test && "{command}" journal', {}) == 0, runner.log.read_text("utf-8")
    assert runner.use(mode="verify") == 1
    assert "::no request reached the emulator" in runner.log.read_text("utf-8")


def test_verification_by_the_inputs(runner: Any) -> None:
    """`strict`, `clean` and `session` decide what is wrong."""
    runner.use_installed()
    scenario = "rules: [{name: one, when: {last_user: a}, reply: A}, {name: two, when: {last_user: b}, reply: B}]"
    (runner.recipe.folder / "two rules.yaml").write_text(scenario, "utf-8")
    assert runner.use(scenarios="\n  two rules.yaml  \n\n", options="--auth 'any' # as a comment") == 0
    ask = """curl -s "$OPENAI_BASE_URL/chat/completions" -H 'Authorization: Bearer sk-1' -d '{"model": "google/gemini-3.5-flash", "messages": [{"role": "user", "content": "a"}]}'"""
    assert runner.step(ask, {}) == 0
    assert runner.use(mode="verify") == 1  # an API key is refused
    assert "exchange 1, session demo: refused by Vertex" in runner.log.read_text("utf-8")
    assert (
        runner.step(f"curl -s -X POST $VERTEX_EMULATOR_URL/__emulator__/reset; {ask.replace('sk-1', 'ya29.x')}", {})
        == 0
    )
    assert runner.use(mode="verify", clean="true") == 0, runner.log.read_text("utf-8")
    assert runner.use(mode="verify", strict="true") == 1
    assert re.search(r'::"two", .*: never answered\n', runner.log.read_text("utf-8"))
    assert runner.use(mode="verify", session="other") == 1


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"mode": "stop"}, '::the input mode is "stop"; expected start or verify'),
        ({"mode": "verify"}, "::no emulator is known to this job; start one by this action"),
        ({"options": "--seed 'x"}, "::the input options cannot be read as words of a shell: ValueError: No closing quotation"),
        ({"options": "--sed x"}, "::the emulator did not start: Usage: .*%0AError: No such option"),
        ({"options": "--proxy"}, "::the option --proxy does not go with the action: .*; use vertex-emulator exec"),
        ({"scenarios": "nowhere.yaml"}, "::the emulator did not start: nowhere.yaml:1:1: there is no such file or folder"),
        ({"scenarios": "--help"}, "::the emulator did not start: --help:1:1: there is no such file or folder"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_told(runner: Any, inputs: dict[str, str], said: str) -> None:
    """What is wrong fails the step, with an annotation that says what to do."""
    runner.use_installed()
    assert runner.use(**inputs) == 1
    assert re.search(said, runner.log.read_text("utf-8")), runner.log.read_text("utf-8")


def test_only_one_server_is_started(runner: Any) -> None:
    """A second start fails, and a server that has ended is told."""
    runner.use_installed()
    assert runner.use() == 0
    assert runner.use() == 1
    assert "::an emulator runs already, at http://127.0.0.1:" in runner.log.read_text("utf-8")
    runner.end()
    assert runner.use(mode="verify") == 1
    assert re.search(r"::no emulator answers at http://127\.0\.0\.1:\d+; the log", runner.log.read_text("utf-8"))


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("nowhere", '::the input python is "nowhere", which cannot be run; name a Python, or use actions/setup-python'),
        ("./old-python", '::"./old-python" is Python 3.9, the emulator needs 3.11 or newer; use actions/setup-python'),
        (sys.executable, '::pip could not install "./nothing-there"; the step\'s log says why'),
    ],
    ids=["missing", "old", "fine"],
)
def test_installation_that_fails_is_told(runner: Any, program: str, said: str) -> None:
    """A Python that is missing or too old, and a source that pip does not take."""
    old = runner.recipe.folder / "old-python"
    old.write_text("#!/bin/sh\necho False 3.9\n", "utf-8")
    old.chmod(0o755)
    assert runner.use(python=program, source="./nothing-there") == 1
    assert said in runner.log.read_text("utf-8")
