"""The tests of openai-python again, in an environment that has version 2 of it."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".cache" / f"openai2-py{sys.version_info.major}{sys.version_info.minor}"
PACKAGES = ("openai<3", "hypothesis", "jsonschema[format]", "pillow", "pytest>=9")
"""What the tests need beside the emulator's own dependencies."""


def prepare() -> Path:
    """Return the Python of the environment, which is made by the first run and when what it needs has changed."""
    python = ENVIRONMENT / "bin" / "python"
    needed = [*PACKAGES, *tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]]
    installed = ENVIRONMENT / "installed.txt"
    if not installed.exists() or installed.read_text("utf-8") != "\n".join(needed):
        commands: list[list[str | Path]] = [
            [sys.executable, "-m", "venv", "--clear", ENVIRONMENT],
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *needed],
        ]
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"the environment with openai 2 could not be made: {done.stderr}"
        installed.write_text("\n".join(needed), "utf-8")
    return python


@pytest.mark.slow
def test_openai_2() -> None:
    """What passes with version 3 of the package passes with version 2."""
    python = prepare()
    version = subprocess.run(
        [python, "-c", "import openai; print(openai.__version__)"], capture_output=True, text=True, check=True
    )
    assert version.stdout.startswith("2.")
    modules = sorted(path for path in Path(__file__).parent.glob("test_openai_*.py") if path != Path(__file__))
    assert modules
    # Options and plugins of the run around this one are not this one's.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *modules],
        cwd=ROOT,
        env={**own, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
