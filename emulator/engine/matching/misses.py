"""Miss reports: why no rule answers a request, shown on the rules that come nearest."""

from collections.abc import Mapping
from dataclasses import dataclass

from emulator.engine.matching.conditions import Comparison, compare, shorten
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import CompiledRule, Ruleset
from emulator.engine.session import State, show_flags

NEAREST = 3
"""How many rules a miss names."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule that did not answer, compared with the request."""

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
    """How many rules are not named in the report."""

    def report(self) -> str:
        """The report for the client's author: the nearest rule condition by condition, then the names of the next ones."""
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
    lines: list[str] = []
    for one in comparisons:
        found = f"ok    {one.got}" if one.holds else f"MISS  wanted {one.wanted}, got {one.got}"
        lines += [f"  {one.field.rstrip('_'):<{width}}{found}", *(f"    {line}" for line in one.details)]
    return lines


def _brief(near: NearMiss) -> str:
    if near.used_up:
        return f'"{near.rule.name}" (used up: {near.rule.limit} of {near.rule.limit})'
    return f'"{near.rule.name}" ({near.distance} miss{"" if near.distance == 1 else "es"})'


def is_used_up(rule: CompiledRule, uses: Mapping[str, int]) -> bool:
    """Whether a rule has answered as often as it may."""
    return rule.limit is not None and uses.get(rule.key, 0) >= rule.limit


def compare_rule(rule: CompiledRule, facts: Facts, state: State) -> tuple[Comparison, ...]:
    """Compare all that a rule requires, flags and conversation included, with a request and its session."""
    found = compare(rule.conditions, facts)
    if rule.flags is not None and rule.flags.wanted:
        holds, got = rule.flags.holds(state.flags), shorten(show_flags(state.flags))
        found.append(Comparison("requires", holds, rule.flags.wanted, got))
    if rule.conversation is not None:
        found.append(rule.conversation.compare(facts.dialogue))
    return tuple(found)


def explain_miss(ruleset: Ruleset, facts: Facts, state: State) -> Miss:
    """Rank the rules by how near they come to a request.

    First the rules with the fewest conditions that do not hold, among these the ones with the most conditions, among these the ones
    whose transcript matches the most turns. Rules that hold but are used up come last.
    """
    near = [NearMiss(rule, compare_rule(rule, facts, state), is_used_up(rule, state.uses)) for rule in ruleset.rules]
    used_up = [one for one in near if not one.distance][: NEAREST - 1]
    missing = sorted((one for one in near if one.distance), key=_rank)
    nearest = (*missing[: NEAREST - len(used_up)], *used_up)
    return Miss(ruleset.scenarios, facts.target.project, facts.turn, nearest, len(near) - len(nearest))


def _rank(near: NearMiss) -> tuple[int, int, int]:
    return near.distance, -len(near.comparisons), -max(one.matched_turns for one in near.comparisons)
