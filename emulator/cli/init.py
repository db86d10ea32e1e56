"""`vertex-emulator init`."""

from importlib.resources import files
from pathlib import Path

import click

from emulator.cli.options import stop
from emulator.errors import StartError

_FILES = {"vertex.yaml": "starter.yaml", "test_vertex.py": "starter_test.py.txt"}


@click.command()
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
def init(folder: Path) -> None:
    """Write a commented starter scenario and a test that uses it into FOLDER (default: here)."""
    present = [name for name in _FILES if (folder / name).exists()]
    if present:
        stop(StartError(f"{folder / present[0]} exists already; nothing was written"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, source in _FILES.items():
            text = files("emulator.cli").joinpath(source).read_text("utf-8")
            (folder / name).write_text(text, "utf-8")
            click.echo(f"wrote {folder / name}")
    except OSError as error:
        stop(StartError(f"cannot write into {folder}: {error.strerror}"))
    click.echo(
        f"\nnext:\n  vertex-emulator check {folder / 'vertex.yaml'}\n  vertex-emulator serve --watch {folder / 'vertex.yaml'}"
    )
    click.echo(f"  pip install openai pytest && pytest {folder / 'test_vertex.py'}")
