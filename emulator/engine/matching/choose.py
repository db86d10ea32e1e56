"""Choosing the rule that answers, and reporting why none did."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from emulator.engine.matching.conditions import captured, matches
from emulator.engine.matching.misses import Miss, explain_miss
from emulator.engine.matching.rule_index import RuleIndex
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import CompiledRule, Ruleset
from emulator.engine.session import State

_MOST_LOTS = 8


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
            found = rule.conversation.find_next_answer(facts.dialogue)
            if found is not None:
                return Chosen(rule, use, {**captures, **found.captures}, found.position, counts or rule.counts)
    return None
