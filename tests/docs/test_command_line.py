"""docs/command-line.md is what the commands say of themselves."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import click

from emulator.cli.commands import main


def test_command_line_is_generated(assert_generated: Any) -> None:
    """Each command has a section with its usage, its help and all its options; those that it shares with `serve` are named only."""
    assert_generated("command-line.md", "\n".join(describe()))


def describe() -> Iterator[str]:
    """Describe all commands, in the order in which a user meets them."""
    yield from paragraphs(main.help)
    yield "Every option can be given in the environment too, under the name in its line; the command line wins.\n"
    described: set[str] = set()
    for name, command in main.commands.items():
        context = click.Context(command, info_name=f"vertex-emulator {name}")
        yield f"## {name}\n"
        yield f"`vertex-emulator {name} {' '.join(command.collect_usage_pieces(context))}`\n"
        yield from paragraphs(command.help)
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        if options:
            rows = {row(option, context): f"`{max(option.opts, key=len)}`" for option in options}
            yield "| option | environment | default | meaning |"
            yield "| --- | --- | --- | --- |"
            yield from (one for one in rows if one not in described)
            yield ""
            if shared := [option for one, option in rows.items() if one in described]:
                yield f"As for [serve](#serve): {', '.join(shared)}.\n"
            if name == "serve":
                described.update(rows)


def paragraphs(text: str | None) -> Iterator[str]:
    """Give the paragraphs of a help text, each on one line."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text or "")):
        yield f"{' '.join(paragraph.split())}\n"


def row(option: click.Option, context: click.Context) -> str:
    """Describe one option as a row."""
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    names = ", ".join(f"`{name}{value}`" for name in sorted(option.opts, key=len)).replace("|", "\\|")
    default = f"`{option.default}`" if option.show_default else ""
    return f"| {names} | `{option.envvar}` | {default} | {option.help} |"
