"""Rules and options that are given as Python values instead of files."""

import json
import linecache
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emulator.errors import AnswerError, Place, Problem, ScenarioError
from emulator.scenario.checks.scenario import check
from emulator.scenario.loading import ScenarioFile
from emulator.scenario.rules import AnswerOptions, Scenario
from emulator.scenario.templates.template import is_template
from emulator.scenario.validation import validate
from emulator.scenario.yaml import MAX_DEPTH, Node, Source


def read_rule(rule: Mapping[str, Any], place: Place, path: Path | None = None) -> ScenarioFile:
    """A scenario of one rule that was made at one place in a Python file.

    `path` is that file: messages quote its line, and media files that the rule names are looked for in its folder.
    Raises ScenarioError.
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
    scenario, problems = _validate(source, folder)
    if errors := [one for one in problems if one.severity == "error"]:
        raise ScenarioError(errors)
    return ScenarioFile(scenario, place.file, folder, source, tuple(problems))


def read_answer_option(key: str, text: str) -> AnswerOptions:
    """The answer option `key` (`pace`, `fault`, ...) as a command line or header writes it: `slow-train`, `cut=reset,after_chunks=2`.

    Raises AnswerError, whose text says what is wrong with it.
    """
    value: Any = text.strip()
    if "=" in text:
        pairs = [pair.partition("=") for pair in text.split(",")]
        value = {name.strip(): _read_scalar(written.strip()) for name, _, written in pairs}
    source = Source(key, {"defaults": {key: value}}, Node((1, 1), (1, 1), None), [])
    scenario, problems = _validate(source, None)
    if errors := [one.message for one in problems if one.severity == "error"]:
        raise AnswerError("; ".join(dict.fromkeys(errors)))
    return scenario.defaults


def _validate(source: Source, folder: Path | None) -> tuple[Scenario, list[Problem]]:
    """The scenario and its problems, each once."""
    problems, file = validate(source, folder)
    return file.scenario, list(dict.fromkeys((*problems, *check(file))))


def _read_scalar(text: str) -> Any:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def to_json(value: Any, depth: int = 1) -> Any:
    """A deep copy of a Python value with only the types of JSON. Raises ValueError for what JSON cannot represent."""
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
    """The same JSON with template syntax in its texts escaped, so that it is output as it is."""
    if isinstance(value, str):
        return "{{ " + json.dumps(value, ensure_ascii=False) + " }}" if is_template(value) or "{#" in value else value
    if isinstance(value, list):
        return [quote_templates(item) for item in value]
    if isinstance(value, dict):
        return {key: quote_templates(item) for key, item in value.items()}
    return value
