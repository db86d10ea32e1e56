"""Scenario files and folders -> validated scenarios, or every problem in them at once."""

import json
import linecache
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic_core import ErrorDetails, ValidationError

from emulator.errors import AnswerError, Place, Problem, ScenarioError
from emulator.scenario.checks.flags import check_flags
from emulator.scenario.checks.scenario import Checked, check
from emulator.scenario.checks.unreachable import warn_of_silent_rules
from emulator.scenario.grammar import ModelLoc
from emulator.scenario.problems import explain
from emulator.scenario.rules import ANSWERS, Beside, Scenario
from emulator.scenario.steps import Step
from emulator.scenario.templates.template import is_template
from emulator.scenario.types import Model
from emulator.scenario.when import When
from emulator.scenario.yaml import MAX_BYTES, MAX_DEPTH, Loc, Node, Source, parse


def drop_mistakes(data: dict[str, Any], details: Sequence[ErrorDetails]) -> tuple[Scenario, list[int]]:
    """The scenario without its mistaken rules and top-level keys, and the numbers of the rules that are left."""
    locs = [detail["loc"] for detail in details]
    bad_rules = {loc[1] for loc in locs if loc[0] == "rules" and len(loc) > 1}
    bad_keys = {loc[0] for loc in locs if loc[0] != "rules" or len(loc) == 1}
    left = {key: value for key, value in data.items() if key not in bad_keys}
    numbers: list[int] = []
    if isinstance(rules := left.get("rules"), list):
        numbers = [number for number in range(len(rules)) if number not in bad_rules]
        left["rules"] = [rules[number] for number in numbers]
    return Scenario.model_validate(left), numbers


def find_sound_parts(data: dict[str, Any], kept: Sequence[int]) -> Iterator[tuple[ModelLoc, Model]]:
    """The parts of dropped rules that can be read on their own: conditions, headers, steps."""
    rules = data.get("rules")
    for number, rule in enumerate(rules if isinstance(rules, list) else []):
        if number in kept or not isinstance(rule, dict):
            continue
        loc: ModelLoc = ("rules", number)
        yield from _read_part(When.model_validate, rule.get("when"), (*loc, "when"))
        yield from _read_part(Beside.model_validate, {"headers": rule.get("headers") or {}}, loc)
        for key in ANSWERS:
            yield from _find_steps(rule.get(key), (*loc, key))


def _find_steps(value: Any, loc: ModelLoc) -> Iterator[tuple[ModelLoc, Model]]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _find_steps(item, (*loc, number))
    elif isinstance(value, dict) and "assistant" in value:
        yield from _find_steps(value["assistant"], (*loc, "assistant"))
    elif isinstance(value, dict):
        yield from _read_part(_STEP.validate_python, value, loc)


def _read_part(read: Callable[[Any], Model], value: Any, loc: ModelLoc) -> Iterator[tuple[ModelLoc, Model]]:
    if isinstance(value, dict):
        try:
            yield loc, read(value)
        except ValidationError:
            return


_STEP: TypeAdapter[Step] = TypeAdapter(Step, config=ConfigDict(defer_build=True))
_SUFFIXES = (".yaml", ".yml")


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

    def place(self, loc: Loc) -> Place:
        """Where a value is written, by its way from the top of the file."""
        return self.source.place(loc)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: scenarios in the order in which their rules are tried, and what looks wrong in them."""

    scenarios: tuple[ScenarioFile, ...]
    warnings: tuple[Problem, ...]


def read_paths(paths: Sequence[str | os.PathLike[str]]) -> Reading:
    """Reads files, and folders with all `*.yaml` and `*.yml` below them, sorted, hidden ones left out.

    Raises ScenarioError with the problems of all files in order, warnings among them.
    """
    found = [file for path in paths for file in _list_files(Path(path))]
    # A file that is named twice is read once: read again, none of its rules could answer.
    files = {file if isinstance(file, Problem) else file.absolute(): file for file in found}
    return _read([file if isinstance(file, Problem) else _load(file) for file in files.values()])


def is_text(scenario: str | os.PathLike[str]) -> bool:
    """Whether a scenario is given as its text: a text has a line break, a path has none."""
    return isinstance(scenario, str) and "\n" in scenario


def read_given(scenarios: Sequence[str | os.PathLike[str]]) -> Reading:
    """Reads files and folders as `read_paths` does, and texts; raises ScenarioError likewise."""
    texts = [str(one) for one in scenarios if is_text(one)]
    if not texts:
        return read_paths(scenarios)
    items: dict[Path | str, _Content | Problem] = {}
    for one in scenarios:
        if is_text(one):
            name = "<scenario>" if len(texts) == 1 else f"<scenario {texts.index(str(one)) + 1}>"
            items[name] = _Content(name, None, str(one))
            continue
        for file in _list_files(Path(one)):
            key = file.place.file if isinstance(file, Problem) else file.absolute()
            items[key] = file if isinstance(file, Problem) else _load(file)
    return _read([*items.values()])


def read_text(text: str, file: str = "<scenario>", folder: Path | None = None) -> Reading:
    """Reads a scenario that is not in a file; `folder` is where the files it names are looked for."""
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


def _read(items: Sequence[_Content | Problem]) -> Reading:
    problems: list[Problem] = []
    checked: list[Checked] = []
    files: list[ScenarioFile] = []
    for item in items:
        if isinstance(item, Problem):
            problems.append(item)
            continue
        try:
            source = parse(item.text, item.file)
        except ScenarioError as error:
            problems += error.problems
            continue
        found, part = validate(source, item.folder)
        found += [*source.problems, *check(part)]
        if not found and not part.scenario.rules:
            message = "this scenario has no rules, so it answers nothing"
            found.append(source.problem(source.place(()), message, "warning"))
        problems += found
        checked.append(part.without([problem.place.line for problem in found if problem.severity == "error"]))
        files.append(ScenarioFile(part.scenario, item.file, item.folder, source))
    problems += warn_of_silent_rules(checked)
    if len(checked) == len(items):
        problems += check_flags(checked)
    order = {item.place.file if isinstance(item, Problem) else item.file: number for number, item in enumerate(items)}
    problems.sort(key=lambda problem: (order[problem.place.file], problem.place.line, problem.place.column))
    if any(problem.severity == "error" for problem in problems):
        raise ScenarioError(problems)
    return Reading(tuple(files), tuple(problems))


def validate(source: Source, folder: Path | None) -> tuple[list[Problem], Checked]:
    """The problems of a file, and what of it could be understood: the rest of it is checked all the same."""
    data = dict(source.data)
    # Editors find the language by this key in JSON files, where there are no comments.
    if isinstance(data.get("$schema"), str):
        del data["$schema"]
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        left, numbers = drop_mistakes(data, error.errors(include_url=False))
        parts = tuple(find_sound_parts(data, numbers))
        return explain(error, source), Checked(left, numbers, source, folder, parts)
    return [], Checked(scenario, range(len(scenario.rules)), source, folder)


def _list_files(path: Path) -> list[Path | Problem]:
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        found += [Path(folder, name) for name in names if name.endswith(_SUFFIXES) and not name.startswith(".")]
    if not found:
        return [
            Problem(Place(show_path(path), 1, 1), "this folder has no scenario: no file in it ends in .yaml or .yml")
        ]
    return [*sorted(found)]


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


def read_rule(rule: Mapping[str, Any], place: Place, path: Path | None = None) -> ScenarioFile:
    """A scenario of one rule, all of it at one place.

    `path` is the Python file: its line stands in messages, and files that the rule names are beside it. Raises ScenarioError.
    """
    lines = [line.rstrip("\r\n") for line in linecache.getlines(str(path))] if path else []
    end = len(lines[place.line - 1]) + 1 if place.line <= len(lines) else 1
    root = Node((place.line, place.column), (place.line, end), None)
    source = Source(place.file, {}, root, lines)
    try:
        source.data["rules"] = [to_json(rule)]
    except ValueError as error:
        raise ScenarioError([source.problem(place, str(error))]) from None
    folder = path.parent if path else None
    found, part = validate(source, folder)
    problems: list[Problem] = [one for one in (*found, *check(part)) if one.severity == "error"]
    if problems:
        raise ScenarioError(list(dict.fromkeys(problems)))
    return ScenarioFile(part.scenario, place.file, folder, source)


def read_beside(key: str, text: str) -> Beside:
    """What may stand beside an answer, from a text such as `slow-train` or `cut=reset,after_chunks=2`.

    Raises AnswerError, which says what is wrong with it.
    """
    value: Any = text.strip()
    if "=" in text:
        pairs = [pair.partition("=") for pair in text.split(",")]
        value = {name.strip(): _read_scalar(written.strip()) for name, _, written in pairs}
    source = Source(key, {"defaults": {key: value}}, Node((1, 1), (1, 1), None), [])
    found, part = validate(source, None)
    problems = [one.message for one in (*found, *check(part)) if one.severity == "error"]
    if problems:
        raise AnswerError("; ".join(dict.fromkeys(problems)))
    return part.scenario.defaults


def _read_scalar(text: str) -> Any:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def to_json(value: Any, depth: int = 1) -> Any:
    """A copy of a Python value as JSON has it; raises ValueError for what JSON cannot carry."""
    if depth > MAX_DEPTH:
        raise ValueError(f"lists and mappings are nested more than {MAX_DEPTH} deep")
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case list() | tuple():
            return [to_json(item, depth + 1) for item in value]
        case Mapping():
            for key in value:
                if not isinstance(key, str):
                    raise ValueError(f"a key must be a text, not {type(key).__name__}")  # noqa: TRY004  # as below
            return {key: to_json(item, depth + 1) for key, item in value.items()}
    what = str(value) if isinstance(value, float) else f"a value of type {type(value).__name__}"
    raise ValueError(f"{what} cannot be written as JSON; use texts, numbers, lists, dicts, True, False or None")


def quote_templates(value: Any) -> Any:
    """The same JSON with its texts such that a template that stands in one is written out and not evaluated."""
    if isinstance(value, str):
        return "{{ " + json.dumps(value, ensure_ascii=False) + " }}" if is_template(value) or "{#" in value else value
    if isinstance(value, list):
        return [quote_templates(item) for item in value]
    if isinstance(value, dict):
        return {key: quote_templates(item) for key, item in value.items()}
    return value
