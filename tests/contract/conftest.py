"""Real clients over a real socket: one emulator for each module, one project for each test."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from openai import AsyncOpenAI, OpenAI

from emulator.running import Emulator

FOLDER = Path(__file__).parents[2] / "scenarios"


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
    return vertex.base_url(project)


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
