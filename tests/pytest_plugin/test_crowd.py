"""Many tests in workers and in random order share nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CROWD = Path(__file__).with_name("crowd")


@pytest.mark.slow
def test_five_hundred_tests_share_nothing(tmp_path: Path) -> None:
    """In two workers and in random order each test sees only its own session."""
    environment = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(CROWD)]),
        "SHUFFLE_SEED": os.environ.get("SHUFFLE_SEED", "2026"),
    }
    # What an outer run tells its workers is not for the inner one.
    environment = {name: value for name, value in environment.items() if not name.startswith("PYTEST_XDIST")}
    plugins = [f"-p{name}" for name in ("pytest_vertex_emulator.plugin", "xdist", "shuffling", "no:cacheprovider")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n2", *plugins, f"--rootdir={tmp_path}", CROWD / "crowd.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert "\n500 passed in " in done.stdout, done.stdout + done.stderr
