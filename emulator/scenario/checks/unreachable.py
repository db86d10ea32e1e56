"""Warnings for rules that can never answer, because rules before them answer all they could."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from emulator.errors import Place, Problem
from emulator.scenario.checks.implications import find_contradiction, implies
from emulator.scenario.checks.parsed_file import ParsedFile
from emulator.scenario.flags import list_flags
from emulator.scenario.locations import walk_models
from emulator.scenario.rules import ConversationRule, Rule, SequenceRule
from emulator.scenario.templates.template import strings_in
from emulator.scenario.text_index import InvertedIndex, find_required_texts
from emulator.scenario.when import When

_MOST_COMPARISONS = 125_000
"""How many pairs of rules are compared: those that have no text in common are told apart without."""
_SPLITS = ("stream", "after_tool", "tools")
"""Conditions that are either true or false, so that two rules may together take everything."""


@dataclass(frozen=True, slots=True)
class _Entry:
    file: ParsedFile
    name: str
    rule: Rule
    flags: frozenset[str]
    """The flags it requires."""
    place: Place


def find_unreachable_rules(files: Sequence[ParsedFile]) -> Iterator[Problem]:
    """A warning for each rule that can never answer; the rules of a file are tried after those of the files before it."""
    entries = [
        _Entry(file, name, rule, frozenset(list_flags(rule.requires)), file.source.place(loc))
        for file in files
        for loc, name, rule in file.named_rules()
    ]
    index = InvertedIndex([find_required_texts(entry.rule.when) for entry in entries])
    takers: dict[int, _Entry] = {}
    comparisons = 0
    for _, group in groupby(enumerate(entries), key=lambda one: one[1].file.source.file):
        silent: list[tuple[_Entry, list[_Entry]]] = []
        answering = 0
        for number, entry in group:
            near = [takers[one] for one in find_near(entry.rule.when, index) if one in takers]
            comparisons += len(near)
            if comparisons > _MOST_COMPARISONS:
                near = []
            if found := _find_takers(entry.rule.when, [one for one in near if _can_take(one, entry)]):
                silent.append((entry, found))
            else:
                answering += 1
                if _is_unlimited(entry.rule) and not find_contradiction(entry.rule.when):
                    takers[number] = entry
        yield from _warn_of_file(silent) if len(silent) > 1 and not answering else map(_warn_of_rule, silent)


def find_near(when: When, index: InvertedIndex) -> Sequence[int]:
    """The rules that might take all that fulfils a `when`: a text follows from one that has it inside, or from nothing."""
    parts = [getattr(part, name) for _, part in walk_models(when) for name in part.model_fields_set]
    texts = [text for part in parts for _, text in strings_in(part)]
    publishers = [text.partition("/")[0] for text in texts if "/" in text]
    return index.find(lambda _: [*texts, *publishers])


def _warn_of_rule(silent: tuple[_Entry, list[_Entry]]) -> Problem:
    entry, found = silent
    who = " and ".join(f'"{taker.name}" ({_tell_place(taker, entry)})' for taker in found)
    verb = "answer" if len(found) > 1 else "answers"
    message = f'rule "{entry.name}" can never answer: {who} {verb} every request that it could'
    return entry.file.source.problem(entry.place, message, "warning")


def _warn_of_file(silent: list[tuple[_Entry, list[_Entry]]]) -> Iterator[Problem]:
    """One warning where a file that comes too late is silent as a whole."""
    takers = {taker.place: taker for _, found in silent for taker in found}
    if len(takers) > 1:
        yield from map(_warn_of_rule, silent)
        return
    entry, (taker,) = silent[0]
    message = f'no rule of this file can answer: "{taker.name}" ({_tell_place(taker, entry)}) answers every request'
    yield entry.file.source.problem(entry.place, f"{message} before them", "warning")


def _tell_place(taker: _Entry, entry: _Entry) -> str:
    if taker.place.file == entry.place.file:
        return f"line {taker.place.line}"
    return f"{taker.place.file}:{taker.place.line}"


def _is_unlimited(rule: Rule) -> bool:
    return rule.times is None and not (isinstance(rule, SequenceRule) and rule.then == "exhaust")


def _can_take(taker: _Entry, entry: _Entry) -> bool:
    """Whether what the taker demands beside its `when`, the rule demands too: its flags, the turns of its conversation."""
    if not taker.flags <= entry.flags:
        return False
    if not isinstance(taker.rule, ConversationRule):
        return True
    rule = entry.rule
    return isinstance(rule, ConversationRule) and taker.rule.conversation[: len(rule.conversation)] == rule.conversation


def _find_takers(when: When, takers: Sequence[_Entry]) -> list[_Entry]:
    if found := _find_taker(when, takers):
        return [found]
    for name in _SPLITS:
        if getattr(when, name) is not None:
            continue
        choosy = [taker for taker in takers if getattr(taker.rule.when, name) is not None]
        yes = _find_taker(when.model_copy(update={name: True}), choosy)
        no = _find_taker(when.model_copy(update={name: False}), choosy) if yes else None
        if yes and no:
            return sorted((yes, no), key=takers.index)
    return []


def _find_taker(when: When, takers: Sequence[_Entry]) -> _Entry | None:
    return next((taker for taker in takers if implies(when, taker.rule.when)), None)
