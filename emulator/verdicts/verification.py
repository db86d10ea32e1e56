"""`verify`: whether all requests were answered, and the rules used as often and in the order that they expect."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from emulator.engine.answer import Outcome
from emulator.engine.ruleset import CompiledRule, Ruleset
from emulator.redaction import clean_line


class JournalEntry(Protocol):
    """What verification reads of an exchange."""

    @property
    def number(self) -> int:
        """Its number."""
        ...

    @property
    def session(self) -> str:
        """The project it belongs to."""
        ...

    @property
    def outcome(self) -> Outcome:
        """Its outcome."""
        ...


@dataclass(frozen=True, slots=True)
class Verification:
    """The problems found, each one a sentence."""

    unanswered: tuple[str, ...] = ()
    """Requests that no rule answered, or whose rule failed."""
    rules: tuple[str, ...] = ()
    """Rules that answered too rarely, too often, out of order or, under `strict`, never."""

    @property
    def problems(self) -> tuple[str, ...]:
        """All problems."""
        return self.unanswered + self.rules


def verify(
    ruleset: Ruleset, uses: Mapping[str, int], entries: Iterable[JournalEntry], *, strict: bool = False
) -> Verification:
    """Verify a session: `uses` counts the uses of its rules by their keys; `strict` requires every rule to be used.

    Of several sessions that share the rules, `uses` is the sum; the order is checked in each of them.
    """
    found = sorted(entries, key=lambda entry: entry.number)
    unanswered = tuple(
        f"exchange {entry.number}, session {clean_line(entry.session)}: {entry.outcome.report}"
        for entry in found
        if entry.outcome.result in {"miss", "error"}
    )
    counted = (_count(rule, uses.get(rule.key, 0), strict=strict) for rule in ruleset.rules)
    return Verification(unanswered, (*(one for one in counted if one is not None), *_out_of_order(ruleset, found)))


def _count(rule: CompiledRule, used: int, *, strict: bool) -> str | None:
    expect = rule.expect
    wanted = None
    if expect is not None and expect.times not in {None, used}:
        wanted = f"{expect.times} times" if expect.times != 1 else "once"
    elif expect is not None and expect.at_least is not None and used < expect.at_least:
        wanted = f"at least {expect.at_least} times" if expect.at_least != 1 else "at least once"
    if wanted is not None:
        answered = {0: "never answered", 1: "answered once"}.get(used, f"answered {used} times")
        return f"{_name(rule)}: {answered}, expected {wanted}"
    if not strict or expect is not None or used >= (len(rule.recorded) or 1):
        return None
    return f"{_name(rule)}: {f'answered {used} of {len(rule.recorded)} times that were recorded' if used else 'never answered'}"


def _out_of_order(ruleset: Ruleset, entries: Iterable[JournalEntry]) -> Iterator[str]:
    """The uses that came after one of a later rule of the same file, in files with `order: strict`."""
    ranks = {rule.key: rank for rank, rule in enumerate(ruleset.rules) if rule.place.file in ruleset.ordered}
    latest: dict[tuple[str, str], CompiledRule] = {}
    for entry in entries:
        chosen = entry.outcome.chosen
        if chosen is None or chosen.rule.key not in ranks:
            continue
        rule = chosen.rule
        before = latest.setdefault((entry.session, rule.place.file), rule)
        if ranks[rule.key] < ranks[before.key]:
            where = f"exchange {entry.number}, session {clean_line(entry.session)}"
            yield f"{_name(rule)}: answered {where}, after {_name(before)}; the order is strict"
        else:
            latest[entry.session, rule.place.file] = rule


def _name(rule: CompiledRule) -> str:
    return f'"{rule.name}", {rule.place}'
