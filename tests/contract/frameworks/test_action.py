"""The action installs the emulator; what it does then is tested by tests/contract/test_workflow.py."""

import sys
from typing import Any

import pytest

pytestmark = pytest.mark.frameworks


def test_action_installs_the_emulator(runner: Any) -> None:
    """Into an environment of its own, of which later steps see the command only; of its own revision if it is not told otherwise."""
    (runner.recipe.folder / "bin" / "vertex-emulator").unlink()
    del runner.recipe.environment["PYTHONPATH"]
    assert runner.use(python=sys.executable, scenarios="weather.yaml") == 0, runner.log.read_text("utf-8")
    assert runner.step("vertex-emulator --version && vertex-emulator exec -- node --test", {}) == 0, (
        runner.log.read_text("utf-8")
    )
    assert [file.name for file in (runner.temp / "vertex-emulator" / "bin").iterdir()] == ["vertex-emulator"]
