"""docs/programs.md has a row for each program that is run against the emulator."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests" / "contract" / "frameworks" / "programs"


def test_every_program_has_its_row() -> None:
    """The names in the table of frameworks are those of the files."""
    text = (ROOT / "docs" / "programs.md").read_text("utf-8")
    named = set(re.findall(r"`(\w+\.(?:py|mjs|yaml))`", text))
    assert named == {path.name for path in PROGRAMS.iterdir() if path.is_file()}
