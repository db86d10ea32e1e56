"""`vertex-emulator init`."""

from importlib.resources import files
from pathlib import Path

import click

from emulator.cli.output import exit_with_error
from emulator.errors import StartError

_FILES = {"vertex.yaml": "starter.yaml", "test_vertex.py": "starter_test.py.txt"}
_SCHEMA = "scenario.schema.json"
"""The file that the first line of the scenario names for editors."""


@click.command()
@click.argument("folder", default=".", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write a starter scenario, its schema, and a test.

    They go into FOLDER, by default the current one, which is made if need be. Nothing is overwritten.
    """
    from emulator.scenario.schema import schema_text

    present = [folder / name for name in (*_FILES, _SCHEMA) if (folder / name).exists()]
    if present:
        exit_with_error(StartError(f"{present[0]} exists already; nothing was written"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, source in _FILES.items():
            text = files("emulator.cli").joinpath(source).read_text("utf-8")
            (folder / name).write_text(text, "utf-8")
            click.echo(f"wrote {folder / name}")
        (folder / _SCHEMA).write_text(schema_text(), "utf-8")
        click.echo(f"wrote {folder / _SCHEMA}, by which editors complete and check the scenario")
    except OSError as error:
        exit_with_error(StartError(f"cannot write into {folder}: {(error.strerror or str(error)).lower()}"))
    scenario, test = folder / "vertex.yaml", folder / "test_vertex.py"
    click.echo(
        f"\nnext:\n  vertex-emulator check {scenario}\n  vertex-emulator serve --watch {scenario}"
        f"\n  pip install openai pytest && pytest {test}"
    )
