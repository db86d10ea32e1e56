"""Checks of flags: whether those that rules require can ever be set."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from emulator.errors import Place, Problem
from emulator.scenario.checks.implications import find_contradiction
from emulator.scenario.checks.parsed_file import ParsedFile, list_rules
from emulator.scenario.flags import split_flags
from emulator.scenario.yaml import Location, Source
from emulator.suggestions import join, quote, suggest_one

_SHOWN = 9


@dataclass(frozen=True, slots=True)
class _Entry:
    """The flags of a rule as it is written; invalid rules count too, because the rules of all files share their flags."""

    source: Source
    loc: Location
    name: str
    required: frozenset[str]
    ruled_out: frozenset[str]
    set_: frozenset[str]
    cleared: frozenset[str]
    is_dead: bool
    """Whether its `when` can never hold."""

    @property
    def place(self) -> Place:
        return self.source.place(self.loc)

    def problem(self, key: str, name: str, message: str, *, is_warning: bool = False) -> Problem:
        return self.source.problem(
            self.source.find((*self.loc, key), name), message, "warning" if is_warning else "error"
        )


def check_own_flags(requires: object, sets: object, loc: Location, source: Source) -> Iterator[Problem]:
    """A flag that one rule wants both set and not set."""
    for key, written in (("requires", requires), ("sets", sets)):
        yes, no = split_flags(written)
        for name in sorted(yes & no):
            message = f'"{key}" has both {quote(name)} and {quote(f"not {name}")}'
            yield source.problem(source.find((*loc, key), f"not {name}"), message)


def check_flags(files: Sequence[ParsedFile]) -> Iterator[Problem]:
    """Flags that are required but never set, set but never required, and rules that wait for each other.

    A session's flags are those of all files that are loaded together, so all of them must be given.
    """
    entries = [entry for file in files for entry in _list_entries(file)]
    setters = sorted({name for entry in entries for name in entry.set_})
    required = {name for entry in entries for name in entry.required | entry.ruled_out}
    for entry in entries:
        for name in sorted((entry.required | entry.ruled_out).difference(setters)):
            hint = suggest_one(name, setters) or (f"; rules set {join(setters[:_SHOWN], 'and')}" if setters else "")
            message = f"no rule sets the flag {quote(name)}{hint}"
            yield entry.problem("requires", name, message)
        for name in sorted((entry.set_ | entry.cleared) - required):
            yield entry.problem("sets", name, f"no rule requires the flag {quote(name)}", is_warning=True)
    if required <= set(setters):
        yield from _find_deadlocks(entries)


def _list_entries(file: ParsedFile) -> Iterator[_Entry]:
    dead = {loc for loc, _name, rule in file.named_rules() if find_contradiction(rule.when)}
    for number, rule in enumerate(list_rules(file.source)):
        if isinstance(rule, dict):
            required, ruled_out = split_flags(rule.get("requires"))
            set_, cleared = split_flags(rule.get("sets"))
            name, loc = str(rule.get("name") or f"rule {number + 1}"), ("rules", number)
            yield _Entry(file.source, loc, name, required, ruled_out, set_, cleared, loc in dead)


def _find_deadlocks(entries: Sequence[_Entry]) -> Iterator[Problem]:
    """Warnings for rules whose required flags are set only by rules that can never answer."""
    settable: set[str] = set()
    waiting = [entry for entry in entries if not entry.is_dead]
    while ready := [entry for entry in waiting if entry.required <= settable]:
        waiting = [entry for entry in waiting if not entry.required <= settable]
        settable.update(*(entry.set_ for entry in ready))
    setters = {name: [entry for entry in entries if name in entry.set_] for entry in waiting for name in entry.required}
    for entry in waiting:
        message = f'rule "{entry.name}" can never answer: it requires {_describe_chain(entry, settable, setters)}'
        yield entry.problem("requires", min(entry.required - settable), message, is_warning=True)


def _describe_chain(entry: _Entry, settable: set[str], setters: Mapping[str, Sequence[_Entry]]) -> str:
    """`"b", which only "one" (line 3) sets, which requires "a", which only "two" sets`, until a rule comes again."""
    links: list[str] = []
    seen, file = [entry], entry.place.file
    while True:
        name = min(entry.required - settable)
        owners = setters[name]
        names = join([f'"{owner.name}" ({owner.place.seen_from(file)})' for owner in owners], "and")
        verb = "set" if len(owners) > 1 else "sets"
        links.append(f"{quote(name)}, which only {'it sets itself' if owners == [entry] else f'{names} {verb}'}")
        if any(owner in seen for owner in owners):
            return ", which requires ".join(links)
        entry = owners[0]
        seen.append(entry)
        if entry.is_dead:
            return f'{", which requires ".join(links)}, whose "when" can never hold'
