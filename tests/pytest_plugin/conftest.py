"""Runs of pytest of their own."""

import os
import pkgutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import openai.resources.chat.completions  # noqa: F401  # loaded here, so that no run unloads it
import pytest

import emulator
from emulator.api.emulator import Emulator

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def _loaded() -> None:
    """Load everything: modules that a run in this process loads are unloaded after it, and a second load would make second classes."""
    for module in pkgutil.walk_packages(emulator.__path__, "emulator."):
        if module.name != "emulator.__main__":
            import_module(module.name)
    with Emulator("rules: [{reply: '{{ fake.word() }}'}]\n") as vertex:
        vertex.environment()
        for stream in (False, True):
            messages: Any = [{"role": "user", "content": "hi"}]
            answer = vertex.openai().chat.completions.create(model="google/g", messages=messages, stream=stream)
            list(answer)


@pytest.fixture
def run(_loaded: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """Run pytest on the files given by name, with this plugin and without other installed plugins.

    The run is a process of its own where it must be: with pytest-xdist, or if `in_process` is false.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))

    def run(*arguments: str, in_process: bool = True, **files: str) -> pytest.RunResult:
        for name, text in files.items():
            stem, _, ending = name.rpartition("_")
            (pytester.path / f"{stem}.{ending}").write_text(text, "utf-8")
        given = ("-p", "pytest_vertex_emulator.plugin", "-W", "error", *arguments)
        if in_process and "xdist" not in arguments:
            return pytester.runpytest_inprocess(*given)
        return pytester.runpytest_subprocess(*given)

    return run
