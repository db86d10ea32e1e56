"""Broken scenarios and what is said of them: `broken/NAME.yaml` (or a folder) and the full report in `broken/NAME.txt`.

A new case is a new file. `UPDATE_EXPECTED=1 pytest tests/scenario/test_broken.py` writes the reports anew; read them
as a stranger would before they are committed.
"""

import os
from pathlib import Path

import pytest

from emulator.errors import ScenarioError
from emulator.scenario.loading import read_paths

BROKEN = Path(__file__).parent / "broken"
CASES = sorted({path for path in BROKEN.iterdir() if path.suffix == ".yaml" or (path / "a.yaml").exists()})


def report(path: Path) -> str:
    """The problems of a scenario as the user sees them, the warnings of one that is usable among them."""
    try:
        warnings = read_paths([path.name]).warnings
    except ScenarioError as error:
        return f"{error}\n"
    return "\n".join(map(str, warnings)) + "\n"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_report(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken scenario gets the report that is written beside it."""
    monkeypatch.chdir(BROKEN)
    expected = path.with_suffix(".txt")
    said = report(path)
    if os.environ.get("UPDATE_EXPECTED"):
        expected.write_text(said, "utf-8")
    assert said == expected.read_text("utf-8")


def test_every_report_has_its_scenario() -> None:
    """No report is left over from a case that is gone."""
    assert {path.stem for path in BROKEN.glob("*.txt")} == {path.stem for path in CASES}
