"""Frameworks are installed when first needed, in `.cache/frameworks/NAME`; they are tested only by `pytest -m frameworks`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / ".cache" / "frameworks"
Make = Callable[[str, Sequence[str]], Path]


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "frameworks: installs a framework and runs it against the emulator")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out unless the run asks for them by their marker: they download a lot, and take minutes at first."""
    if "frameworks" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("frameworks")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def run(*command: str | Path, env: dict[str, str]) -> None:
    """Run a program; fail with what it printed."""
    done = subprocess.run(
        command, cwd=Path(__file__).with_name("programs"), env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def incomplete(folder: Path, packages: Sequence[str]) -> Iterator[bool]:
    """Tell whether an environment has still to be made, and then take it for made; one run at a time."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    installed = folder / "installed.txt"
    with folder.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        is_incomplete = not installed.exists() or installed.read_text("utf-8") != "\n".join(packages)
        if is_incomplete:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        yield is_incomplete
        installed.write_text("\n".join(packages), "utf-8")


@pytest.fixture(scope="session")
def make_environment() -> Make:
    """Make a virtual environment with these packages, or find it made, and return its Python."""

    def make(name: str, packages: Sequence[str]) -> Path:
        folder = FOLDER / f"{name}-py{sys.version_info.major}{sys.version_info.minor}"
        python = folder / "bin" / "python"
        with incomplete(folder, packages) as is_incomplete:
            if is_incomplete:
                run(sys.executable, "-m", "venv", folder, env=dict(os.environ))
                install = ("-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile")
                run(python, *install, *packages, env=dict(os.environ))
        return python

    return make


@pytest.fixture(scope="session")
def make_node_folder() -> Make:
    """Make a folder with these npm packages, or find it made, and return its package.json."""

    def make(name: str, packages: Sequence[str]) -> Path:
        for program in ("node", "npm"):
            if shutil.which(program) is None:
                pytest.fail(f"{program} is not installed; install Node 20 or newer")
        folder = FOLDER / name
        with incomplete(folder, packages) as is_incomplete:
            if is_incomplete:
                install = ("npm", "install", "--prefix", folder, "--no-audit", "--no-fund")
                run(*install, *packages, env=dict(os.environ))
        return folder / "package.json"

    return make


@pytest.fixture(scope="session")
def run_program() -> Callable[..., None]:
    """Run one of `programs/` with nothing of this run's environment but the paths; it exits with 0 if all is well."""

    def run_alone(*command: str | Path, **given: str) -> None:
        kept = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
        run(*command, env={**kept, "PYTHONDONTWRITEBYTECODE": "1", **given})

    return run_alone
