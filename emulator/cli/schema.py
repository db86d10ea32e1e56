"""`vertex-emulator schema`."""

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of the scenario language, for editors.

    Begin a scenario with `# yaml-language-server: $schema=scenario.schema.json` to get completion and help in an editor.
    """
    from emulator.scenario.schema import schema_text  # noqa: PLC0415  # --help is quicker without it

    click.echo(schema_text(), nl=False)
