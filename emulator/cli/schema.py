"""`vertex-emulator schema`."""

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of the scenario language, for editors.

    Begin a scenario with `# yaml-language-server: $schema=scenario.schema.json` to get completion and help in an editor.
    """
    from emulator.scenario.schema import schema_text

    click.echo(schema_text(), nl=False)
