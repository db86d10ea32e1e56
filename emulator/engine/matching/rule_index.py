"""The rule index: finds the rules that may answer a request by substrings of its texts and names, without trying every rule.

What substrings a rule requires follows from its `when` and stands in `scenario/text_index.py`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile
from typing import Generic, Protocol, TypeVar

from emulator.engine.matching.conditions import TEXT_FIELDS
from emulator.engine.request.facts import Facts
from emulator.engine.request.history import MODEL_ROLES, is_result, read_history_turns
from emulator.scenario.conversation import UserTurn
from emulator.scenario.rules import ConversationRule, Rule
from emulator.scenario.text_index import InvertedIndex, RequiredTexts, find_required_texts, required_by_test

_FIRST_TURN = "opening"
"""The index's field for the text of the user's first turn, which the first turn of a transcript tests."""


class Indexed(Protocol):
    """An item of the index."""

    @property
    def required_texts(self) -> RequiredTexts:
        """The texts that a request must have for the item to hold."""
        ...


Item = TypeVar("Item", bound=Indexed)


class RuleIndex(Generic[Item]):
    """Rules in the order in which they are tried, and an index over the texts that they require."""

    def __init__(self, rules: Sequence[Item]) -> None:
        self.rules = tuple(rules)
        self._index = InvertedIndex([rule.required_texts for rule in rules])
        self._keeps_all = len(self._index.find(lambda _: ())) == len(rules)
        """Whether the index excludes nothing, because every rule may hold for any request."""
        self._narrowed: dict[Callable[[Item], bool], RuleIndex[Item]] = {}

    def find(self, facts: Facts) -> Sequence[Item]:
        """The rules that may hold, in order; it is certain that the others do not."""
        if self._keeps_all:
            return self.rules
        return [self.rules[at] for at in self._index.find(partial(_read_field, facts), facts.readings.fold)]

    def narrow(self, keep: Callable[[Item], bool]) -> "RuleIndex[Item]":
        """An index of the rules for which `keep` is true; made once for each `keep`."""
        narrowed = self._narrowed.get(keep)
        if narrowed is None:
            narrowed = self._narrowed[keep] = RuleIndex([rule for rule in self.rules if keep(rule)])
        return narrowed


def required_texts_of(rule: Rule) -> RequiredTexts:
    """The texts that a request must have for a rule to answer it."""
    required_texts = find_required_texts(rule.when)
    if isinstance(rule, ConversationRule) and isinstance(rule.conversation[0], UserTurn):
        required_texts += required_by_test(_FIRST_TURN, rule.conversation[0].user, "contains")
    return required_texts


def _read_field(facts: Facts, field: str) -> Sequence[str]:
    """The values of an indexed field in a request."""
    if field in TEXT_FIELDS:
        return TEXT_FIELDS[field].values(facts)
    if field == _FIRST_TURN:
        before = takewhile(lambda one: not is_result(one) and one.get("role") not in MODEL_ROLES, facts.messages)
        return [turn.text for turn in read_history_turns([*before], None)]
    header = facts.headers.get(field.removeprefix("header "))
    return () if header is None else (header,)
