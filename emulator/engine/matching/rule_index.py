"""The rules that may answer a request, found by what its texts and names have in them and not by asking them all."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile
from typing import Generic, Protocol, TypeVar

from emulator.engine.matching.conditions import TEXTS
from emulator.engine.request.facts import Facts
from emulator.engine.request.history import MODEL_ROLES, is_result, read_dialogue
from emulator.scenario.conversation import UserTurn
from emulator.scenario.rules import ConversationRule, Rule
from emulator.scenario.text_index import InvertedIndex, RequiredTexts, find_required_texts, required_by_test

_OPENING = "opening"
"""What the user says before anybody answers: the first turn of a transcript."""


class Indexed(Protocol):
    """What is looked for."""

    @property
    def required_texts(self) -> RequiredTexts:
        """What a request must have for it to hold."""
        ...


Item = TypeVar("Item", bound=Indexed)


class RuleIndex(Generic[Item]):
    """Rules in the order in which they are tried."""

    def __init__(self, rules: Sequence[Item]) -> None:
        self.rules = tuple(rules)
        self._index = InvertedIndex([rule.required_texts for rule in rules])
        self._asks_all = len(self._index.find(lambda _: ())) == len(rules)
        """Whether there is nothing to look for, because all of them may hold whatever the request has."""
        self._narrowed: dict[Callable[[Item], bool], RuleIndex[Item]] = {}

    def find(self, facts: Facts) -> Sequence[Item]:
        """Those that may hold; of the others it is certain that they do not."""
        if self._asks_all:
            return self.rules
        return [self.rules[at] for at in self._index.find(partial(_read, facts))]

    def narrow(self, keep: Callable[[Item], bool]) -> "RuleIndex[Item]":
        """Only those that `keep` keeps; sorted out once, however often they are asked for."""
        narrowed = self._narrowed.get(keep)
        if narrowed is None:
            narrowed = self._narrowed[keep] = RuleIndex([rule for rule in self.rules if keep(rule)])
        return narrowed


def required_texts_of(rule: Rule) -> RequiredTexts:
    """What a request must have for a rule to answer it."""
    required_texts = find_required_texts(rule.when)
    if isinstance(rule, ConversationRule) and isinstance(rule.conversation[0], UserTurn):
        required_texts += required_by_test(_OPENING, rule.conversation[0].user, "contains")
    return required_texts


def _read(facts: Facts, fact: str) -> Sequence[str]:
    """The values that a fact has in a request."""
    if fact in TEXTS:
        return TEXTS[fact][1](facts)
    match fact:
        case "tools":
            return [name for name, _, _ in facts.tools]
        case "after_tool":
            return facts.answered_tools
        case "opening":
            return _read_opening(facts)
    header = facts.headers.get(fact.removeprefix("header "))
    return () if header is None else (header,)


def _read_opening(facts: Facts) -> Sequence[str]:
    before = takewhile(lambda one: not is_result(one) and one.get("role") not in MODEL_ROLES, facts.messages)
    return [turn.text for turn in read_dialogue([*before], None)]
