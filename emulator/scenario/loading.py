"""Scenario files and folders -> validated scenarios, or every problem in them at once."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emulator.errors import Place, Problem, ScenarioError
from emulator.scenario.checks.flags import check_flags
from emulator.scenario.checks.parsed_file import ParsedFile
from emulator.scenario.checks.scenario import check
from emulator.scenario.checks.unreachable import find_unreachable_rules
from emulator.scenario.rules import Scenario
from emulator.scenario.types import list_keys
from emulator.scenario.validation import validate
from emulator.scenario.yaml import MAX_BYTES, NO_MAPPING, Location, Source, parse
from emulator.suggestions import find_near

_SUFFIXES = (".yaml", ".yml")
RECORDING_MANIFEST = "recording.yaml"
"""The file that makes a folder a recording; what is below such a folder is no scenario."""


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """A scenario with the file it was read from."""

    scenario: Scenario
    file: str
    """The file as messages show it: relative to the current directory when below it."""
    folder: Path | None
    """Where the files it names are looked for; None for a scenario that has no file."""
    source: Source

    @property
    def name(self) -> str:
        """The scenario's name, by default the file's without its ending."""
        return self.scenario.scenario or Path(self.file).stem

    def place(self, loc: Location) -> Place:
        """Where a value is written, by its location."""
        return self.source.place(loc)


@dataclass(frozen=True, slots=True)
class LoadedScenarios:
    """Scenarios in the order in which their rules are tried, and the warnings about them."""

    scenarios: tuple[ScenarioFile, ...]
    warnings: tuple[Problem, ...]


def read_paths(paths: Sequence[str | os.PathLike[str]], *, skip_foreign: bool = False) -> LoadedScenarios:
    """Read files, and folders with all `*.yaml` and `*.yml` below them, sorted, hidden ones left out.

    With `skip_foreign`, files of a folder that are plainly no scenarios are left out with a warning.
    Raises ScenarioError with the problems of all files in order, warnings among them.
    """
    return read_scenarios([Path(path) for path in paths], skip_foreign=skip_foreign)


def is_text(scenario: str | os.PathLike[str]) -> bool:
    """Whether a scenario is given as its text: a text has a line break, a path has none."""
    return isinstance(scenario, str) and "\n" in scenario


def read_scenarios(scenarios: Sequence[str | os.PathLike[str]], *, skip_foreign: bool = False) -> LoadedScenarios:
    """Read files and folders as `read_paths` does, and texts. Raises ScenarioError likewise."""
    texts = [str(one) for one in scenarios if is_text(one)]
    contents: dict[Path | str, _Content | Problem] = {}
    for one in scenarios:
        if is_text(one):
            name = "<scenario>" if len(texts) == 1 else f"<scenario {texts.index(str(one)) + 1}>"
            contents[name] = _Content(name, None, str(one))
            continue
        for path, content in _load_path(Path(one)):
            # A file that is named twice is used once: the second time none of its rules could answer.
            contents.setdefault(path, content)
    found = [one for one in contents.values() if skip_foreign and isinstance(one, _Content) and one.is_in_folder]
    foreign = {one.file: problem for one in found if (problem := _explain_foreign(one))}
    kept = [one for one in contents.values() if not isinstance(one, _Content) or one.file not in foreign]
    read = _read(kept)
    return replace(read, warnings=(*foreign.values(), *read.warnings))


def read_text(text: str, file: str = "<scenario>", folder: Path | None = None) -> LoadedScenarios:
    """Read a scenario that is not in a file; `folder` is where the files it names are looked for."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ScenarioError([_too_large(file)])
    return _read([_Content(file, folder, text)])


def default_scenario_path() -> Path:
    """The scenario used when none is given: beside this module when installed, else the repository's."""
    installed = Path(__file__).with_name("default.yaml")
    return installed if installed.exists() else Path(__file__).parents[2] / "scenarios" / "default.yaml"


@dataclass(frozen=True, slots=True)
class _Content:
    file: str
    folder: Path | None
    text: str | bytes
    is_in_folder: bool = False
    """Whether it was found in a folder rather than named."""


def _explain_foreign(content: _Content) -> Problem | None:
    """Why a file is no scenario, though it may be good YAML; None if it is one, or is meant to be one."""
    try:
        source = parse(content.text, content.file)
    except ScenarioError as error:
        first = error.problems[-1]
        return replace(first, severity="warning") if first.message.startswith(NO_MAPPING) else None
    if any(key in list_keys(Scenario) or find_near(key, ("rules",)) for key in source.data):
        return None
    message = 'this file has none of the keys of a scenario, such as "rules", so it is ignored'
    return source.problem(source.place(()), message, "warning")


def _read(contents: Sequence[_Content | Problem]) -> LoadedScenarios:
    problems: list[Problem] = []
    parsed: list[ParsedFile] = []
    files: list[ScenarioFile] = []
    for content in contents:
        if isinstance(content, Problem):
            problems.append(content)
            continue
        try:
            source = parse(content.text, content.file)
        except ScenarioError as error:
            problems += error.problems
            continue
        found, file = validate(source, content.folder)
        found += [*source.problems, *check(file)]
        if not found and not file.scenario.rules:
            message = "this scenario has no rules, so it answers nothing"
            found.append(source.problem(source.place(()), message, "warning"))
        problems += found
        parsed.append(file.without([problem.place.line for problem in found if problem.severity == "error"]))
        files.append(ScenarioFile(file.scenario, content.file, content.folder, source))
    problems += find_unreachable_rules(parsed)
    if len(parsed) == len(contents):
        problems += check_flags(parsed)
    names = [content.place.file if isinstance(content, Problem) else content.file for content in contents]
    order = {name: number for number, name in enumerate(names)}
    problems.sort(key=lambda problem: (order[problem.place.file], problem.place.line, problem.place.column))
    if any(problem.severity == "error" for problem in problems):
        raise ScenarioError(problems)
    return LoadedScenarios(tuple(files), tuple(problems))


def _load_path(path: Path) -> Iterator[tuple[Path, _Content | Problem]]:
    """What is in a file or in the files of a folder, by their absolute paths."""
    if not path.is_dir():
        yield path.absolute(), _load(path)
        return
    found = find_files(path)
    if not found:
        message = "this folder has no scenario: no file in it ends in .yaml or .yml"
        yield path.absolute(), Problem(Place(show_path(path), 1, 1), message)
    for file in found:
        content = _load(file)
        yield file.absolute(), replace(content, is_in_folder=True) if isinstance(content, _Content) else content


def find_files(path: Path) -> list[Path]:
    """The scenario files of a folder and the folders below it, sorted; hidden ones and recordings are left out."""
    found: list[Path] = []
    for folder, subfolders, names in os.walk(path):
        if RECORDING_MANIFEST in names:
            subfolders.clear()
            continue
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        found += [Path(folder, name) for name in names if name.endswith(_SUFFIXES) and not name.startswith(".")]
    return sorted(found)


def _load(path: Path) -> _Content | Problem:
    file = show_path(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Problem(Place(file, 1, 1), "there is no such file or folder")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Problem(Place(file, 1, 1), f"this file cannot be read: {reason.lower()}")
    if len(content) > MAX_BYTES:
        return _too_large(file)
    return _Content(file, path.absolute().parent, content)


def _too_large(file: str) -> Problem:
    return Problem(
        Place(file, 1, 1), f"this file is larger than {MAX_BYTES // 1024 // 1024} MiB; divide it into several"
    )


def show_path(path: Path) -> str:
    """A path as messages show it: relative to the current directory when below it."""
    here = Path.cwd()
    full = path.absolute()
    return str(full.relative_to(here)) if full.is_relative_to(here) else str(path)
