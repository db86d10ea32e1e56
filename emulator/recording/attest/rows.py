"""The rows of docs/fidelity.md: the facts, the error bodies, the quirks and the models, each with a stable id."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from emulator.catalogue.errors import all_errors
from emulator.catalogue.models import all_models
from emulator.catalogue.quirks import QUIRKS

FACTS = Path(__file__).with_name("fidelity.yaml")
"""The file of the facts."""
IS_SOURCE_TREE = (FACTS.parents[3] / "tests" / "docs" / "test_fidelity.py").exists()
"""Whether the package is in its source tree, where the facts can be changed in place."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: what it claims and how that is known."""

    id: str
    chapter: str
    claim: str
    status: str
    """Documented, observed or assumed; of error bodies, how sure their text is: high, medium or low."""
    source: str

    @property
    def is_open(self) -> bool:
        """Whether something of it was only assumed."""
        return self.status in {"assumed", "low"} or "assumed" in self.source


@cache
def all_rows() -> dict[str, Row]:
    """Return every row by its id, in the order of the page."""
    return {row.id: row for row in _read_rows()}


def _read_rows() -> Iterator[Row]:
    facts: dict[str, list[dict[str, Any]]] = yaml.safe_load(FACTS.read_text("utf-8"))
    for chapter, rows in facts.items():
        for row in rows:
            yield Row(row["id"], chapter, row["fact"], row["status"], row["source"])
    for error in all_errors():
        claim = f"{error.http_status}: {error.when}"
        yield Row(f"error.{error.name}", "Error bodies", claim, error.confidence, error.source)
    for quirk in QUIRKS.values():
        yield Row(f"quirk.{quirk.name}", "Quirks", quirk.effect, quirk.source.partition(":")[0], quirk.source)
    for card in all_models():
        yield Row(
            f"model.{card.id}", "Models", f"{card.id} as its card says", card.source.partition(":")[0], card.source
        )
