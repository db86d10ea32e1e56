"""What can be understood of a file with mistakes, so that all of its problems are told at once and not in turns."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic_core import ValidationError

from emulator.scenario.grammar import Loc
from emulator.scenario.rules import ANSWERS, Beside, Scenario
from emulator.scenario.steps import Step
from emulator.scenario.when import When
from emulator.validation.models import Model
from emulator.validation.schemas import ErrorDetails, validator


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


def find_sound_parts(data: dict[str, Any], kept: Sequence[int]) -> Iterator[tuple[Loc, Model]]:
    """The parts of dropped rules that can be read on their own: conditions, headers, steps."""
    rules = data.get("rules")
    for number, rule in enumerate(rules if isinstance(rules, list) else []):
        if number in kept or not isinstance(rule, dict):
            continue
        loc: Loc = ("rules", number)
        yield from _read(When, rule.get("when"), (*loc, "when"))
        yield from _read(Beside, {"headers": rule.get("headers") or {}}, loc)
        for key in ANSWERS:
            yield from _find_steps(rule.get(key), (*loc, key))


def _find_steps(value: Any, loc: Loc) -> Iterator[tuple[Loc, Model]]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _find_steps(item, (*loc, number))
    elif isinstance(value, dict) and "assistant" in value:
        yield from _find_steps(value["assistant"], (*loc, "assistant"))
    elif isinstance(value, dict):
        yield from _read(Step, value, loc)


def _read(kind: Any, value: Any, loc: Loc) -> Iterator[tuple[Loc, Model]]:
    if isinstance(value, dict):
        try:
            yield loc, validator(kind).validate_python(value)
        except ValidationError:
            return
