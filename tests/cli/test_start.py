"""What a server loads before its first answer: nothing that the answer does not need."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What only some answers, commands or questions need.
LATE = (
    "cryptography",
    "emulator.cli.exec",
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
    "jwt",
    "openai",
    "starlette",
    "trustme",
)

# Reads the scenario and answers a request as `serve` does, but for the socket.
PROGRAM = """
import asyncio, json, sys
from emulator.cli import main
main.commands["serve"]
from emulator.cli.watch import read_rules
from emulator.server.listening import build_server
from emulator.server.clock import SystemClock
from emulator.server.service import Service
from emulator.server.settings import Settings

said, asked = [], []

async def receive():
    if asked:
        # The client stays until it is answered.
        await asyncio.Event().wait()
    asked.append(1)
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
    """Answer one request in a new process; return the status and the modules that were imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *scenarios], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    status, modules = json.loads(done.stdout)
    return status, set(modules)


def test_first_answer_loads_only_what_it_needs(tmp_path: Path) -> None:
    """The first answer of a plain scenario needs none of the modules of other answers and commands."""
    scenario = tmp_path / "one.yaml"
    scenario.write_text("rules: [{name: greeting, when: {last_user: hello}, reply: Good day.}]", "utf-8")
    status, modules = answer_first(str(scenario))
    assert status == 200
    assert modules.intersection(LATE) == set()


def test_the_first_answer_of_the_default_needs_no_more() -> None:
    """The built-in default writes its text without Faker and Jinja."""
    status, modules = answer_first()
    assert status == 200
    assert modules.intersection(LATE) == set()


def test_a_made_up_sentence_needs_little_besides_faker(tmp_path: Path) -> None:
    """The first answer with a made-up sentence loads Faker and Jinja and nothing else that is heavy."""
    scenario = tmp_path / "one.yaml"
    scenario.write_text('rules: [{reply: "{{ fake.sentence() }}"}]', "utf-8")
    status, modules = answer_first(str(scenario))
    assert status == 200
    assert modules.intersection(LATE) == {"faker", "jinja2"}
