"""`vertex-emulator examples`."""

import re
import shutil
from pathlib import Path

import click
from click.core import ParameterSource

from emulator.cli.options import option
from emulator.cli.output import count, exit_with_error
from emulator.errors import StartError

_SCHEMA = "scenario.schema.json"


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@option("--all", "is_all", is_flag=True, help="Copy all of them.")
@option(
    "--to",
    "folder",
    default=".",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Where they are copied to; it is made if need be.",
)
def examples(names: tuple[str, ...], *, is_all: bool, folder: Path) -> None:
    """List the example scenarios, or copy those that are named.

    Each can be served as it is. The schema that editors read is copied too. Nothing is overwritten.
    """
    from emulator.scenario.loading import examples_folder
    from emulator.suggestions import quote, suggest

    source = examples_folder()
    known = {path.relative_to(source).with_suffix("").as_posix(): path for path in sorted(source.rglob("*.yaml"))}
    if not names and not is_all:
        if click.get_current_context().get_parameter_source("folder") is ParameterSource.COMMANDLINE:
            raise click.UsageError("--to needs the names of the examples to copy, or --all")
        width = max(map(len, known))
        for name, path in known.items():
            click.echo(f"{name:{width}}  {_describe(path)}")
        click.echo(f"\n{count(len(known), 'example')}; vertex-emulator examples NAME... copies some, --all all of them")
        return
    for name in names:
        if name.removesuffix(".yaml") not in known:
            exit_with_error(StartError(f"there is no example {quote(name)}{suggest(name, tuple(known))}"))
    chosen = known.values() if is_all else [known[name.removesuffix(".yaml")] for name in dict.fromkeys(names)]
    targets = {path: folder / path.relative_to(source) for path in chosen}
    if present := [target for target in targets.values() if target.exists()]:
        exit_with_error(StartError(f"{present[0]} exists already; nothing was written"))
    schema = folder / _SCHEMA
    if not schema.exists():
        targets[source / _SCHEMA] = schema
    try:
        for path, target in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            click.echo(f"wrote {target}")
    except OSError as error:
        exit_with_error(StartError(f"cannot write into {folder}: {(error.strerror or str(error)).lower()}"))


def _describe(path: Path) -> str:
    """The first sentence of the comment at the top of a scenario."""
    comments = re.match(r"(?:#.*\n)+", path.read_text("utf-8"))
    lines = comments[0].splitlines()[1:] if comments else []
    text = " ".join(line.lstrip("# ") for line in lines)
    return re.split(r"(?<=[.:])\s(?=[A-Z])", text)[0] if text else ""
