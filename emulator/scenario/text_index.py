"""Clues: texts that a request must have for a `when` to hold, and an index that finds by them who may hold at all.

Only what is certain is a clue: whoever the index leaves out cannot hold. Whether the others do is for their conditions to say.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from emulator.scenario.checks.implications import (
    NAMES,
    PROSE,
    find_literal,
    find_parts,
    list_conditions,
    list_operators,
)
from emulator.scenario.when import Test, When

_GRAM = 4
"""Characters of a part by which it is looked for; shorter parts are looked for as they are."""
_LONGEST = 256
"""Characters of a part that are considered."""
_FEWEST = 4
"""A fact that gives clues to fewer than these is not read for them: to ask them costs no more."""
_MANY_GRAMS = 64
"""So many grams are looked for in the text, one by one; if there are more, each place of the text is looked up among them."""


class RequiredText(NamedTuple):
    """A text in lower case that one of the values of a fact is, or has in it."""

    fact: str
    text: str
    is_whole: bool


class AnyOf(NamedTuple):
    """What of which one must be there."""

    options: "tuple[Demand, ...]"


Demand = tuple[RequiredText | AnyOf, ...]
"""What must be there, all of it; nothing if nothing is certain."""


class _Key(NamedTuple):
    """What a clue is looked up by: the whole text (size 0), or so many characters of it."""

    fact: str
    size: int
    text: str


def find_demand(when: When) -> Demand:
    """What a request must have for a `when` to hold."""
    return tuple(clue for name, value in list_conditions(when).items() for clue in _demand_of(name, value))


def demand_text(fact: str, test: str | Test, short: str) -> Demand:
    """What must be among the values of a fact that pass a test; `short` is the operator that a plain text stands for."""
    operators = list_operators(test, short)
    literal = find_literal(test, short)
    found: list[RequiredText | AnyOf] = (
        [] if literal is None else [RequiredText(fact, literal.casefold(), is_whole=True)]
    )
    found += [RequiredText(fact, part, is_whole=False) for part in find_parts(operators) if part]
    if "any_of" in operators:
        found.append(AnyOf(tuple(demand_text(fact, option, short) for option in operators["any_of"])))
    return tuple(found)


def _demand_of(name: str, value: Any) -> Iterable[RequiredText | AnyOf]:
    if name in PROSE | NAMES:
        return demand_text(name, value, "contains" if name in PROSE else "glob")
    match name:
        case "tools" | "after_tool":
            tests = value if isinstance(value, list) else [] if isinstance(value, bool) or value == "auto" else [value]
            return [clue for test in tests for clue in demand_text(name, test, "glob")]
        case "header":
            tests = [(f"header {key.lower()}", test) for key, test in value.items() if not isinstance(test, bool)]
            return [clue for fact, test in tests for clue in demand_text(fact, test, "glob")]
        case "all":
            return [clue for part in value for clue in find_demand(part)]
        case "any":
            return [AnyOf(tuple(map(find_demand, value)))]
    return ()


class Index:
    """Finds those whose demands a request may meet, whatever their number, by one clue of each that few others share."""

    def __init__(self, demands: Sequence[Demand]) -> None:
        counts = Counter(key for demand in demands for key in set(_list_keys(demand)))
        picked = [_pick(demand, counts) for demand in demands]
        users = Counter(fact for keys in picked for fact in {key.fact for key in keys})
        self._always: list[int] = []
        tables: dict[str, dict[int, dict[str, list[int]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        for number, keys in enumerate(picked):
            if not keys or any(users[key.fact] < _FEWEST for key in keys):
                self._always.append(number)
                continue
            for fact, size, text in keys:
                tables[fact][size][text].append(number)
        self._tables = [
            (fact, [_Table(size, numbers) for size, numbers in sizes.items()]) for fact, sizes in tables.items()
        ]

    def find(self, read: Callable[[str], Iterable[str]]) -> Sequence[int]:
        """The numbers, in order, of all whose demands may be met; `read` gives the values of a fact."""
        found: list[int] = []
        for fact, tables in self._tables:
            for value in read(fact):
                text = value.casefold()
                for table in tables:
                    found += table.look_up(text)
        return sorted({*found, *self._always}) if found else self._always


class _Table:
    """Who is found by the keys of one fact and size."""

    def __init__(self, size: int, numbers: Mapping[str, Sequence[int]]) -> None:
        self._size = size
        self._numbers = dict(numbers)
        self._grams = frozenset(map(tuple, numbers))

    def look_up(self, text: str) -> Sequence[int]:
        """The numbers of those whose keys the text is or has in it."""
        numbers = self._numbers
        if not self._size:
            return numbers.get(text, ())
        if len(numbers) < min(len(text), _MANY_GRAMS):
            return [number for gram in numbers if gram in text for number in numbers[gram]]
        # The tuples that `zip` makes are looked up without making texts of them: that takes half the time.
        places = zip(*(text, text[1:], text[2:], text[3:])[: self._size], strict=False)
        return [number for gram in self._grams.intersection(places) for number in numbers["".join(gram)]]


def _list_keys(demand: Demand) -> Iterator[_Key]:
    for clue in demand:
        if isinstance(clue, AnyOf):
            for option in clue.options:
                yield from _list_keys(option)
        else:
            yield from _keys_of(clue)


def _keys_of(clue: RequiredText) -> Iterator[_Key]:
    if clue.is_whole:
        yield _Key(clue.fact, 0, clue.text)
        return
    text = clue.text[:_LONGEST]
    size = min(_GRAM, len(text))
    for start in range(len(text) - size + 1):
        yield _Key(clue.fact, size, text[start : start + size])


def _pick(demand: Demand, counts: Mapping[_Key, int]) -> Sequence[_Key]:
    """The keys of which one must be there, and which are the fewest's; none if nothing is certain."""
    ways = (way for clue in demand for way in _ways_to(clue, counts))
    return min(ways, key=lambda keys: sum(counts[key] for key in keys), default=())


def _ways_to(clue: RequiredText | AnyOf, counts: Mapping[_Key, int]) -> Iterator[Sequence[_Key]]:
    if isinstance(clue, RequiredText):
        yield from ((key,) for key in _keys_of(clue))
        return
    picked = [_pick(option, counts) for option in clue.options]
    if all(picked):
        yield [key for keys in picked for key in keys]
