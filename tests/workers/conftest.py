"""Programs that fork run in processes of their own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 60
"""Seconds after which a program that hangs fails."""


@pytest.fixture
def run_alone() -> Callable[[str], "subprocess.CompletedProcess[str]"]:
    """Run a program that imports the emulator, and return how it ended and what it said."""

    def run(program: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run
