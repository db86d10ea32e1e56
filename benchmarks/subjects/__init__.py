"""What is measured against each other: each module tells how one of them is installed, set up and started."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from benchmarks.situations import PIECE, Rule, Situation

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "benchmarks"


class UnavailableError(Exception):
    """Something cannot be measured here; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A server that answers chat completions."""

    name: str
    install: Callable[[], str]
    """Installs it under `.cache/` if need be, and returns its version. Raises UnavailableError."""
    command: Callable[[Sequence[Rule], Path, int], Sequence[str]]
    """The command that serves rules at a port; files that it needs go into the folder."""
    path: str = "/v1/chat/completions"
    named: bool = False
    """Whether the query has to name the situation, because the request is not read."""
    piece: int = PIECE
    """Characters of its chunks."""
    spreads: bool = False
    """Whether it uses more than one processor."""
    peer: bool = True
    """Whether it is somebody else's."""
    note: str = ""

    def url(self, situation: Situation) -> str:
        """Path and query of a situation's request."""
        return f"{self.path}?{situation.name}" if self.named else self.path

    def chunks(self, situation: Situation) -> int:
        """How many chunks with text an answer has."""
        return ceil(len(situation.text) / self.piece)


def install_from_pypi(name: str) -> str:
    """Install a package into an environment of its own; return its version. Raises UnavailableError."""
    python = python_of(name)
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(CACHE / name)])
    ask = [str(python), "-c", f"from importlib.metadata import version; print(version({name!r}))"]
    try:
        return _run(ask)
    except UnavailableError:
        _run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", name])
    return _run(ask)


def install_from_npm(package: str) -> str:
    """Install a package into a folder of its own; return its version. Raises UnavailableError."""
    manifest = CACHE / "npm" / "node_modules" / package / "package.json"
    if not manifest.exists():
        _run(["npm", "install", "--silent", "--no-save", "--prefix", str(CACHE / "npm"), package])
    return str(json.loads(manifest.read_text("utf-8"))["version"])


def python_of(name: str) -> Path:
    """The interpreter of a package's environment."""
    return CACHE / name / "bin" / "python"


def write_json(path: Path, content: object) -> str:
    """Write a file of rules, for those who read YAML too, which JSON is; return its path."""
    path.write_text(json.dumps(content, indent=1), "utf-8")
    return str(path)


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""}, timeout=600
        )
    except OSError as error:
        raise UnavailableError(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        raise UnavailableError((done.stderr or done.stdout).strip().rpartition("\n")[2] or f"{command[0]} failed")
    return done.stdout.strip()
