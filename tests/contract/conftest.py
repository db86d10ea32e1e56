"""Real clients over a real socket: one emulator for each module, one project for each test."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from tempfile import TemporaryDirectory
from threading import Barrier, Thread
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml
from openai import AsyncOpenAI, OpenAI

from emulator.api.emulator import Emulator

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "scenarios"


@pytest.fixture(scope="module")
def vertex(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulator of the files that the module lists as SCENARIOS; of the built-in default if it lists none."""
    names: tuple[str, ...] = getattr(request.module, "SCENARIOS", ())
    with Emulator(*(FOLDER / name for name in names)) as running:
        yield running


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """A project id of the test's own, which makes its session its own too."""
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")


@pytest.fixture
def base_url(vertex: Emulator, project: str) -> str:
    """What an OpenAI client takes as its base URL."""
    return vertex.session(project).base_url


@pytest.fixture
def client(vertex: Emulator, base_url: str) -> Iterator[OpenAI]:
    """A client as a program would make it: retries twice."""
    with OpenAI(base_url=base_url, api_key=vertex.api_key, max_retries=2) as client:
        yield client


@pytest.fixture
def use_async(vertex: Emulator, base_url: str) -> Callable[[Callable[[AsyncOpenAI], Awaitable[Any]]], Any]:
    """Run a coroutine function with an asynchronous client, and return what it returns."""

    def use(work: Callable[[AsyncOpenAI], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            async with AsyncOpenAI(base_url=base_url, api_key=vertex.api_key) as client:
                return await work(client)

        return asyncio.run(run())

    return use


@pytest.fixture
def journal(vertex: Emulator, project: str) -> Callable[[], list[dict[str, Any]]]:
    """Read the exchanges of the test's project, the oldest first.

    They are read through the control path, so after the server's loop has finished with the answers before.
    """

    def read() -> list[dict[str, Any]]:
        with urlopen(f"{vertex.url}/__emulator__/journal?session={project}") as answer:  # noqa: S310  # our own server
            exchanges: list[dict[str, Any]] = json.load(answer)["exchanges"]
        return exchanges

    return read


@pytest.fixture
def push(vertex: Emulator, project: str) -> Callable[[str], None]:
    """Give the test's project a scenario of its own, by the name of its file."""

    def put(name: str) -> None:
        address = f"{vertex.url}/__emulator__/scenario?session={project}"
        with urlopen(Request(address, (FOLDER / name).read_bytes(), method="PUT")) as answer:  # noqa: S310  # as above
            assert answer.status == 204

    return put


@pytest.fixture(scope="session")
def _node() -> None:
    """Fail where Node or npm is not installed."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.fail(
                f"{program} is not installed; these tests run the openai package for Node, so install Node 20 or newer"
            )


@pytest.fixture(scope="session")
def node_openai(_node: None) -> Path:
    """The folder where the openai package is installed; the first run installs it."""
    folder = ROOT / ".cache" / "node-openai"
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        # Installed beside its place and then moved there, so that what is in place is complete, whoever came first.
        with TemporaryDirectory(dir=folder.parent) as name:
            new = Path(name, "new")
            new.mkdir()
            done = subprocess.run(
                ["npm", "install", "--prefix", new, "--no-audit", "--no-fund", "openai"],
                cwd=new,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"npm could not install the openai package: {done.stderr}"
            with contextlib.suppress(OSError):
                new.rename(folder)
    return folder


@pytest.fixture(scope="session")
def node_client(_node: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the package of clients/node, as npm installs it from the file that npm packs."""
    folder = tmp_path_factory.mktemp("node-client")
    pack = ("npm", "pack", "--silent", "--pack-destination", folder, ROOT / "clients" / "node")
    packed = subprocess.run(pack, cwd=folder, capture_output=True, text=True, check=True).stdout.split()[-1]
    install = ("npm", "install", "--prefix", folder, "--offline", "--no-audit", "--no-fund", folder / packed)
    subprocess.run(install, cwd=folder, capture_output=True, text=True, check=True)
    return folder / "node_modules" / "vertex-openai-emulator"


class Recipe:
    """A folder with the files that a guide shows, where its commands are run."""

    def __init__(self, folder: Path, text: str, modules: Path, client: Path) -> None:
        """`modules` is the node_modules with what the commands would install, besides the `client`."""
        self.folder = folder
        self.text = text
        for block in re.finditer(r"(?ms)^```\w+\n(?:#|//) ([\w.-]+)\n(.*?)^```$", text):
            (folder / block[1]).write_text(block[2], "utf-8")
        installed = folder / "node_modules"
        installed.mkdir()
        for module in modules.iterdir():
            (installed / module.name).symlink_to(module)
        # Not a link, so that what it imports is looked for here.
        shutil.copytree(client, installed / client.name)
        commands = folder / "bin"
        commands.mkdir()
        command = commands / "vertex-emulator"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m emulator "$@"\n', "utf-8")
        command.chmod(0o755)
        kept = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
        path = os.pathsep.join((str(commands), os.environ["PATH"]))
        self.environment = {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}

    def run(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command; returns when all that it has started, servers too, has let go of its output."""
        return subprocess.run(
            command.split(),
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=240,
            check=False,
        )


def section_of_runners(title: str) -> str:
    """A section of docs/runners.md about JavaScript, behind what stands before all of them."""
    text = (ROOT / "docs" / "runners.md").read_text("utf-8")
    head, *sections = text.split("\n## JavaScript and TypeScript\n")[1].split("\n## ")[0].split("\n### ")
    return head + next(section for section in sections if section.startswith(f"{title}\n"))


@pytest.fixture
def make_recipe(tmp_path: Path, node_client: Path) -> Callable[..., Recipe]:
    """Make the folder of a recipe for JavaScript, from the guide's text or from the section of docs/runners.md with this title."""

    def make(modules: Path, title: str, text: str = "") -> Recipe:
        return Recipe(tmp_path, text or section_of_runners(title), modules, node_client)

    return make


class Runner:
    """Runs the steps of a GitHub job one after the other, as GitHub's runner does, in a recipe's folder."""

    def __init__(self, recipe: Any) -> None:
        self.recipe = recipe
        self.log = recipe.folder / "step-log.txt"
        self.temp = recipe.folder / "runner temp"
        self.temp.mkdir()
        self.files = {name: self.temp / name for name in ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT")}
        for file in self.files.values():
            file.touch()
        self._groups: list[int] = []

    def use_installed(self) -> None:
        """Let the action find the emulator of this test run installed."""
        home = self.temp / "vertex-emulator"
        (home / "venv" / "bin").mkdir(parents=True)
        (home / "bin").mkdir()
        (home / "venv" / "bin" / "python").symlink_to(sys.executable)
        shutil.copy(self.recipe.folder / "bin" / "vertex-emulator", home / "bin")

    def test_with(self, script: str) -> None:
        """Set what `npm test` runs."""
        (self.recipe.folder / "package.json").write_text(json.dumps({"scripts": {"test": script}}), "utf-8")

    def run(self, job: dict[str, Any], **environment: str) -> int:
        """Run a job with this more of environment; return the exit status of the first step that fails, or 0.

        Behind one that fails only those are run whose `if` wants it.
        """
        status = 0
        for step in job["steps"]:
            if status and "if" not in step:
                continue
            if "vertex-openai-emulator@" in step.get("uses", ""):
                status = self.use(**step["with"]) or status
            elif "run" in step and not step["run"].startswith(("npm ci", "pip install")):
                given = {name: str(value) for name, value in job.get("env", {}).items()} | environment
                status = self.step(step["run"], given) or status
        return status

    def use(self, **inputs: str) -> int:
        """Run our action with these inputs; return the exit status of its step."""
        action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
        (step,) = action["runs"]["steps"]
        values = {name: one.get("default", "") for name, one in action["inputs"].items()} | inputs

        def fill(text: str) -> str:
            return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: values[found[1]], text)

        return self.step(step["run"], {name: fill(text) for name, text in step["env"].items()})

    def step(self, command: str, environment: dict[str, str]) -> int:
        """Run a command as GitHub does; return its exit status."""
        given = {**self.recipe.environment, **environment, **self.variables("GITHUB_ENV")}
        added = self.files["GITHUB_PATH"].read_text("utf-8").split("\n")
        given["PATH"] = os.pathsep.join([*filter(None, reversed(added)), given["PATH"]])
        given |= {name: str(file) for name, file in self.files.items()}
        given |= {"RUNNER_TEMP": str(self.temp), "GITHUB_ACTION_PATH": str(ROOT)}
        with self.log.open("a") as log:
            process = subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", command],
                cwd=self.recipe.folder,
                env=given,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._groups.append(process.pid)
        return process.wait(timeout=900)

    def variables(self, name: str) -> dict[str, str]:
        """What steps have written into one of the files, as GitHub reads it."""
        return dict(line.split("=", 1) for line in self.files[name].read_text("utf-8").splitlines())

    def end(self) -> None:
        """End what the steps have left running."""
        for group in self._groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue


@pytest.fixture
def runner(make_recipe: Callable[..., Any], node_openai: Path) -> Iterator[Runner]:
    """A runner whose repository is the recipe for Node."""
    if shutil.which("bash") is None or shutil.which("jq") is None or shutil.which("curl") is None:
        pytest.skip("there is no bash, no jq or no curl")
    recipe = make_recipe(node_openai / "node_modules", "Node's test runner")
    made = Runner(recipe)
    yield made
    made.end()


@pytest.fixture
def open_gate() -> Iterator[Callable[[int], str]]:
    """Open a gate on a free port, returned as text: it says "go" to those who connect as soon as there are so many."""
    with contextlib.ExitStack() as stack:

        def start(number: int) -> str:
            barrier = Barrier(number, timeout=60)

            class Gate(BaseRequestHandler):
                def handle(self) -> None:
                    barrier.wait()
                    self.request.sendall(b"go")

            server = stack.enter_context(ThreadingTCPServer(("127.0.0.1", 0), Gate))
            Thread(target=server.serve_forever).start()
            stack.callback(server.shutdown)
            return str(server.server_address[1])

        yield start
