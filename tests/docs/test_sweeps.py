"""docs/sweeps.md has all variations that no other page lists."""

from typing import Any

from emulator.catalogue.faults import FAULTS
from emulator.catalogue.quirks import QUIRKS
from emulator.catalogue.variations import SET_NAMES, variations_of


def test_variations_are_those_of_the_catalogue(assert_generated: Any) -> None:
    """Errors and slow answers stand in the table with what a client meets; faults and quirks are those of their own pages."""
    rows = [f"| {name} | `{one.name}` | {one.effect} |" for name in ("errors", "slow") for one in variations_of(name)]
    assert set(SET_NAMES) == {"all", "faults", "quirks", "errors", "slow"}
    assert [one.name for one in variations_of("faults")] == list(FAULTS)
    assert {one.name for one in variations_of("quirks")} < set(QUIRKS)
    assert_generated("sweeps.md", "\n".join(["| set | variation | what happens |", "| --- | --- | --- |", *rows]))
