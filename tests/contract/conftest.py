"""Real clients over a real socket: one emulator for each module, one project for each test."""

import asyncio
import contextlib
import json
import os
import re
import shutil
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
def node_openai() -> Path:
    """The folder where the openai package is installed; the first run installs it."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.fail(
                f"{program} is not installed; these tests run the openai package for Node, so install Node 20 or newer"
            )
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


class CompiledReply:
    """A folder with the files that sections of docs/runners.md show, where their commands are run."""

    def __init__(self, folder: Path, modules: Path, *titles: str) -> None:
        """`modules` is the node_modules with what their commands would install."""
        self.folder = folder
        self.text = "".join(section_of_runners(title) for title in titles)
        for block in re.finditer(r"(?ms)^```\w+\n(?:#|//) ([\w.-]+)\n(.*?)^```$", self.text):
            (folder / block[1]).write_text(block[2], "utf-8")
        (folder / "node_modules").symlink_to(modules, target_is_directory=True)
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
            timeout=120,
            check=False,
        )


def section_of_runners(title: str) -> str:
    """A section of docs/runners.md."""
    text = (ROOT / "docs" / "runners.md").read_text("utf-8")
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.fixture
def make_recipe(tmp_path: Path) -> Callable[..., CompiledReply]:
    """Make the folder of a recipe for JavaScript, from the sections with these titles."""
    return lambda modules, *titles: CompiledReply(tmp_path, modules, "For all JavaScript runners", *titles)


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
