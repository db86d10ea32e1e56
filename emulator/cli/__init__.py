"""The command line."""

import click

from emulator import __version__
from emulator.cli.catalogue import errors, models, quirks
from emulator.cli.check import check
from emulator.cli.credentials import credentials
from emulator.cli.execute import execute
from emulator.cli.explain import explain
from emulator.cli.init import init
from emulator.cli.journal import journal
from emulator.cli.reference import reference
from emulator.cli.schema import schema
from emulator.cli.serve import serve
from emulator.cli.sweep import sweep
from emulator.cli.verdicts import verdicts


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="vertex-emulator")
def main() -> None:
    """An offline emulator of Vertex AI's OpenAI-compatible Chat Completions endpoint.

    `vertex-emulator COMMAND --help` tells more. Exit status: 0 fine, 1 problems found, 2 wrong usage.
    """


for command in (
    serve,
    execute,
    sweep,
    credentials,
    check,
    explain,
    init,
    journal,
    reference,
    schema,
    errors,
    models,
    quirks,
    verdicts,
):
    main.add_command(command)
