"""`vertex-emulator reference`."""

import click


@click.command()
def reference() -> None:
    """Print the reference of the scenario language.

    It is Markdown: every key with its values and meaning, and the variables of templates.
    """
    from emulator.scenario.reference import reference_text

    click.echo(reference_text(), nl=False)
