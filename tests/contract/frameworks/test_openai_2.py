"""The tests of openai-python again, with version 2 of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / ".cache" / "openai-2"
PACKAGES = ("openai<3", "distro", "jiter", "sniffio", "tqdm")
"""Version 2, and what it needs beside what version 3 needs."""


def prepare() -> Path:
    """Return the folder with version 2 of the package, which the first run fills; most of what it needs version 3 needs, too."""
    if not (FOLDER / "openai").exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        done = subprocess.run(
            [*command, "--no-deps", "--target", FOLDER, *PACKAGES], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"openai 2 could not be installed: {done.stderr}"
    return FOLDER


@pytest.mark.frameworks
def test_openai_2() -> None:
    """What passes with version 3 of the package passes with version 2."""
    # Options and plugins of the run around this one are not this one's.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    own["PYTHONPATH"] = os.pathsep.join([str(prepare()), str(ROOT)])
    version = subprocess.run(
        [sys.executable, "-c", "import openai; print(openai.__version__)"],
        env=own,
        capture_output=True,
        text=True,
        check=True,
    )
    assert version.stdout.startswith("2.")
    modules = sorted(Path(__file__).parents[1].glob("test_openai_*.py"))
    assert modules
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *modules],
        cwd=ROOT,
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
