"""The limit: an ASGI callable on the emulator's own uvicorn that reads the request and sends what the emulator sends, ready-made."""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.asking import ask
from benchmarks.serving import Server
from benchmarks.situations import HISTORY, ONE_RULE, PLAIN, SITUATIONS, STREAM, Rule
from benchmarks.subjects import Subject, write_json
from benchmarks.subjects.emulator import ONE_WORKER, PATH

PROGRAM = Path(__file__).with_name("bare_server.py")
_BY_UVICORN = {"date", "transfer-encoding"}


def record(rules: Sequence[Rule], folder: Path) -> str:
    """Ask the emulator everything once and keep its answers; returns the file's path."""
    answers: dict[str, Any] = {}
    with Server(ONE_WORKER, rules, folder) as server:
        for situation in (PLAIN, STREAM, HISTORY) if rules == ONE_RULE else SITUATIONS:
            answer = ask(server.port, PATH, situation)
            headers = [[name, value] for name, value in answer.headers if name not in _BY_UVICORN]
            answers[situation.name] = {"headers": headers, "body": answer.body.decode()}
    return write_json(folder / "answers.json", answers)


def _serve(rules: Sequence[Rule], folder: Path, port: int) -> list[str]:
    # -P: its own folder has modules with the names of packages.
    return [sys.executable, "-P", str(PROGRAM), record(rules, folder), str(port)]


SUBJECT = Subject(
    name="bare callable",
    path=PATH,
    named=True,
    peer=False,
    install=lambda: f"uvicorn {version('uvicorn')}",
    command=_serve,
    note="the limit: sends the emulator's bytes ready-made, on the same uvicorn",
)
