"""Warnings for rules that can never answer, because rules before them match every request that they match."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from emulator.errors import Place, Problem
from emulator.scenario.checks.implications import find_contradiction, implies
from emulator.scenario.checks.parsed_file import ParsedFile
from emulator.scenario.flags import list_flags
from emulator.scenario.locations import walk_models
from emulator.scenario.patterns import PatternError
from emulator.scenario.rules import ConversationRule, Rule, SequenceRule
from emulator.scenario.templates.template import strings_in
from emulator.scenario.text_index import InvertedIndex, find_required_texts
from emulator.scenario.when import When

_MOST_COMPARISONS = 125_000
"""Pairs of rules that are compared at most; the index spares pairs that have no text in common."""
_FEW = 8
"""So many rules are compared without looking them up in the index."""
_SPLITS = ("stream", "after_tool", "tools")
"""Conditions that are either true or false, so that two rules together may cover every request."""


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
    covering: dict[int, _Entry] = {}
    comparisons = 0
    for _, group in groupby(enumerate(entries), key=lambda one: one[1].file.source.file):
        unreachable: list[tuple[_Entry, list[_Entry]]] = []
        reachable = 0
        for number, entry in group:
            candidates = [] if comparisons > _MOST_COMPARISONS else _find_candidates(entry.rule.when, index, covering)
            comparisons += len(candidates)
            if comparisons > _MOST_COMPARISONS:
                candidates = []
            try:
                found = _find_covering(entry.rule.when, [one for one in candidates if _covers_rest(one, entry)])
            except PatternError as error:
                message = f'rule "{entry.name}" cannot be compared with those before it: {error}'
                yield entry.file.source.problem(entry.place, message, "warning")
                found = []
            if found:
                unreachable.append((entry, found))
            else:
                reachable += 1
                if _is_unlimited(entry.rule) and not find_contradiction(entry.rule.when):
                    covering[number] = entry
        yield from (
            _warn_of_file(unreachable) if len(unreachable) > 1 and not reachable else map(_warn_of_rule, unreachable)
        )


def _find_candidates(when: When, index: InvertedIndex, covering: Mapping[int, _Entry]) -> list[_Entry]:
    if len(covering) <= _FEW:
        return [*covering.values()]
    return [covering[one] for one in find_candidates(when, index) if one in covering]


def find_candidates(when: When, index: InvertedIndex) -> Sequence[int]:
    """The rules that may match every request that a `when` matches: their required texts occur in the texts of the `when`."""
    parts = [getattr(part, name) for _, part in walk_models(when) for name in part.model_fields_set]
    texts = [text for part in parts for _, text in strings_in(part)]
    publishers = [text.partition("/")[0] for text in texts if "/" in text]
    return index.find(lambda _: [*texts, *publishers])


def _warn_of_rule(unreachable: tuple[_Entry, list[_Entry]]) -> Problem:
    entry, found = unreachable
    names = " and ".join(f'"{cover.name}" ({cover.place.seen_from(entry.place.file)})' for cover in found)
    verb = "answer" if len(found) > 1 else "answers"
    message = f'rule "{entry.name}" can never answer: {names} {verb} every request that it could'
    return entry.file.source.problem(entry.place, message, "warning")


def _warn_of_file(unreachable: list[tuple[_Entry, list[_Entry]]]) -> Iterator[Problem]:
    """One warning if a single rule of an earlier file covers all rules of a file."""
    covering = {cover.place: cover for _, found in unreachable for cover in found}
    if len(covering) > 1:
        yield from map(_warn_of_rule, unreachable)
        return
    entry, (cover,) = unreachable[0]
    message = f'no rule of this file can answer: "{cover.name}" ({cover.place.seen_from(entry.place.file)}) answers every request'
    yield entry.file.source.problem(entry.place, f"{message} before them", "warning")


def _is_unlimited(rule: Rule) -> bool:
    return rule.times is None and not (isinstance(rule, SequenceRule) and rule.then == "exhaust")


def _covers_rest(cover: _Entry, entry: _Entry) -> bool:
    """Whether the rule also requires what the cover requires besides its `when`: flags, and the turns of a conversation."""
    if not cover.flags <= entry.flags:
        return False
    if not isinstance(cover.rule, ConversationRule):
        return True
    rule = entry.rule
    return isinstance(rule, ConversationRule) and cover.rule.conversation[: len(rule.conversation)] == rule.conversation


def _find_covering(when: When, covering: Sequence[_Entry]) -> list[_Entry]:
    if found := _find_cover(when, covering):
        return [found]
    for name in _SPLITS:
        if getattr(when, name) is not None:
            continue
        candidates = [cover for cover in covering if getattr(cover.rule.when, name) is not None]
        yes = _find_cover(when.model_copy(update={name: True}), candidates)
        no = _find_cover(when.model_copy(update={name: False}), candidates) if yes else None
        if yes and no:
            return sorted((yes, no), key=covering.index)
    return []


def _find_cover(when: When, covering: Sequence[_Entry]) -> _Entry | None:
    return next((cover for cover in covering if implies(when, cover.rule.when)), None)
