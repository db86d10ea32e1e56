"""Choosing the rule that answers."""

from collections.abc import Mapping
from typing import NamedTuple

from emulator.engine.matching.conditions import captured, matches
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import CompiledRule, Ruleset
from emulator.engine.session import State
from emulator.scenario.patterns import PatternError


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


def choose(ruleset: Ruleset, facts: Facts, state: State) -> Chosen | None:
    """The first rule that holds and is not used up, if there is one; `state` is what the session remembers.

    Raises AnswerError when a rule's regular expression would take too long on the request.
    """
    counts = False
    rule: CompiledRule | None = None
    try:
        for index in ruleset.indexes:
            for rule in index.find(facts):
                if not matches(rule.conditions, facts):
                    continue
                counts = counts or rule.is_limited
                use = state.uses.get(rule.key, 0) + 1
                if rule.limit is not None and use > rule.limit:
                    continue
                if rule.flags is not None and not rule.flags.holds(state.flags):
                    continue
                captures = captured(rule.conditions, facts)
                if rule.conversation is None:
                    return Chosen(rule, use, captures, rule.position(use), counts or rule.counts)
                found = rule.conversation.find_next_answer(facts.dialogue, facts.readings)
                if found is not None:
                    return Chosen(rule, use, {**captures, **found.captures}, found.position, counts or rule.counts)
    except PatternError as error:
        raise (error if rule is None else rule.failed(error)) from None
    return None
