"""docs/fidelity.md is made from the facts in emulator/recording/attest/fidelity.yaml and from the catalogues; each fact names the test that holds it.

UPDATE_EXPECTED=1 writes the page anew.
"""

import ast
import os
import re
from pathlib import Path
from typing import Any

import yaml

from emulator.catalogue.errors import all_errors
from emulator.catalogue.models import all_models

ROOT = Path(__file__).parents[2]
FACTS_FILE = ROOT / "emulator" / "recording" / "attest" / "fidelity.yaml"
PAGE = ROOT / "docs" / "fidelity.md"
FACTS: dict[str, list[dict[str, str]]] = yaml.safe_load(FACTS_FILE.read_text("utf-8"))
INTRODUCTION = """# Fidelity

What of the real service the emulator reproduces, how each fact is known, which test holds it, and what changes it.

- **documented**: stated or shown on a page of the vendor's documentation.
- **observed**: seen in a public issue, fixture or capture.
- **assumed**: inferred; nobody was seen confirming it. An assumption can be wrong: please report what you see.

Whoever has an account can ask the real service about most of these facts: [attest](attest.md). The rows of the last two tables have the
ids `error.` and `model.` with the name, and [quirks](quirks.md), which have a table of their own, `quirk.`.

Token counts that a scenario does not give are estimates, never the service's numbers.
"""


def table(columns: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in lines)


def write_page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for chapter, facts in FACTS.items():
        rows = [
            [
                f"`{fact['id']}`",
                fact["fact"],
                fact["status"],
                fact["source"],
                f"`{fact['test']}`",
                fact.get("switch", ""),
            ]
            for fact in facts
        ]
        parts.append(f"## {chapter}\n\n{table(['id', 'fact', 'status', 'source', 'test', 'switch'], rows)}\n")
    errors = [
        [f"`{error.name}`", error.http_status, error.status or "", error.confidence, error.when, error.source]
        for error in all_errors()
    ]
    parts.append(
        "## Error bodies\n\nEach can be scripted by `fail: NAME`. Texts of low confidence are assumptions; "
        f"status and reason are not.\n\n{table(['name', 'HTTP', 'status', 'confidence', 'when', 'source'], errors)}\n"
    )
    models = [[f"`{card.id}`", card.family, card.source] for card in all_models()]
    parts.append(f"## Models\n\n{table(['id', 'family', 'source'], models)}\n")
    return "\n".join(parts)


def test_page_is_what_the_facts_say() -> None:
    """The page in docs/ is the one made from the facts."""
    if os.environ.get("UPDATE_EXPECTED"):
        PAGE.write_text(write_page(), "utf-8")
    assert PAGE.read_text("utf-8") == write_page()


def test_every_fact_names_a_test_that_exists() -> None:
    """No fact claims a test that is not there, or a status that means nothing."""
    for facts in FACTS.values():
        for fact in facts:
            file, _, name = fact["test"].partition("::")
            tree = ast.parse((ROOT / file).read_text("utf-8"))
            assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, fact
            assert re.fullmatch(r"[a-z]+(\.[a-z0-9-]+)+", fact["id"]), fact
            assert fact["status"] in {"documented", "observed", "assumed"}, fact


def test_every_fact_has_an_id_of_its_own() -> None:
    """They are how probes and reports name the rows."""
    names = [fact["id"] for facts in FACTS.values() for fact in facts]
    assert len(names) == len(set(names))
