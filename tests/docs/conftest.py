"""Guides that are generated, as a whole or in part."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "tests/docs -->\n", "<!-- end -->"


@pytest.fixture
def assert_generated() -> Callable[[str, str], None]:
    """Hold that a guide has this text behind its mark; with UPDATE_EXPECTED=1, see to it."""

    def check(name: str, text: str) -> None:
        path = DOCS / name
        found = path.read_text("utf-8")
        head, begin, rest = found.partition(BEGIN)
        assert begin
        _, end, tail = rest.partition(END)
        wanted = f"{head}{begin}\n{text.strip()}\n" + (f"\n{end}{tail}" if end else "")
        if os.environ.get("UPDATE_EXPECTED"):
            path.write_text(wanted, "utf-8")
            return
        assert found == wanted

    return check


@pytest.fixture
def read_guide() -> Callable[[str], str]:
    """Read a guide."""
    return lambda name: (DOCS / name).read_text("utf-8")
