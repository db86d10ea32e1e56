"""An inverted index of the texts that rules require, which finds the rules that may match a request.

A text is only required if it is certain that the `when` cannot hold without it, so a rule that the index leaves out cannot match.
Whether the others do is decided by their conditions.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

import ahocorasick

from emulator.scenario.checks.implications import (
    NAMES,
    PROSE,
    AnyTest,
    find_literal,
    find_substrings,
    list_conditions,
    list_operators,
)
from emulator.scenario.patterns import Literal, compile_pattern
from emulator.scenario.when import When

_FEWEST = 4
"""A fact that fewer rules than this are indexed by is not looked up: to try those rules costs no more."""
_MOST_MATCHES = 300_000
"""So many occurrences of required texts are looked at, which takes some 20 ms; in a text with more, all rules are tried."""


class RequiredText(NamedTuple):
    """A text in lower case that one of a fact's values must be or contain; a fact is a name such as `last_user` or `header x-a`."""

    fact: str
    text: str
    is_whole: bool


class AnyOf(NamedTuple):
    """Alternatives of which one must be met."""

    options: "tuple[RequiredTexts, ...]"


RequiredTexts = tuple[RequiredText | AnyOf, ...]
"""What a request must contain, all of it; empty if nothing is certain."""


def find_required_texts(when: When) -> RequiredTexts:
    """The texts that a request must contain for a `when` to hold."""
    return tuple(part for name, value in list_conditions(when).items() for part in _required_by(name, value))


def required_by_test(fact: str, test: AnyTest, short: str) -> RequiredTexts:
    """The texts without which no value of a fact passes a test; `short` is the operator that a plain text stands for."""
    operators = list_operators(test, short)
    literal = find_literal(test, short)
    found: list[RequiredText | AnyOf] = (
        [] if literal is None else [RequiredText(fact, literal.casefold(), is_whole=True)]
    )
    found += [RequiredText(fact, part, is_whole=False) for part in find_substrings(operators) if part]
    if "regex" in operators:
        found += _required_by_literals(fact, compile_pattern(operators["regex"]).literals)
    if "any_of" in operators:
        found.append(AnyOf(tuple(required_by_test(fact, option, short) for option in operators["any_of"])))
    return tuple(found)


def _required_by_literals(fact: str, literals: Sequence[Literal]) -> RequiredTexts:
    """The texts of a regular expression's literals."""
    return tuple(
        RequiredText(fact, literal, is_whole=False)
        if isinstance(literal, str)
        else AnyOf(tuple(_required_by_literals(fact, option) for option in literal))
        for literal in literals
    )


def _required_by(name: str, value: Any) -> Iterable[RequiredText | AnyOf]:
    """The texts required by one condition of a `when`."""
    if name in PROSE | NAMES:
        return required_by_test(name, value, "contains" if name in PROSE else "glob")
    match name:
        case "after_tool":
            return [] if isinstance(value, bool) else required_by_test(name, value, "glob")
        case "tools":
            tests = value if isinstance(value, list) else [] if isinstance(value, bool) or value == "auto" else [value]
            return [part for test in tests for part in required_by_test(name, test, "glob")]
        case "header":
            tests = [(f"header {key.lower()}", test) for key, test in value.items() if not isinstance(test, bool)]
            return [part for fact, test in tests for part in required_by_test(fact, test, "glob")]
        case "all":
            return [part for inner in value for part in find_required_texts(inner)]
        case "any":
            return [AnyOf(tuple(map(find_required_texts, value)))]
    return ()


class InvertedIndex:
    """Finds those of many rules whose required texts a request may contain; each is indexed by the rarest of its texts.

    The texts of a fact are searched for all at once by an Aho-Corasick automaton, in time linear in the length of the value.
    """

    def __init__(self, required: Sequence[RequiredTexts]) -> None:
        counts = Counter(text for texts in required for text in set(_list_texts(texts)))
        selected = [_select_texts(texts, counts) for texts in required]
        users = Counter(fact for texts in selected for fact in {text.fact for text in texts})
        self._always: list[int] = []
        whole: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        parts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for number, texts in enumerate(selected):
            if not texts or any(users[text.fact] < _FEWEST for text in texts):
                self._always.append(number)
                continue
            for text in texts:
                (whole if text.is_whole else parts)[text.fact][text.text].append(number)
        self._all = range(len(required))
        self._tables = [
            (fact, dict(whole.get(fact, {})), _build_automaton(parts[fact]) if fact in parts else None)
            for fact in dict.fromkeys((*whole, *parts))
        ]

    def find(self, read: Callable[[str], Iterable[str]], fold: Callable[[str], str] = str.casefold) -> Sequence[int]:
        """The numbers, in order, of all whose required texts may be there; `read` gives the values of a fact."""
        found: set[int] = set()
        for fact, whole, automaton in self._tables:
            for value in read(fact):
                text = fold(value)
                if text in whole:
                    found.update(whole[text])
                if automaton is not None:
                    matches = automaton.iter(text)
                    for numbers in set(map(itemgetter(1), islice(matches, _MOST_MATCHES))):
                        found.update(numbers)
                    if next(matches, None) is not None:
                        return self._all
        return sorted(found.union(self._always)) if found else self._always


def _build_automaton(texts: Mapping[str, Sequence[int]]) -> Any:
    automaton = ahocorasick.Automaton()
    for text, numbers in texts.items():
        automaton.add_word(text, tuple(numbers))
    automaton.make_automaton()
    return automaton


def _list_texts(required: RequiredTexts) -> Iterator[RequiredText]:
    for part in required:
        if isinstance(part, AnyOf):
            for option in part.options:
                yield from _list_texts(option)
        else:
            yield part


def _select_texts(required: RequiredTexts, counts: Mapping[RequiredText, int]) -> Sequence[RequiredText]:
    """The least used texts such that one of them occurs in every request that may match; empty if nothing is certain."""
    candidates = (texts for part in required if (texts := _candidate_texts(part, counts)))
    return min(
        candidates,
        key=lambda texts: (sum(counts[text] for text in texts), -min(len(text.text) for text in texts)),
        default=(),
    )


def _candidate_texts(part: RequiredText | AnyOf, counts: Mapping[RequiredText, int]) -> Sequence[RequiredText]:
    if isinstance(part, RequiredText):
        return (part,)
    selected = [_select_texts(option, counts) for option in part.options]
    return [text for texts in selected for text in texts] if all(selected) else ()
