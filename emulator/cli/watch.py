"""Reading the scenarios of `serve`, once and again whenever they change."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emulator.cli.options import count, print_error, print_problems
from emulator.errors import EmulatorError

if TYPE_CHECKING:
    from emulator.engine.ruleset import Ruleset
    from emulator.scenario.loading import LoadedScenarios
    from emulator.server.service import Service


_SUFFIXES = (".yaml", ".yml")


def read_rules(scenarios: Sequence[str]) -> "Ruleset":
    """The rules of files and folders, or of the built-in default; prints warnings. Raises ScenarioError.

    A folder that has no scenarios yet, such as a container's volume, is passed over.
    """
    from emulator.engine.ruleset import compile_rules  # noqa: PLC0415  # --help is quicker without it

    for folder in (one for one in scenarios if _is_empty(one)):
        click.echo(f"there are no scenarios in {folder} yet", err=True)
    reading = _read(scenarios)
    print_problems(reading.warnings)
    return compile_rules(reading.scenarios)


def _read(scenarios: Sequence[str]) -> "LoadedScenarios":
    from emulator.scenario.loading import default_scenario_path, read_paths  # noqa: PLC0415  # as above

    return read_paths([one for one in scenarios if not _is_empty(one)] or [default_scenario_path()])


async def watch_scenarios(service: "Service", scenarios: Sequence[str]) -> None:
    """Give the service the scenarios anew whenever one of them changes; broken ones leave the last good rules in use."""
    from watchfiles import awatch  # noqa: PLC0415  # only when asked for

    paths = [_absolute(one) for one in scenarios]
    folders = [path for path in paths if path.is_dir()]

    def concerns(_change: object, changed: str) -> bool:
        path = Path(changed)
        return path in paths or (path.suffix in _SUFFIXES and any(folder in path.parents for folder in folders))

    # Editors replace files, so it is their folder that is watched.
    roots = {path if path in folders else path.parent for path in paths}
    try:
        async for _ in awatch(*roots, watch_filter=concerns, recursive=bool(folders)):
            await read_again(service, scenarios)
    except OSError as error:
        click.echo(f"the scenarios cannot be watched ({error}); they are not read again", err=True)


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  # links are kept as they are


async def read_again(service: "Service", scenarios: Sequence[str]) -> None:
    """Read the scenarios, and say what came of it; other workers do the same then."""
    try:
        service.ruleset = read_rules(scenarios)
    except EmulatorError as error:
        print_error(error)
        click.echo("the last good scenarios stay in use", err=True)
    else:
        await service.store.reload()
        click.echo(f"read again: {count(len(service.ruleset.rules), 'rule')}", err=True)


def follow(service: "Service", scenarios: Sequence[str]) -> None:
    """Read the scenarios that another worker has read already, and has said all about."""
    from emulator.engine.ruleset import compile_rules  # noqa: PLC0415  # as above

    # Changed once more since, they will be read once more.
    with suppress(EmulatorError):
        service.ruleset = compile_rules(_read(scenarios).scenarios)


def _is_empty(scenario: str) -> bool:
    return Path(scenario).is_dir() and not _has_scenarios(Path(scenario))


def _has_scenarios(folder: Path) -> bool:
    return any(
        path.suffix in _SUFFIXES and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        for path in folder.rglob("*")
    )
