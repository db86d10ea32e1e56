"""Choosing the rule that answers, and reporting why none did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from emulator.engine.compiling import CompiledRule, Ruleset
from emulator.engine.facts import Facts
from emulator.engine.indexing import RuleIndex
from emulator.engine.matching import Comparison, captured, compare, matches, shorten
from emulator.engine.state import State, show_flags

_MOST_LOTS = 8
NEAREST = 3
"""How many rules a miss names."""


class Chosen(NamedTuple):
    """The rule that answers."""

    rule: CompiledRule
    use: int
    """How many requests of the session it has answered, this one included."""
    captures: Mapping[str, str]
    position: int
    """Which of the rule's replies it is, from 0."""
    counts: bool = False
    """Whether it might be another rule, or another answer, had the session seen other things before."""


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
    lines: list[str] = []
    for one in comparisons:
        found = f"ok    {one.got}" if one.holds else f"MISS  wanted {one.wanted}, got {one.got}"
        lines += [f"  {one.field.rstrip('_'):<{width}}{found}", *(f"    {line}" for line in one.lines)]
    return lines


def _brief(near: NearMiss) -> str:
    if near.used_up:
        return f'"{near.rule.name}" (used up: {near.rule.limit} of {near.rule.limit})'
    return f'"{near.rule.name}" ({near.distance} miss{"" if near.distance == 1 else "es"})'


def is_used_up(rule: CompiledRule, uses: Mapping[str, int]) -> bool:
    """Whether a rule has answered as often as it may."""
    return rule.limit is not None and uses.get(rule.key, 0) >= rule.limit


def choose(ruleset: Ruleset, facts: Facts, state: State) -> Chosen | Miss:
    """The first rule that holds and is not used up; `state` is what the session remembers."""
    return find_chosen(ruleset, facts, state) or explain_miss(ruleset, facts, state)


class Holding:
    """The rules of a lot whose conditions hold for a request, with their captures; looked for once, and only as far as somebody asks."""

    __slots__ = ("_asked", "_found", "_rules")

    def __init__(self, rules: Sequence[CompiledRule]) -> None:
        self._rules = rules
        self._asked = 0
        self._found: list[tuple[CompiledRule, Mapping[str, str]]] = []

    def find(self, number: int, facts: Facts) -> tuple[CompiledRule, Mapping[str, str]] | None:
        """The one of this number, from 0, if there are so many; the facts are always the same."""
        found, rules = self._found, self._rules
        while number >= len(found):
            if self._asked == len(rules):
                return None
            rule = rules[self._asked]
            conditions = rule.conditions
            if matches(conditions, facts):
                found.append((rule, captured(conditions, facts)))
            self._asked += 1
        return found[number]


def _find_holding(lot: RuleIndex[CompiledRule], facts: Facts) -> Holding:
    found: Holding | None = facts.holding.get(lot)
    if found is None:
        # Of lots that have been replaced the facts need not know.
        if len(facts.holding) >= _MOST_LOTS:
            facts.holding.clear()
        found = facts.holding[lot] = Holding(lot.find(facts))
    return found


def find_chosen(ruleset: Ruleset, facts: Facts, state: State) -> Chosen | None:
    """What `choose` chooses, if a rule answers."""
    counts = False
    for lot in ruleset.lots:
        holding, number = _find_holding(lot, facts), 0
        while (held := holding.find(number, facts)) is not None:
            (rule, captures), number = held, number + 1
            counts = counts or rule.is_limited
            use = state.uses.get(rule.key, 0) + 1
            if rule.limit is not None and use > rule.limit:
                continue
            if rule.flags is not None and not rule.flags.holds(state.flags):
                continue
            if rule.conversation is None:
                return Chosen(rule, use, captures, rule.position(use), counts or rule.counts)
            found = rule.conversation.find_place(facts.dialogue)
            if found is not None:
                return Chosen(rule, use, {**captures, **found.captures}, found.position, counts or rule.counts)
    return None


def compare_rule(rule: CompiledRule, facts: Facts, state: State) -> tuple[Comparison, ...]:
    """All that a rule demands, beside what the request and its session have."""
    found = compare(rule.conditions, facts)
    if rule.flags is not None and rule.flags.wanted:
        holds, got = rule.flags.holds(state.flags), shorten(show_flags(state.flags))
        found.append(Comparison("requires", holds, rule.flags.wanted, got))
    if rule.conversation is not None:
        found.append(rule.conversation.compare(facts.dialogue))
    return tuple(found)


def explain_miss(ruleset: Ruleset, facts: Facts, state: State) -> Miss:
    """Which rules came nearest.

    Those that miss least, of these those that ask for most, of these those whose transcript goes along furthest; used-up ones
    that hold come last.
    """
    near = [NearMiss(rule, compare_rule(rule, facts, state), is_used_up(rule, state.uses)) for rule in ruleset.rules]
    used_up = [one for one in near if not one.distance][: NEAREST - 1]
    missing = sorted((one for one in near if one.distance), key=_order)
    nearest = (*missing[: NEAREST - len(used_up)], *used_up)
    return Miss(ruleset.scenarios, facts.target.project, facts.turn, nearest, len(near) - len(nearest))


def _order(near: NearMiss) -> tuple[int, int, int]:
    return near.distance, -len(near.comparisons), -max(one.reached for one in near.comparisons)
