"""Scenarios and recordings, read together into one ruleset."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emulator.engine.recorded import Repeats
from emulator.engine.ruleset import Ruleset, compile_rules
from emulator.errors import Problem
from emulator.scenario.loading import RECORDING_MANIFEST, find_files, is_text, read_scenarios

ScenarioPath = str | os.PathLike[str]
"""A file or folder, or the text of a scenario: a `str` with a line break."""


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """The rules of scenarios and recordings, and the warnings about them."""

    ruleset: Ruleset
    warnings: tuple[Problem, ...] = ()
    scenarios: int = 0
    """How many scenarios there are."""


def load_rules(
    paths: Sequence[ScenarioPath], *, skip_foreign: bool = False, is_alone: bool = False, repeats: Repeats = "last"
) -> LoadedRules:
    """Read scenario files, folders and texts, and recordings: folders with a manifest, also below those that are named.

    `skip_foreign` and `is_alone` are as for `read_scenarios`; `repeats` holds for recordings whose manifest does not say. Raises ScenarioError, or
    StartError for a recording that cannot be read.
    """
    folders = {folder.absolute(): folder for one in paths for folder in find_recordings(one)}
    others = [one for one in paths if not folders or _has_scenarios(one)]
    reading = read_scenarios(others, skip_foreign=skip_foreign, is_alone=is_alone)
    ruleset = compile_rules(reading.scenarios, reading.warnings)
    if folders:
        # What it needs takes time to import, and most servers have no recording.
        from emulator.recording.recording import Recording  # noqa: PLC0415  # as said above
        from emulator.recording.replay import Replay  # noqa: PLC0415  # as said above

        recordings = tuple(Replay(Recording.read(folder), repeats) for folder in folders.values())
        names = tuple(one.name for one in recordings)
        ruleset = replace(
            ruleset,
            scenarios=(*names, *ruleset.scenarios),
            recordings=recordings,
            signatures=ruleset.signatures.union(*(one.signatures for one in recordings)),
        )
    return LoadedRules(ruleset, reading.warnings, len(reading.scenarios))


def find_recordings(path: ScenarioPath) -> list[Path]:
    """The recordings that a path is or that stand below it."""
    if is_text(path) or not Path(path).is_dir():
        return []
    found: list[Path] = []
    for folder, subfolders, names in os.walk(path):
        if RECORDING_MANIFEST in names:
            found.append(Path(folder))
            subfolders.clear()
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
    return found


def _has_scenarios(path: ScenarioPath) -> bool:
    """Whether a path is to be read as scenarios: unless it is a folder that has recordings and nothing else."""
    return is_text(path) or not find_recordings(path) or bool(find_files(Path(path)))
