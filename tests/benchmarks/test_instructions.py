"""Comparing instruction counts."""

import json
from pathlib import Path

import pytest

from benchmarks.instructions import CASES, KEPT, CountingError, compare, read_count, refuse_other_build


def test_growth_beyond_the_tolerance_is_told() -> None:
    """Three in a hundred are nothing, four are something."""
    table, worse = compare({"same": 100, "near": 100, "far": 100}, {"same": 100, "near": 103, "far": 104, "new": 7})
    assert worse == ["far"]
    assert "+4.0 %" in table


def test_another_build_is_not_compared() -> None:
    """Counts of another Python tell nothing."""
    with pytest.raises(CountingError, match="kept for"):
        refuse_other_build({"python": "2.7.18"})


def test_count_is_read_from_callgrind(tmp_path: Path) -> None:
    """Callgrind's last line has it; a file without is an error."""
    file = tmp_path / "1"
    file.write_text("version: 1\nevents: Ir\n\nfn=(1)\n1 5\n\ntotals: 12345\n", "utf-8")
    assert read_count(file) == 12345
    file.write_text("version: 1\n", "utf-8")
    with pytest.raises(CountingError, match="did not count"):
        read_count(file)


def test_every_case_is_kept() -> None:
    """The repository has a count of each."""
    assert json.loads(KEPT.read_text("utf-8"))["instructions"].keys() == CASES.keys()
