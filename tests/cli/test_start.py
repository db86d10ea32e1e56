"""What a server loads before its first answer: nothing that the answer does not need."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What only some answers, commands or questions need, and what once came with them.
LATE = (
    "anyio",
    "emulator.cli.execute",
    "emulator.credentials",
    "emulator.engine.routes.completions",
    "emulator.engine.routes.embeddings",
    "emulator.engine.routes.responses",
    "emulator.intercept",
    "emulator.api.rules",
    "emulator.scenario.schema",
    "emulator.server.control",
    "faker",
    "jinja2",
    "openai",
    "pydantic",
    "pydantic_core.core_schema",
    "typing_extensions",
    "starlette",
    "trustme",
    "uvicorn.main",
    "uvicorn.supervisors",
    "watchfiles",
)

# Reads the scenario and answers a request as `serve` does, but for the socket.
PROGRAM = """
from emulator.__main__ import prepare
prepare()
import asyncio, json, sys
from emulator.cli import main
main.commands["serve"]
from emulator.cli.watch import read_rules
from emulator.server.listening import build_server
from emulator.server.clock import SystemClock
from emulator.server.service import Service
from emulator.server.settings import Settings

said = []

async def receive():
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}]}
    return {"type": "http.request", "body": json.dumps(body).encode()}

async def send(message):
    said.append(message)

path = "/v1/projects/demo/locations/global/endpoints/openapi/chat/completions"
scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": [(b"authorization", b"Bearer one")]}
server = build_server(Service(read_rules(sys.argv[1:]), Settings(), clock=SystemClock()))
asyncio.run(server.config.app(scope, receive, send))
print(json.dumps([said[0]["status"], sorted(sys.modules)]))
"""


def answer_first(*scenarios: str) -> tuple[int, set[str]]:
    """The status of the first answer, and the modules that were loaded for it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *scenarios], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    status, modules = json.loads(done.stdout)
    return status, set(modules)


def test_first_answer_loads_only_what_it_needs(tmp_path: Path) -> None:
    """The first answer of a plain scenario is there without what other answers, commands and questions need."""
    scenario = tmp_path / "one.yaml"
    scenario.write_text("rules: [{name: greeting, when: {last_user: hello}, reply: Good day.}]", "utf-8")
    status, modules = answer_first(str(scenario))
    assert status == 200
    assert modules.intersection(LATE) == set()


def test_a_made_up_sentence_needs_little_of_faker() -> None:
    """The first answer of the built-in default is there without what makes names, numbers and all other words."""
    status, modules = answer_first()
    assert status == 200
    assert {name for name in modules if name.startswith("faker.providers.")} == {
        "faker.providers.lorem",
        "faker.providers.lorem.en_US",
    }
    assert modules.intersection({*LATE} - {"faker", "jinja2"}) == set()


def test_garbage_is_collected_once_a_command_is_loaded() -> None:
    """A command runs with the garbage collector on, which is off only while the command is loaded."""
    program = "import gc, sys\nfrom emulator.__main__ import run\ntry:\n    run()\nfinally:\n    print(gc.isenabled())"
    done = subprocess.run(
        [sys.executable, "-c", program, "quirks"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "True")
