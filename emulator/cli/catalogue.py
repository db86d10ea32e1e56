"""`vertex-emulator errors`, `models` and `quirks`: tables of what the emulator knows of the real service."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from emulator.catalogue.errors import all_errors, find
from emulator.catalogue.models import ModelCard, all_models, find_price
from emulator.catalogue.quirks import QUIRKS
from emulator.cli.options import option

_as_json = option("--json", "as_json", is_flag=True, help="Print everything that is known, as JSON.")


@click.command()
@_as_json
def errors(*, as_json: bool) -> None:
    """List the errors that a scenario can fail with.

    `fail:` takes a name from this table, a status or a number; a status or number means the one marked with a star. CONFIDENCE
    says how sure the body is; the JSON has the body itself, and where it was seen.
    """
    if as_json:
        _print_json([asdict(error) for error in all_errors()])
        return
    rows = []
    for error in all_errors():
        star = "*" if error in (find(error.http_status), find(error.status or "")) else ""
        cells = (f"{error.name}{star}", str(error.http_status), error.status or "-", error.confidence, error.when)
        rows.append(cells)
    _print_table(("NAME", "HTTP", "STATUS", "CONFIDENCE", "WHEN"), rows)


@click.command()
@_as_json
def models(*, as_json: bool) -> None:
    """List the models of the real service, and what each can do.

    The emulator answers to any model name; these are those it knows more about. PRICE is in dollars for a million tokens of input and
    of output; the JSON has all prices, with their source, and the locations where a model is served.
    """
    cards = all_models()
    if as_json:
        prices = {card.id: find_price(card.id) for card in cards}
        _print_json([asdict(card) | {"price": (price := prices[card.id]) and asdict(price)} for card in cards])
        return
    rows = [(card.id, card.family, _outputs(card), _thinking(card), _price(card), _state(card)) for card in cards]
    _print_table(("ID", "FAMILY", "OUTPUT", "THINKING", "PRICE", "STATE"), rows)


@click.command()
@_as_json
def quirks(*, as_json: bool) -> None:
    """List the quirks: named deviations that can be turned on.

    A rule names them under `quirks:`, a scenario in its `defaults`, and `serve --quirk` turns them on for everybody.
    """
    if as_json:
        _print_json([asdict(quirk) for quirk in QUIRKS.values()])
        return
    _print_table(("NAME", "EFFECT"), [(quirk.name, quirk.effect) for quirk in QUIRKS.values()])


def _outputs(card: ModelCard) -> str:
    if card.family == "embeddings":
        return "vectors"
    kinds = {"text": True, "image": card.image_output, "audio": card.audio_output}
    return ", ".join(kind for kind, is_output in kinds.items() if is_output)


def _price(card: ModelCard) -> str:
    price = find_price(card.id)
    return "-" if price is None else f"{price.input:g} / {price.output:g}"


def _state(card: ModelCard) -> str:
    when = f" {card.retires}" if card.retires else ""
    match card.retired:
        case "confirmed":
            return f"retired{when}"
        case "announced":
            return f"retired{when}, as announced"
        case _:
            return f"until{when} or later" if when else "-"


def _thinking(card: ModelCard) -> str:
    if not card.thinking:
        return "no"
    if card.levels:
        parts = [f"levels {', '.join(card.levels)}", f"default {card.default_level}"]
    elif card.budget_min is not None:
        off = "0 is off" if card.budget_zero_allowed else "cannot be off"
        parts = [f"budget {card.budget_min} to {card.budget_max}", off]
    else:
        parts = ["by default" if card.thinks_by_default else f"when {card.thinking_switch or 'asked'} is set"]
    return "; ".join(parts)


def _print_json(entries: Sequence[dict[str, Any]]) -> None:
    click.echo(json.dumps(entries, indent=2, ensure_ascii=False))


def _print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print columns as wide as their widest cell; lines are not wrapped, so that other programs can read them."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())
