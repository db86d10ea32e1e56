"""`vertex-emulator errors`, `models` and `quirks`: what the emulator knows of the real service, as tables."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from emulator.cli.options import option

if TYPE_CHECKING:
    from emulator.catalogue.errors import CatalogueError
    from emulator.catalogue.models import ModelCard

_as_json = option("--json", "as_json", is_flag=True, help="Print everything that is known, as JSON.")


@click.command()
@_as_json
def errors(*, as_json: bool) -> None:
    """List the errors that a scenario can fail with.

    `fail:` takes a name from this table, a status or a number; a status or number means the one marked with a star. CONFIDENCE
    says how sure the body is; the JSON has the body itself, and where it was seen.
    """
    from emulator.catalogue.errors import all_errors, find  # noqa: PLC0415  # --help is quicker without it

    if as_json:
        _print_json([asdict(error) for error in all_errors()])
        return
    rows = [
        _error_row(error, is_usual=error in (find(error.http_status), find(error.status or "")))
        for error in all_errors()
    ]
    _print_table(("NAME", "HTTP", "STATUS", "CONFIDENCE", "WHEN"), rows)


def _error_row(error: "CatalogueError", *, is_usual: bool) -> tuple[str, ...]:
    star = "*" if is_usual else ""
    return (f"{error.name}{star}", str(error.http_status), error.status or "-", error.confidence, error.when)


@click.command()
@_as_json
def models(*, as_json: bool) -> None:
    """List the models of the real service and what each can do.

    The emulator answers to any model name; these are those it knows more about.
    """
    from emulator.catalogue.models import all_models  # noqa: PLC0415  # as above

    cards = all_models()
    if as_json:
        _print_json([asdict(card) for card in cards])
        return
    rows = [(card.id, card.family, _outputs(card), _thinking(card)) for card in cards]
    _print_table(("ID", "FAMILY", "OUTPUT", "THINKING"), rows)


@click.command()
@_as_json
def quirks(*, as_json: bool) -> None:
    """List the quirks: named deviations that can be turned on.

    A rule names them under `quirks:`, a scenario in its `defaults`, and `serve --quirk` turns them on for everybody.
    """
    from emulator.catalogue.quirks import QUIRKS  # noqa: PLC0415  # as above

    if as_json:
        _print_json([asdict(quirk) for quirk in QUIRKS.values()])
        return
    _print_table(("NAME", "EFFECT"), [(quirk.name, quirk.effect) for quirk in QUIRKS.values()])


def _outputs(card: "ModelCard") -> str:
    if card.family == "embeddings":
        return "vectors"
    kinds = {"text": True, "image": card.image_output, "audio": card.audio_output}
    return ", ".join(kind for kind, made in kinds.items() if made)


def _thinking(card: "ModelCard") -> str:
    if not card.thinking:
        return "no"
    if card.levels:
        words = [f"levels {', '.join(card.levels)}", f"default {card.default_level}"]
    elif card.budget_min is not None:
        off = "0 is off" if card.budget_zero_allowed else "cannot be off"
        words = [f"budget {card.budget_min} to {card.budget_max}", off]
    else:
        words = ["by default" if card.thinks_by_default else f"when {card.thinking_switch or 'asked'} is set"]
    return "; ".join(words)


def _print_json(entries: Sequence[dict[str, Any]]) -> None:
    click.echo(json.dumps(entries, indent=2, ensure_ascii=False))


def _print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as their widest cell, the last one unbounded, so that a line is a row for other programs too."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())
