"""A rule written in Python -> the same models as one in a file, with the same messages at the Python line."""

import json
import linecache
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emulator.errors import AnswerError, Place, Problem, ScenarioError
from emulator.scenario.checking import check
from emulator.scenario.nodes import MAX_DEPTH, Node
from emulator.scenario.reading import ScenarioFile, validate
from emulator.scenario.rules import Beside
from emulator.scenario.source import Source
from emulator.scenario.templates import is_template


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
