"""`vertex-emulator scenario-from`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from emulator.cli.options import option
from emulator.cli.output import count, exit_with_error
from emulator.errors import EmulatorError, StartError

if TYPE_CHECKING:
    from emulator.recording.generalize import Checked, Generalized


@click.command("scenario-from")
@click.argument("recording", type=click.Path(path_type=Path))
@option(
    "--to", "file", metavar="FILE", type=click.Path(path_type=Path), help="Write the scenario there, not on stdout."
)
@option("--overwrite", is_flag=True, help="Replace that file if it exists.")
def scenario_from(recording: Path, *, file: Path | None, overwrite: bool) -> None:
    """Make a scenario of a recording.

    RECORDING is a folder that `record` has written. Tool loops become conversations, other requests rules that ask for what tells
    them apart, the times of the answers a pace. The recorded requests are then sent to the scenario, and their answers compared
    chunk by chunk; what was generalised is said on stderr. The exit status is 1 if one is answered otherwise than it was recorded.
    """
    try:
        made, checked = _generalize(recording)
        if file is None:
            if made.media:
                raise StartError(
                    f"the answers have {count(len(made.media), 'picture or sound')}; name a file: --to FILE"
                )
            click.echo(made.text, nl=False)
        else:
            _write(file, made, overwrite=overwrite)
    except EmulatorError as error:
        exit_with_error(error)
    for note in made.notes:
        click.echo(f"- {note}", err=True)
    for difference in checked.differences:
        click.echo(f"- {difference}", err=True)
    number = checked.same + len(checked.differences)
    click.echo(
        f"{checked.same} of {count(number, 'recorded chat request')} answered the same, chunk by chunk", err=True
    )
    raise SystemExit(1 if checked.differences else 0)


def _generalize(folder: Path) -> "tuple[Generalized, Checked]":
    """Read a recording and make its scenario. Raises StartError."""
    from emulator.recording.generalize import generalize
    from emulator.recording.recording import MANIFEST, Recording, is_recording

    if not is_recording(folder):
        raise StartError(f"{folder} is no recording: it has no {MANIFEST}; `vertex-emulator record` writes one")
    return generalize(Recording.read(folder))


def _write(file: Path, made: "Generalized", *, overwrite: bool) -> None:
    """Write the scenario and its media beside it. Raises StartError."""
    contents = {file: made.text.encode(), **{file.parent / name: data for name, data in made.media.items()}}
    present = [path for path in contents if path.exists()]
    if present and not overwrite:
        raise StartError(f"{present[0]} exists already; nothing was written, --overwrite replaces it")
    try:
        for path, data in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            click.echo(f"wrote {path}")
    except OSError as error:
        raise StartError(f"cannot write {file}: {(error.strerror or str(error)).lower()}") from None
