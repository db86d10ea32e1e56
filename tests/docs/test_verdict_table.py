"""docs/verdicts.md has the verdicts of the code."""

from typing import Any

from emulator.verdicts.registry import KINDS


def test_verdicts_are_those_of_the_code(assert_generated: Any) -> None:
    """Each kind with its severity, what earns it and the advice it comes with."""
    rows = ["| name | severity | what a client does | advice |", "| --- | --- | --- | --- |"]
    rows += [f"| `{kind.name}` | {kind.severity} | {kind.mistake} | {kind.advice} |" for kind in KINDS]
    assert_generated("verdicts.md", "\n".join(rows))
