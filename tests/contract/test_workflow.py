"""The workflow of docs/runners.md: its service fits the image, and its steps do what they are there for."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from emulator.cli.commands import main

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
GUIDE = (ROOT / "docs" / "runners.md").read_text("utf-8")
WORKFLOW = yaml.safe_load(re.findall(r"(?ms)^```yaml\n# \.github/workflows/[\w.]+\n(.*?)^```$", GUIDE)[0])
CONTAINER, BACKGROUND = WORKFLOW["jobs"]["container"], WORKFLOW["jobs"]["background"]
INSTALLING = {"npm ci", "pip install vertex-openai-emulator"}
PROGRAM = """
import OpenAI from "openai";
const messages = [{{ role: "user", content: "{text}" }}];
await new OpenAI().chat.completions.create({{ model: "google/gemini-2.5-flash", messages }}).catch(() => "never mind");
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
    assert "/__emulator__/health" in check
    words = service()["options"].split()
    assert dict(zip(words[::2], words[1::2], strict=True)).keys() <= {
        name.replace("--", "--health-") for name in re.findall(r"--[\w-]+", pace)
    }


def test_steps_are_known() -> None:
    """Every step uses an action or runs a command, and what this test does not run only installs."""
    for job in (CONTAINER, BACKGROUND):
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])
        assert INSTALLING & {step.get("run") for step in job["steps"]}
    name = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    assert f"pip install {name}" in INSTALLING


class Runner:
    """Runs the steps of a job one after the other, as GitHub's runner does, in a recipe's folder."""

    def __init__(self, compiled_reply: Any, script: str) -> None:
        self.compiled_reply = compiled_reply
        self.log = compiled_reply.folder / "log.txt"
        self._variables = compiled_reply.folder / "variables.txt"
        self._groups: list[int] = []
        (compiled_reply.folder / "package.json").write_text(json.dumps({"scripts": {"test": script}}), "utf-8")

    def run(self, job: dict[str, Any], **environment: str) -> int:
        """Run a job with this more of environment; return the exit status of the first step that fails, or 0."""
        self._variables.write_text("", "utf-8")
        for step in job["steps"]:
            if "run" not in step or step["run"] in INSTALLING:
                continue
            given = {name: str(value) for name, value in job.get("env", {}).items()} | environment
            given |= dict(line.split("=", 1) for line in self._variables.read_text("utf-8").splitlines())
            with self.log.open("a") as log:
                process = subprocess.Popen(
                    ["bash", "-e", "-c", step["run"]],
                    cwd=self.compiled_reply.folder,
                    env=self.compiled_reply.environment | given | {"GITHUB_ENV": str(self._variables)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._groups.append(process.pid)
            if process.wait(timeout=120):
                return process.returncode
        return 0

    def end(self) -> None:
        """End what the steps have left running."""
        for group in self._groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue


@pytest.fixture
def runner(make_recipe: Callable[..., Any], node_openai: Path) -> Iterator[Callable[[str], Runner]]:
    """Make a runner whose repository is the recipe for Node, with this for `npm test`."""
    if shutil.which("bash") is None or shutil.which("jq") is None or shutil.which("curl") is None:
        pytest.skip("there is no bash, no jq or no curl")
    compiled_reply = make_recipe(node_openai / "node_modules", "Node's test runner")
    with ExitStack() as stack:

        def make(script: str) -> Runner:
            made = Runner(compiled_reply, script)
            stack.callback(made.end)
            return made

        yield make


@pytest.mark.skipif(sys.platform != "linux", reason="the container's address is played by another loopback address")
@pytest.mark.parametrize(("token", "status"), [("only-for-tests", 0), ("another", 1)])
def test_container_job(runner: Any, tmp_path: Path, token: str, status: int) -> None:
    """The tests reach the command of the image by a foreign name, as they reach a container, and need its token."""
    command = json.loads(re.findall(r"(?m)^CMD (.+)$", DOCKERFILE)[-1])
    # An empty volume; and not on all addresses, but on one that the control path does not take for local either.
    (tmp_path / "volume").mkdir()
    put = {"0.0.0.0": "127.0.0.2", "8080": "0", "/scenarios": str(tmp_path / "volume")}  # noqa: S104  # looked up, not bound
    words = [put.get(word, word) for word in command]
    job = runner("node --test")
    process = subprocess.Popen(
        [sys.executable, "-m", "emulator", *words, "--print", "json"],
        env=job.compiled_reply.environment | {name: str(value) for name, value in service()["env"].items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            done = job.run(CONTAINER, VERTEX_EMULATOR_URL=url, VERTEX_EMULATOR_CONTROL_TOKEN=token)
        finally:
            process.kill()
    log = job.log.read_text("utf-8")
    assert done == status, log
    assert ("bearer of the control token" in log) == (status == 1)


@pytest.mark.parametrize(("text", "status"), [("How is the weather?", 0), ("How was the match?", 1)])
def test_background_job(runner: Any, text: str, status: int) -> None:
    """A program that reads the variables finds the server, and the last step fails the job if a request went unanswered."""
    job = runner("node program.mjs")
    (job.compiled_reply.folder / "program.mjs").write_text(PROGRAM.format(text=text), "utf-8")
    done = job.run(BACKGROUND)
    log = job.log.read_text("utf-8")
    assert done == status, log
    assert ('wanted text containing "weather", got "How was the match?"' in log) == (status == 1)
    assert f" {418 if status else 200} " in (job.compiled_reply.folder / "vertex.log").read_text("utf-8")


def test_background_job_with_a_bad_scenario(runner: Any) -> None:
    """A server that does not start fails its step, which says why."""
    job = runner("node --version")
    (job.compiled_reply.folder / "weather.yaml").write_text("rules: [{repyl: Hi}]", "utf-8")
    assert job.run(BACKGROUND) == 1
    assert 'weather.yaml:1:10: unknown key "repyl" in a rule; did you mean "reply"?' in job.log.read_text("utf-8")
