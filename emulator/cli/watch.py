"""Reads the scenarios of a command, and reloads those of `serve` when they change."""

import asyncio
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emulator.cli.output import count, print_error, print_problems
from emulator.errors import EmulatorError, ScenarioError

if TYPE_CHECKING:
    from emulator.engine.ruleset import Ruleset
    from emulator.recording.loading import LoadedRules
    from emulator.server.service import Service


_SUFFIXES = (".yaml", ".yml")
_LOOK_AGAIN_MS = 1000
"""Milliseconds after which the times of the files are looked at, when no change was reported."""


def read_rules(scenarios: Sequence[str], *, skip_foreign: bool = False) -> "Ruleset":
    """Compile the rules of files and folders, recordings among them, or of the built-in default; prints warnings. Raises ScenarioError.

    A folder that has no scenarios yet, such as a container's volume, is left out; `skip_foreign` also leaves out what is no scenario.
    """
    for folder in (one for one in scenarios if _is_empty_folder(one)):
        click.echo(f"there are no scenarios in {folder} yet", err=True)
    rules = _load(scenarios, skip_foreign=skip_foreign)
    print_problems(rules.warnings)
    return rules.ruleset


def _load(scenarios: Sequence[str], *, skip_foreign: bool) -> "LoadedRules":
    from emulator.recording.loading import load_rules
    from emulator.scenario.loading import default_scenario_path

    paths = [one for one in scenarios if not _is_empty_folder(one)]
    return load_rules(paths or [default_scenario_path()], skip_foreign=skip_foreign)


async def watch_scenarios(service: "Service", scenarios: Sequence[str]) -> None:
    """Reload the scenarios of a service whenever one of them changes; broken ones leave the last good rules in use."""
    from watchfiles import awatch

    # Not resolved, because awatch reports paths with symbolic links as they are.
    named = [Path(os.path.abspath(one)) for one in scenarios]  # noqa: PTH100, ASYNC240  # as written, once
    folders = [path for path in named if path.is_dir()]
    # Before the server answers, so that no edit after that is missed.
    files = {*named, *_list_included(scenarios)}
    stamp = _stamp(files.difference(folders))

    def is_scenario(_change: object, changed: str) -> bool:
        path = Path(changed)
        # Kubernetes changes a ConfigMap's files by exchanging the symbolic link `..data`, through which they are reached.
        is_relevant = path.suffix in _SUFFIXES or path.name == "..data"
        return path in files or (is_relevant and any(folder in path.parents for folder in folders))

    try:
        while True:
            # Editors replace files, so the folder of a file is watched; that of a missing one once it is there.
            folders_of_files = (path if path in folders else path.parent for path in files)
            roots = {root for root in folders_of_files if root.is_dir()}
            async for changes in awatch(
                *roots,
                watch_filter=is_scenario,
                recursive=bool(folders),
                yield_on_timeout=True,
                rust_timeout=_LOOK_AGAIN_MS,
            ):
                # What has changed while no watch was running shows in the times of the files.
                if not changes and _stamp(files.difference(folders)) == stamp:
                    continue
                found = {*named, *await asyncio.to_thread(_list_included, scenarios)}
                stamp = _stamp(found.difference(folders))
                await reload_scenarios(service, scenarios)
                if found != files:
                    files = found
                    break
            else:
                return
    except OSError as error:
        click.echo(f"the scenarios cannot be watched ({error}); they are not read again", err=True)


def _list_included(scenarios: Sequence[str]) -> frozenset[Path]:
    """The files that the scenarios include; none if that cannot be found out, which reading them reports."""
    from emulator.scenario.loading import list_included

    try:
        return list_included([one for one in scenarios if not _is_empty_folder(one)])
    except EmulatorError:
        return frozenset()


def _stamp(files: Iterable[Path]) -> frozenset[tuple[Path, int]]:
    """The files that are there, with the times at which they were last changed."""
    found: set[tuple[Path, int]] = set()
    for path in files:
        with suppress(OSError):
            found.add((path, path.stat().st_mtime_ns))
    return frozenset(found)


async def reload_scenarios(service: "Service", scenarios: Sequence[str]) -> None:
    """Reload the scenarios, print the result, and make the other workers reload them."""
    try:
        service.ruleset = await asyncio.to_thread(read_rules, scenarios, skip_foreign=True)
    except Exception as error:  # noqa: BLE001  # whatever goes wrong, the next edit is read
        service.reload_problems = tuple(map(str, error.problems)) if isinstance(error, ScenarioError) else (str(error),)
        if isinstance(error, EmulatorError):
            print_error(error)
        else:
            click.echo(f"a mistake of the emulator's own: {type(error).__name__}: {error}; please report it", err=True)
        click.echo("the last good scenarios stay in use", err=True)
    else:
        service.reload_problems = ()
        await service.store.reload()
        click.echo(f"read again: {count(len(service.ruleset.rules), 'rule')}", err=True)


def reload_silently(service: "Service", scenarios: Sequence[str]) -> None:
    """Reload scenarios after another worker has done so and printed the result."""
    # Scenarios that are broken now have changed again, so that they will be reloaded again.
    with suppress(Exception):
        service.ruleset = _load(scenarios, skip_foreign=True).ruleset


def _is_empty_folder(scenario: str) -> bool:
    folder = Path(scenario)
    return folder.is_dir() and not any(
        path.suffix in _SUFFIXES and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        for path in folder.rglob("*")
    )
