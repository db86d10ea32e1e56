"""This emulator: journal and vetting on; without its log, with it, with several workers, and as another checkout has it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.situations import ARGUMENTS, PIECE, TOOL, Rule
from benchmarks.subjects import Subject, UnavailableError, write_json
from emulator import __version__

WORKERS = os.cpu_count() or 1
PATH = "/v1/projects/demo/locations/us-central1/endpoints/openapi/chat/completions"


def _to_rule(rule: Rule) -> dict[str, Any]:
    step = {"say": rule.text, "chunks": {"size": PIECE}} if rule.text is not None else {"call": TOOL, "with": ARGUMENTS}
    return {"name": rule.topic, "when": {"last_user": rule.topic}, "reply": [step]}


def write_scenario(rules: Sequence[Rule], folder: Path) -> str:
    """Write the scenario file of rules; return its path."""
    return write_json(folder / "scenario.yaml", {"scenario": "benchmark", "rules": [_to_rule(rule) for rule in rules]})


def serve(
    rules: Sequence[Rule], folder: Path, port: int, *, workers: int = 1, log: bool = False, program: Sequence[str] = ()
) -> list[str]:
    """The command that serves rules."""
    options = [*(["--workers", str(workers)] if workers > 1 else []), *([] if log else ["--quiet"])]
    start = program or [sys.executable, "-m", "emulator"]
    return [*start, "serve", write_scenario(rules, folder), "--port", str(port), *options]


def name_baseline() -> str | None:
    """What another checkout is called, that `BENCHMARK_BASELINE` names by the program of its environment."""
    return "emulator, before" if os.environ.get("BENCHMARK_BASELINE") else None


def _find_workers() -> str:
    """The version, if `serve` knows workers and there are cores for them."""
    asked = subprocess.run(
        [sys.executable, "-m", "emulator", "serve", "--help"], capture_output=True, text=True, check=True
    )
    if "--workers" not in asked.stdout:
        raise UnavailableError("`serve` has no --workers")
    if WORKERS == 1:
        raise UnavailableError("this machine has one core")
    return __version__


ONE_WORKER = Subject(name="emulator", peer=False, path=PATH, install=lambda: __version__, command=serve)
ALL_WORKERS = Subject(
    name=f"emulator, {WORKERS} workers",
    path=PATH,
    peer=False,
    spreads=True,
    install=_find_workers,
    command=partial(serve, workers=WORKERS),
    note="as many workers as cores, which they share with the load generator",
)
LOGGING = Subject(
    name="emulator, log on",
    path=PATH,
    peer=False,
    install=lambda: __version__,
    command=partial(serve, log=True),
    note="with a line for each exchange, which is thrown away",
)
BASELINE = Subject(
    name=name_baseline() or "emulator, before",
    path=PATH,
    peer=False,
    install=lambda: "another checkout",
    command=partial(
        serve, program=["env", "-u", "PYTHONPATH", os.environ.get("BENCHMARK_BASELINE", "vertex-emulator")]
    ),
)
