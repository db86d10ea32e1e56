"""Runs of pytest of their own."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """Run pytest on the files given by name, with this plugin and without other installed plugins."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))

    def run(*arguments: str, **files: str) -> pytest.RunResult:
        for name, text in files.items():
            stem, _, ending = name.rpartition("_")
            (pytester.path / f"{stem}.{ending}").write_text(text, "utf-8")
        return pytester.runpytest_subprocess("-p", "emulator.pytest_plugin", "-W", "error", *arguments)

    return run
