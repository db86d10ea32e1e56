"""Validation of a parsed file by the models: its problems, and the parts that are valid in spite of them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic_core import ErrorDetails, ValidationError

from emulator.errors import Problem
from emulator.scenario.checks.parsed_file import ParsedFile
from emulator.scenario.problems import explain
from emulator.scenario.rules import ANSWERS, EXTENSION, AnswerOptions, Scenario
from emulator.scenario.steps import Step
from emulator.scenario.types import Model
from emulator.scenario.when import When
from emulator.scenario.yaml import Location, Source

_REPLIES = ("assistant", "one_of", "reply")
"""Keys of a turn or step below which there are replies."""
_STEP: TypeAdapter[Step] = TypeAdapter(Step, config=ConfigDict(defer_build=True))


def validate(source: Source, folder: Path | None) -> tuple[list[Problem], ParsedFile]:
    """The problems that the models find in a file, and its valid parts, which can still be checked."""
    data = dict(source.data)
    # JSON files name their schema by this key, because they cannot have the comment that YAML files begin with.
    if isinstance(data.get("$schema"), str):
        del data["$schema"]
    # What is only defined to be repeated by aliases.
    data = {key: value for key, value in data.items() if not key.startswith(EXTENSION)}
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        scenario, numbers = _drop_invalid(data, error.errors(include_url=False))
        parts = tuple(_find_valid_parts(data, numbers))
        return explain(error, source), ParsedFile(scenario, numbers, source, folder, parts)
    return [], ParsedFile(scenario, range(len(scenario.rules)), source, folder)


def _drop_invalid(data: dict[str, Any], details: Sequence[ErrorDetails]) -> tuple[Scenario, list[int]]:
    """The scenario without its invalid rules and top-level keys, and the numbers of the rules that are left."""
    locs = [detail["loc"] for detail in details]
    bad_rules = {loc[1] for loc in locs if loc[0] == "rules" and len(loc) > 1}
    bad_keys = {loc[0] for loc in locs if loc[0] != "rules" or len(loc) == 1}
    left = {key: value for key, value in data.items() if key not in bad_keys}
    numbers: list[int] = []
    if isinstance(rules := left.get("rules"), list):
        numbers = [number for number in range(len(rules)) if number not in bad_rules]
        left["rules"] = [rules[number] for number in numbers]
    return Scenario.model_validate(left), numbers


def _find_valid_parts(data: dict[str, Any], kept: Sequence[int]) -> Iterator[tuple[Location, Model]]:
    """The parts of invalid rules that are valid by themselves: conditions, headers, steps."""
    rules = data.get("rules")
    for number, rule in enumerate(rules if isinstance(rules, list) else []):
        if number in kept or not isinstance(rule, dict):
            continue
        loc: Location = ("rules", number)
        yield from _validate_part(When.model_validate, rule.get("when"), (*loc, "when"))
        yield from _validate_part(AnswerOptions.model_validate, {"headers": rule.get("headers") or {}}, loc)
        for key in ANSWERS:
            yield from _find_steps(rule.get(key), (*loc, key))


def _find_steps(value: Any, loc: Location) -> Iterator[tuple[Location, Model]]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _find_steps(item, (*loc, number))
    elif isinstance(value, dict) and (key := next((one for one in _REPLIES if one in value), None)):
        yield from _find_steps(value[key], (*loc, key))
    elif isinstance(value, dict):
        yield from _validate_part(_STEP.validate_python, value, loc)


def _validate_part(read: Callable[[Any], Model], value: Any, loc: Location) -> Iterator[tuple[Location, Model]]:
    if isinstance(value, dict):
        try:
            yield loc, read(value)
        except ValidationError:
            return
