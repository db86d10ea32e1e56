"""An inverted index of the texts that rules require, which finds the rules that may match a request.

A text is only required if it is certain that the `when` cannot hold without it, so a rule that the index leaves out cannot match.
Whether the others do is decided by their conditions.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from emulator.scenario.checks.implications import (
    NAMES,
    PROSE,
    find_literal,
    find_substrings,
    list_conditions,
    list_operators,
)
from emulator.scenario.when import Test, When

_GRAM = 4
"""Characters of the n-grams under which a part of a text is indexed; shorter parts are indexed whole."""
_LONGEST = 256
"""Characters of a part that are indexed."""
_FEWEST = 4
"""A fact that fewer rules than this are indexed by is not looked up: to try those rules costs no more."""
_MANY_GRAMS = 64
"""Up to so many n-grams are each searched for in the text; more are intersected with the n-grams of the text."""


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


class _Key(NamedTuple):
    """A key of the index: an n-gram of so many characters, or a whole text (size 0)."""

    fact: str
    size: int
    text: str


def find_required_texts(when: When) -> RequiredTexts:
    """The texts that a request must contain for a `when` to hold."""
    return tuple(part for name, value in list_conditions(when).items() for part in _required_by(name, value))


def required_by_test(fact: str, test: str | Test, short: str) -> RequiredTexts:
    """The texts without which no value of a fact passes a test; `short` is the operator that a plain text stands for."""
    operators = list_operators(test, short)
    literal = find_literal(test, short)
    found: list[RequiredText | AnyOf] = (
        [] if literal is None else [RequiredText(fact, literal.casefold(), is_whole=True)]
    )
    found += [RequiredText(fact, part, is_whole=False) for part in find_substrings(operators) if part]
    if "any_of" in operators:
        found.append(AnyOf(tuple(required_by_test(fact, option, short) for option in operators["any_of"])))
    return tuple(found)


def _required_by(name: str, value: Any) -> Iterable[RequiredText | AnyOf]:
    """The texts required by one condition of a `when`."""
    if name in PROSE | NAMES:
        return required_by_test(name, value, "contains" if name in PROSE else "glob")
    match name:
        case "tools" | "after_tool":
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
    """Finds those of many rules whose required texts a request may contain; each is indexed by the rarest of its texts."""

    def __init__(self, required: Sequence[RequiredTexts]) -> None:
        counts = Counter(key for texts in required for key in set(_list_keys(texts)))
        selected = [_select_keys(texts, counts) for texts in required]
        users = Counter(fact for keys in selected for fact in {key.fact for key in keys})
        self._always: list[int] = []
        tables: dict[str, dict[int, dict[str, list[int]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        for number, keys in enumerate(selected):
            if not keys or any(users[key.fact] < _FEWEST for key in keys):
                self._always.append(number)
                continue
            for fact, size, text in keys:
                tables[fact][size][text].append(number)
        self._tables = [
            (fact, [_PostingTable(size, numbers) for size, numbers in sizes.items()]) for fact, sizes in tables.items()
        ]

    def find(self, read: Callable[[str], Iterable[str]]) -> Sequence[int]:
        """The numbers, in order, of all whose required texts may be there; `read` gives the values of a fact."""
        found: list[int] = []
        for fact, tables in self._tables:
            for value in read(fact):
                text = value.casefold()
                for table in tables:
                    found += table.find(text)
        return sorted({*found, *self._always}) if found else self._always


class _PostingTable:
    """The posting lists of the keys that have one fact and one size."""

    def __init__(self, size: int, numbers: Mapping[str, Sequence[int]]) -> None:
        self._size = size
        self._numbers = dict(numbers)
        self._grams = frozenset(map(tuple, numbers))

    def find(self, text: str) -> Sequence[int]:
        """The postings of all keys that the text is or contains."""
        numbers = self._numbers
        if not self._size:
            return numbers.get(text, ())
        if len(numbers) < min(len(text), _MANY_GRAMS):
            return [number for gram in numbers if gram in text for number in numbers[gram]]
        # The n-grams of the text stay tuples, as `zip` makes them: joining them to texts takes twice the time.
        grams = zip(*(text, text[1:], text[2:], text[3:])[: self._size], strict=False)
        return [number for gram in self._grams.intersection(grams) for number in numbers["".join(gram)]]


def _list_keys(required: RequiredTexts) -> Iterator[_Key]:
    for part in required:
        if isinstance(part, AnyOf):
            for option in part.options:
                yield from _list_keys(option)
        else:
            yield from _keys_of(part)


def _keys_of(required: RequiredText) -> Iterator[_Key]:
    if required.is_whole:
        yield _Key(required.fact, 0, required.text)
        return
    text = required.text[:_LONGEST]
    size = min(_GRAM, len(text))
    for start in range(len(text) - size + 1):
        yield _Key(required.fact, size, text[start : start + size])


def _select_keys(required: RequiredTexts, counts: Mapping[_Key, int]) -> Sequence[_Key]:
    """The fewest-used keys such that one of them occurs in every request that may match; empty if nothing is certain."""
    candidates = (keys for part in required for keys in _candidate_keys(part, counts))
    return min(candidates, key=lambda keys: sum(counts[key] for key in keys), default=())


def _candidate_keys(part: RequiredText | AnyOf, counts: Mapping[_Key, int]) -> Iterator[Sequence[_Key]]:
    if isinstance(part, RequiredText):
        yield from ((key,) for key in _keys_of(part))
        return
    selected = [_select_keys(option, counts) for option in part.options]
    if all(selected):
        yield [key for keys in selected for key in keys]
