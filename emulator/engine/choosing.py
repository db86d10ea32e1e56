"""Choosing the rule that answers, and reporting why none did."""

from collections.abc import Mapping
from dataclasses import dataclass

from emulator.engine.compiling import CompiledRule, Ruleset
from emulator.engine.facts import Facts
from emulator.engine.matching import Comparison, captured, compare, matches

NEAREST = 3
"""How many rules a miss names."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The rule that answers."""

    rule: CompiledRule
    use: int
    """How many requests of the session it has answered, this one included."""
    captures: Mapping[str, str]

    @property
    def position(self) -> int:
        """Which of the rule's replies it is, from 0."""
        return self.rule.position(self.use)


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule that did not answer, and what it missed."""

    rule: CompiledRule
    comparisons: tuple[Comparison, ...]
    used_up: bool

    @property
    def distance(self) -> int:
        """How many of its conditions do not hold."""
        return sum(not one.holds for one in self.comparisons)


@dataclass(frozen=True, slots=True)
class Miss:
    """A request that no rule answers."""

    scenarios: tuple[str, ...]
    session: str
    turn: int
    nearest: tuple[NearMiss, ...]
    others: int
    """How many more rules there are."""

    def report(self) -> str:
        """The miss as the client's author reads it: the nearest rule condition by condition, then the next ones."""
        of = " of " + ", ".join(f'"{name}"' for name in self.scenarios) if self.scenarios else ""
        lines = [f"no rule{of} answers this request (session {self.session}, turn {self.turn})"]
        if not self.nearest:
            lines.append("there are no rules")
            return "\n".join(lines)
        first = self.nearest[0]
        lines.append(f'nearest: "{first.rule.name}", {first.rule.place}')
        lines += describe(first.comparisons)
        if first.used_up:
            lines.append(f"  used up: {first.rule.limit} of {first.rule.limit}")
        if len(self.nearest) > 1:
            lines.append("also near: " + ", ".join(_brief(near) for near in self.nearest[1:]))
        if self.others:
            lines.append(f"and {self.others} more")
        return "\n".join(lines)


def describe(comparisons: tuple[Comparison, ...]) -> list[str]:
    """Comparisons as aligned lines."""
    width = max((len(one.field) for one in comparisons), default=0) + 2
    return [
        f"  {one.field.rstrip('_'):<{width}}ok    {one.got}"
        if one.holds
        else f"  {one.field.rstrip('_'):<{width}}MISS  wanted {one.wanted}, got {one.got}"
        for one in comparisons
    ]


def _brief(near: NearMiss) -> str:
    if near.used_up:
        return f'"{near.rule.name}" (used up: {near.rule.limit} of {near.rule.limit})'
    return f'"{near.rule.name}" ({near.distance} miss{"" if near.distance == 1 else "es"})'


def is_used_up(rule: CompiledRule, uses: Mapping[str, int]) -> bool:
    """Whether a rule has answered as often as it may."""
    return rule.limit is not None and uses.get(rule.key, 0) >= rule.limit


def choose(ruleset: Ruleset, facts: Facts, uses: Mapping[str, int]) -> Chosen | Miss:
    """The first rule that holds and is not used up; `uses` counts the session's uses by the rules' keys."""
    rule = find_rule(ruleset, facts, uses)
    if rule is None:
        return explain_miss(ruleset, facts, uses)
    return Chosen(rule, uses.get(rule.key, 0) + 1, captured(rule.conditions, facts))


def find_rule(ruleset: Ruleset, facts: Facts, uses: Mapping[str, int]) -> CompiledRule | None:
    """The rule that `choose` chooses, if there is one."""
    for rule in ruleset.rules:
        if matches(rule.conditions, facts) and not is_used_up(rule, uses):
            return rule
    return None


def explain_miss(ruleset: Ruleset, facts: Facts, uses: Mapping[str, int]) -> Miss:
    """Which rules came nearest: those that miss least, of these those that ask for most; used-up ones that hold come last."""
    near = [NearMiss(rule, tuple(compare(rule.conditions, facts)), is_used_up(rule, uses)) for rule in ruleset.rules]
    used_up = [one for one in near if not one.distance][: NEAREST - 1]
    missing = sorted((one for one in near if one.distance), key=lambda one: (one.distance, -len(one.comparisons)))
    nearest = (*missing[: NEAREST - len(used_up)], *used_up)
    return Miss(ruleset.scenarios, facts.target.project, facts.turn, nearest, len(near) - len(nearest))
