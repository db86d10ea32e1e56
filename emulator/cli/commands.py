"""`vertex-emulator` itself, and the registry of its commands."""

from collections import UserDict
from importlib import import_module

import click

from emulator import __version__

# The module and function of each command, in the order of the help.
_COMMANDS = {
    "serve": "serve:serve",
    "exec": "exec:execute",
    "record": "record:record",
    "sweep": "sweep:sweep",
    "attest": "attest:attest",
    "drift": "drift:drift",
    "credentials": "credentials:credentials",
    "check": "check:check",
    "explain": "explain:explain",
    "scenario-from": "scenario_from:scenario_from",
    "init": "init:init",
    "journal": "journal:journal",
    "reference": "reference:reference",
    "schema": "schema:schema",
    "errors": "catalogue:errors",
    "models": "catalogue:models",
    "quirks": "catalogue:quirks",
    "verdicts": "verdicts:verdicts",
}


class _LazyCommands(UserDict[str, click.Command]):
    """The commands by name; a command's module is imported when the command is looked up, so that the others cost no time."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(_COMMANDS, click.Command(None)))

    def __getitem__(self, name: str) -> click.Command:
        module, _, function = _COMMANDS[name].partition(":")
        command: click.Command = getattr(import_module(f"emulator.cli.{module}"), function)
        return command


@click.group(
    commands=_LazyCommands(), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="vertex-emulator")
def main() -> None:
    """An offline emulator of Vertex AI's OpenAI-compatible Chat Completions endpoint.

    `vertex-emulator COMMAND --help` tells more. Exit status: 0 fine, 1 problems found, 2 wrong usage.
    """
