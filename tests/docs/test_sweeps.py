"""docs/sweeps.md has all variations."""

from typing import Any

from emulator.catalogue.variations import SET_NAMES, variations_of


def test_variations_are_those_of_the_catalogue(assert_generated: Any) -> None:
    """Each stands in the table with its set and what a client meets."""
    rows = [
        f"| {name} | `{one.name}` | {one.effect} |"
        for name in SET_NAMES
        if name != "all"
        for one in variations_of(name)
    ]
    assert_generated("sweeps.md", "\n".join(["| set | variation | what happens |", "| --- | --- | --- |", *rows]))
