"""Miss reports: why no rule answers a request, shown on the rules that come nearest."""

from bisect import insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from emulator.budget import Budget, BudgetError
from emulator.engine.matching.conditions import Comparison, compare, shorten, size_of
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import CompiledRule, Ruleset
from emulator.engine.session import State, show_flags
from emulator.redaction import clean_line
from emulator.scenario.patterns import PatternError

NEAREST = 3
"""How many rules a miss names."""
MISS_WORK = 400_000
"""Units of work that ranking the rules may cost beyond trying them: about 100 ms."""
_TRANSCRIPT_PRICE = 1
"""The price of comparing a transcript, which looks for one text in each message, as in `Condition.price`."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule compared with a request that it does not answer, or with one that it does."""

    rule: CompiledRule
    comparisons: tuple[Comparison, ...]
    used_up: bool

    @property
    def distance(self) -> int:
        """How many of its conditions do not hold."""
        return sum(not one.holds for one in self.comparisons)

    @property
    def answers(self) -> bool:
        """Whether the rule answers the request if no rule before it does."""
        return not self.distance and not self.used_up

    def to_json(self) -> dict[str, Any]:
        """The rule and its conditions as JSON, without secrets."""
        conditions = [
            {
                "field": one.field.rstrip("_"),
                "holds": one.holds,
                "wanted": one.wanted,
                "got": clean_line(one.got),
                "details": list(map(clean_line, one.details)),
            }
            for one in self.comparisons
        ]
        rule = self.rule
        used_up = rule.limit if self.used_up else None
        return {
            "name": rule.name,
            "place": str(rule.place),
            "answers": self.answers,
            "used_up": used_up,
            "conditions": conditions,
        }


@dataclass(frozen=True, slots=True)
class Miss:
    """A request that no rule answers."""

    scenarios: tuple[str, ...]
    session: str
    turn: int
    nearest: tuple[NearMiss, ...]
    others: int
    """How many rules are not named in the report."""
    uncompared: int = 0
    """How many of these were not compared, because it would have been too much work."""

    def report(self) -> str:
        """The report for the client's author: the nearest rule condition by condition, then the names of the next ones."""
        of = " of " + ", ".join(f'"{name}"' for name in self.scenarios) if self.scenarios else ""
        lines = [f"no rule{of} answers this request (session {self.session}, turn {self.turn})"]
        if not self.nearest:
            lines.append("there are no rules")
            return "\n".join(lines)
        first = self.nearest[0]
        lines.append(f'nearest: "{first.rule.name}", {first.rule.place}')
        lines += describe(first.comparisons)
        if first.used_up:
            lines.append(f"  used up: {first.rule.limit} of {first.rule.limit}")
        if len(self.nearest) > 1:
            lines.append("also near: " + ", ".join(_brief(near) for near in self.nearest[1:]))
        if self.others:
            uncompared = f", {self.uncompared} of them not compared because the request is so long"
            lines.append(f"and {self.others} more{uncompared if self.uncompared else ''}")
        return "\n".join(lines)


def describe(comparisons: tuple[Comparison, ...]) -> list[str]:
    """Comparisons as aligned lines."""
    width = max((len(one.field) for one in comparisons), default=0) + 2
    lines: list[str] = []
    for one in comparisons:
        found = f"ok    {one.got}" if one.holds else f"MISS  wanted {one.wanted}, got {one.got}"
        lines += [f"  {one.field.rstrip('_'):<{width}}{found}", *(f"    {line}" for line in one.details)]
    return lines


def _brief(near: NearMiss) -> str:
    if near.used_up:
        return f'"{near.rule.name}" (used up: {near.rule.limit} of {near.rule.limit})'
    return f'"{near.rule.name}" ({near.distance} miss{"" if near.distance == 1 else "es"})'


def is_used_up(rule: CompiledRule, uses: Mapping[str, int]) -> bool:
    """Whether a rule has answered as often as it may."""
    return rule.limit is not None and uses.get(rule.key, 0) >= rule.limit


def compare_rule(rule: CompiledRule, facts: Facts, state: State) -> tuple[Comparison, ...]:
    """Compare all that a rule requires, flags and conversation included, with a request and its session.

    Raises AnswerError when a regular expression would take too long.
    """
    try:
        return _compare(rule, facts, state)
    except PatternError as error:
        raise rule.failed(error) from None


def _compare(rule: CompiledRule, facts: Facts, state: State) -> tuple[Comparison, ...]:
    found = compare(rule.conditions, facts)
    if rule.flags is not None and rule.flags.wanted:
        holds, got = rule.flags.holds(state.flags), shorten(show_flags(state.flags))
        found.append(Comparison("requires", holds, rule.flags.wanted, got))
    if rule.conversation is not None:
        found.append(rule.conversation.compare(facts.dialogue, facts.readings))
    return tuple(found)


def compare_in_turn(ruleset: Ruleset, facts: Facts, state: State) -> Iterator[NearMiss]:
    """Compare the rules with a request in the order in which they are tried, up to the one that answers.

    Raises AnswerError when a regular expression would take too long.
    """
    for rule in ruleset.written:
        compared = NearMiss(rule, compare_rule(rule, facts, state), is_used_up(rule, state.uses))
        yield compared
        if compared.answers:
            return


_Rank = tuple[float, float, int, int]
"""How near a rule comes, the nearest first: turns of a conversation that the request follows (0 for other rules), conditions that do not
hold, all conditions, and turns that match; all but the second negative."""


def make_rank(missing: int, size: int, matched: int, *, answers: bool = True) -> _Rank:
    """Rank a rule by the conditions that do not hold and by all that it has.

    Of a conversation, `matched` turns of the request match its transcript, and `answers` says whether that has an answer to them. The
    request follows a conversation if more turns match than other conditions miss: then that is the rule that its author meant.
    """
    elsewhere = missing - (not answers)
    return (-matched if matched > elsewhere else 0, missing, -size, -matched)


def explain_miss(ruleset: Ruleset, facts: Facts, state: State, work: int = MISS_WORK) -> Miss:
    """Rank the rules by how near they come to a request.

    First the conversations that the request follows, for most turns. Then the rules with the fewest conditions that do not hold, among
    these the ones with the most conditions. Rules that hold but are used up come last. Only the rules that are named are compared
    in words, a rule is given up as soon as it cannot be one of them, and `work` bounds what that costs beyond trying each rule.

    Raises AnswerError when a regular expression would take too long.
    """
    ranking = _Ranking(facts, state, Budget(work, 0, is_short=facts.is_short))
    possible = {id(rule) for index in ruleset.indexes for rule in index.find(facts)}
    rules = ruleset.written
    for number, rule in enumerate(rules):
        ranking.add(number, rule, may_hold=id(rule) in possible)
    near = [NearMiss(rule, compare_rule(rule, facts, state), is_used_up(rule, state.uses)) for rule in ranking.named]
    others = len(rules) - len(near)
    return Miss(ruleset.scenarios, facts.target.project, facts.turn, tuple(near), others, ranking.uncompared)


class _Ranking:
    """The rules that come nearest to a request, of those added so far."""

    def __init__(self, facts: Facts, state: State, budget: Budget) -> None:
        self.uncompared = 0
        """How many rules were not compared, because the budget was spent."""
        self._facts = facts
        self._state = state
        self._budget = budget
        self._size = size_of(facts)
        self._used_up: list[CompiledRule] = []
        self._missing: list[tuple[_Rank, int, CompiledRule]] = []

    @property
    def named(self) -> list[CompiledRule]:
        """The rules that the report names."""
        return [*(rule for _, _, rule in self._missing[: NEAREST - len(self._used_up)]), *self._used_up]

    def add(self, number: int, rule: CompiledRule, *, may_hold: bool) -> None:
        """Rank one more rule; without `may_hold` it is known not to hold."""
        try:
            rank = self._rank(rule, may_hold=may_hold)
        except BudgetError:
            self.uncompared += 1
            return
        except PatternError as error:
            raise rule.failed(error) from None
        if rank is None:
            return
        if rank[1]:
            insort(self._missing, (rank, number, rule))
            del self._missing[NEAREST:]
        elif len(self._used_up) < NEAREST - 1:
            self._used_up.append(rule)

    def _rank(self, rule: CompiledRule, *, may_hold: bool) -> _Rank | None:
        """The rank of a rule, or None if it is no nearer than those that are named."""
        worst: _Rank = self._missing[-1][0] if len(self._missing) == NEAREST else (inf, inf, 0, 0)
        facts, conversation, flags = self._facts, rule.conversation, rule.flags
        has_flags = flags is not None and bool(flags.wanted)
        size = len(rule.conditions) + has_flags + (conversation is not None)
        most_turns = 0 if conversation is None else len(facts.dialogue)
        if not may_hold and (-most_turns, 1, -size, -most_turns) >= worst:
            return None
        missing = 0
        for condition in rule.conditions:
            if missing or not may_hold:
                # Up to its first condition that does not hold, each rule has been tried already.
                self._budget.spend(1 + condition.price * self._size)
            if not condition.holds(facts):
                missing += 1
                if (-most_turns if most_turns > missing else 0, missing, -size, -most_turns) >= worst:
                    return None
        if flags is not None and has_flags and not flags.holds(self._state.flags):
            missing += 1
        matched, answers = 0, True
        if conversation is not None:
            if missing or not may_hold:
                self._budget.spend(1 + _TRANSCRIPT_PRICE * self._size)
            matched, answers = conversation.count_matched(facts.dialogue, facts.readings)
            missing += not answers
        rank = make_rank(missing, size, matched, answers=answers)
        return rank if rank < worst else None
