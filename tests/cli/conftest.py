"""The command line, called as a function and run as a program."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from emulator.cli.commands import main

ROOT = Path(__file__).parents[2]
PATIENCE = 60
"""Seconds after which a program that says nothing more is killed, so that a failing test ends."""

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, **settings: Any) -> Result:
        return CliRunner().invoke(main, arguments, catch_exceptions=False, **settings)

    return call


@pytest.fixture
def ask(tmp_path: Path) -> Callable[[str], str]:
    """Write a request with one user message, and return the file's name."""

    def write(text: str) -> str:
        messages = [{"role": "user", "content": text}]
        path = tmp_path / "request.json"
        path.write_text(json.dumps({"model": "google/gemini-2.5-flash", "messages": messages}), "utf-8")
        return path.name

    return write


class Program:
    """A running `vertex-emulator`, whose stdout and stderr are read line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def read_until(self, text: str) -> list[str]:
        """Read up to the first line that contains a text; fail with the lines read if none does."""
        assert self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            lines.append(line.rstrip("\n"))
            if text in line:
                return lines
        raise AssertionError(f"{text!r} was not said in:\n" + "\n".join(lines))

    def read_base_url(self) -> str:
        """Read the banner and return its base URL."""
        greeting = self.read_until("export OPENAI_API_KEY=")
        return next(line.partition("OPENAI_BASE_URL=")[2] for line in greeting if "OPENAI_BASE_URL=" in line)

    def read_rest(self) -> str:
        """Read until the program ends."""
        assert self.process.stdout is not None
        return self.process.stdout.read()


@contextmanager
def start(*arguments: str, cwd: Path) -> Iterator[Program]:
    """Run `python -m emulator` with arguments."""
    command = [sys.executable, "-m", "emulator", *arguments]
    with subprocess.Popen(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    ) as process:
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            yield Program(process)
        finally:
            watchdog.cancel()
            process.kill()


@pytest.fixture
def start_program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start `vertex-emulator` with arguments in an empty folder."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(start(*arguments, cwd=tmp_path))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start `vertex-emulator serve` on a free port in an empty folder."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(start("serve", "--port", "0", *arguments, cwd=tmp_path))
