"""A file whose models are valid at least in part: what the checks are given."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emulator.scenario.rules import Rule, Scenario
from emulator.scenario.types import Model
from emulator.scenario.yaml import Location, Source


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """A scenario, its source and its folder. Invalid rules are left out, so the valid ones come with their numbers."""

    scenario: Scenario
    numbers: Sequence[int]
    """The numbers of the scenario's rules in the file, from 0."""
    source: Source
    folder: Path | None
    parts: Sequence[tuple[Location, Model]] = ()
    """Valid parts of the invalid rules, with their locations."""

    def without(self, lines: Collection[int]) -> "ParsedFile":
        """The same without the rules that have one of these lines."""
        ordered = sorted(lines)
        kept = [
            (number, rule)
            for number, rule in zip(self.numbers, self.scenario.rules, strict=True)
            if not self.source.spans(("rules", number), ordered)
        ]
        scenario = self.scenario.model_copy(update={"rules": [rule for _number, rule in kept]})
        return replace(self, scenario=scenario, numbers=[number for number, _rule in kept])

    def named_rules(self) -> Iterator[tuple[Location, str, Rule]]:
        """The valid rules, each with its location and name."""
        for number, rule in zip(self.numbers, self.scenario.rules, strict=True):
            yield ("rules", number), rule_name(rule, number + 1), rule


def rule_name(rule: Rule, number: int) -> str:
    """What a rule is called: its name, else `rule N` with its number in the file from 1."""
    return rule.name or f"rule {number}"


def list_rules(source: Source) -> list[Any]:
    """The rules as they are written, invalid ones included."""
    rules = source.data.get("rules")
    return rules if isinstance(rules, list) else []
