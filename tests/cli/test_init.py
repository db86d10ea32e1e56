"""The starter that `init` writes, used as a newcomer would."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_starter_passes_its_own_check_and_test(run: Any, tmp_path: Path) -> None:
    """The scenario has neither problems nor warnings, and the test passes in an empty folder."""
    result = run("init", "starter")
    assert result.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "starter").iterdir()) == [
        "scenario.schema.json",
        "test_vertex.py",
        "vertex.yaml",
    ]
    checked = run("check", "starter/vertex.yaml")
    assert (checked.exit_code, checked.stderr) == (0, "")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "pytest_vertex_emulator.plugin", "starter/test_vertex.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_printed_commands_name_the_files(run: Any) -> None:
    """The commands that are printed name the files that were written."""
    lines = run("init", "a/b").stdout.splitlines()
    assert lines[:2] == ["wrote a/b/vertex.yaml", "wrote a/b/test_vertex.py"]
    assert lines[2].startswith("wrote a/b/scenario.schema.json")
    assert run(*lines[5].split()[1:]).exit_code == 0


def test_nothing_is_overwritten(run: Any, tmp_path: Path) -> None:
    """Nothing is written if one of the files exists."""
    (tmp_path / "test_vertex.py").write_text("mine", "utf-8")
    result = run("init")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "vertex-emulator: test_vertex.py exists already; nothing was written\n"
    assert [path.name for path in tmp_path.iterdir()] == ["test_vertex.py"]


def test_folder_that_is_a_file(run: Any, tmp_path: Path) -> None:
    """A folder that cannot be created is reported in one sentence."""
    (tmp_path / "taken").write_text("", "utf-8")
    result = run("init", "taken")
    assert result.exit_code == 1
    assert result.stderr == "vertex-emulator: cannot write into taken: file exists\n"
