"""`conversation`, compiled: the position of a request's messages in a transcript, and the first turn at which they differ.

Each written turn becomes a matcher. A user turn is a text test. An assistant turn matches what clients send back of the answer that
the rule gives there: the same text apart from thoughts and white space at its ends, and the same calls; templates match anything.
Adjacent tool turns match the results of one turn's calls in any order. The language model stands in `scenario/conversation.py`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple

from emulator.engine.matching.conditions import Comparison, shorten
from emulator.engine.matching.json import to_json
from emulator.engine.matching.texts import TextTest, compile_test
from emulator.engine.request.history import HistoryTurn, PastCall
from emulator.engine.request.readings import Readings
from emulator.scenario.conversation import AssistantTurn, ToolTurn, Turn, UserTurn, has_unknown_calls, steps_of
from emulator.scenario.patterns import Pattern, compile_pattern
from emulator.scenario.steps import HANDED_OVER, Call, Json, Reply, Say, Step, Think
from emulator.scenario.templates.template import is_literal, is_template
from emulator.wire.json_text import parse_or_text

_ANY_JSON: Final = object()
"""Stands for JSON that is not known before a request comes, and matches any."""
_ANY_RESULT = TextTest((), (), "any result")
_MAX_SHOWN = 48
"""Characters of a turn that are shown in a side-by-side report."""
_TURNS_BEFORE = 2
"""Turns that are shown before the first that differs."""


@dataclass(frozen=True, slots=True)
class _UserMatcher:
    turn: int
    test: TextTest

    def mismatch(self, actual: HistoryTurn, readings: Readings) -> int | None:
        """The number of the written turn that `actual` does not match; None if it matches."""
        return None if actual.role == "user" and self.test.passes((actual.text,), readings) else self.turn

    def groups(self, actual: HistoryTurn) -> Mapping[str, str]:
        """The named groups of the turn's regular expressions."""
        return self.test.groups((actual.text,)) if self.test.patterns else {}

    def describe(self, _turn: int = 0) -> str:
        """The turn as a report shows it; of several written turns only the one with this number, 0 for all."""
        return f"user: {self.test.wanted}"


@dataclass(frozen=True, slots=True)
class _CallMatcher:
    name: str | None
    """None for a name that is not known before a request comes."""
    arguments: Any

    def matches(self, call: PastCall, readings: Readings) -> bool:
        if self.name is not None and call.name != self.name:
            return False
        return self.arguments is _ANY_JSON or _equals_template(readings.parse(call.arguments or "{}"), self.arguments)

    def __str__(self) -> str:
        return f"{self.name or 'any function'}({'…' if self.arguments is _ANY_JSON else to_json(self.arguments)})"


@dataclass(frozen=True, slots=True)
class _AssistantMatcher:
    turn: int
    answer: int
    """The number of the turn among the assistant's, from 0."""
    text: Pattern
    calls: tuple[_CallMatcher, ...] | None
    """None where any calls match."""
    json: Any
    """The value where the text is nothing but JSON, which a client may have serialized differently; else `_ANY_JSON`."""
    description: str

    def mismatch(self, actual: HistoryTurn, readings: Readings) -> int | None:
        return None if actual.role == "assistant" and self._matches(actual, readings) else self.turn

    def _matches(self, actual: HistoryTurn, readings: Readings) -> bool:
        text = actual.text.strip()
        if not self.text.search(text) and (
            self.json is _ANY_JSON or not _equals_template(readings.parse(text), self.json)
        ):
            return False
        if self.calls is None:
            return True
        return len(self.calls) == len(actual.calls) and all(
            wanted.matches(call, readings) for wanted, call in zip(self.calls, actual.calls, strict=True)
        )

    def groups(self, _actual: HistoryTurn) -> Mapping[str, str]:
        return {}

    def describe(self, _turn: int = 0) -> str:
        return f"assistant: {self.description}"


@dataclass(frozen=True, slots=True)
class _ResultMatcher:
    turn: int
    name: str
    test: TextTest

    def matches(self, result: tuple[str, str], readings: Readings) -> bool:
        return result[0] == self.name and self.test.passes((result[1],), readings)

    def __str__(self) -> str:
        return self.name if self.test is _ANY_RESULT else f"{self.name}, {self.test.wanted}"


@dataclass(frozen=True, slots=True)
class _ToolMatcher:
    """Matches the results of one turn's calls, in any order."""

    results: tuple[_ResultMatcher, ...]

    @property
    def turn(self) -> int:
        return self.results[0].turn

    def mismatch(self, actual: HistoryTurn, readings: Readings) -> int | None:
        if actual.role != "tool":
            return self.turn
        assigned: dict[int, int] = {}
        fitting: list[list[int]] = []
        for wanted in self.results:
            fitting.append([at for at, result in enumerate(actual.results) if wanted.matches(result, readings)])
            if not _assign(len(fitting) - 1, fitting, assigned, set()):
                return wanted.turn
        return None if len(actual.results) == len(self.results) else self.results[-1].turn

    def groups(self, actual: HistoryTurn) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for wanted in self.results:
            if wanted.test.patterns:
                found.update(wanted.test.groups([text for name, text in actual.results if name == wanted.name]))
        return found

    def describe(self, turn: int = 0) -> str:
        return f"tool: {'; '.join(str(one) for one in self.results if turn in {0, one.turn})}"


def _assign(number: int, fitting: Sequence[Sequence[int]], assigned: dict[int, int], visited: set[int]) -> bool:
    """Bipartite matching: assign one of the results that fit a matcher to it, moving other matchers to other results where needed."""
    for at in fitting[number]:
        if at not in visited:
            visited.add(at)
            if at not in assigned or _assign(assigned[at], fitting, assigned, visited):
                assigned[at] = number
                return True
    return False


_TurnMatcher = _UserMatcher | _AssistantMatcher | _ToolMatcher


class NextAnswer(NamedTuple):
    """The assistant's turn that follows the messages of a request."""

    position: int
    """Its number among the assistant's turns, from 0."""
    turn: int
    """Its number among all turns, from 1."""
    captures: Mapping[str, str]


class Mismatch(NamedTuple):
    """The first difference between request and transcript."""

    matched: int
    """How many turns of the request match."""
    turn: int
    """The number of the transcript's turn that the request lacks, from 1; one more than there are at the transcript's end."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A compiled transcript."""

    matchers: tuple[_TurnMatcher, ...]
    turns: int
    """How many turns are written."""

    def find_next_answer(self, history: Sequence[HistoryTurn], readings: Readings) -> NextAnswer | None:
        """The assistant's turn that comes next; None if the history does not match the transcript."""
        found = self._match(history, readings)
        return found if isinstance(found, NextAnswer) else None

    def count_matched(self, history: Sequence[HistoryTurn], readings: Readings) -> tuple[int, bool]:
        """How many turns of the request match, and whether the transcript has an answer to them."""
        found = self._match(history, readings)
        return (len(history), True) if isinstance(found, NextAnswer) else (found.matched, False)

    def _match(self, history: Sequence[HistoryTurn], readings: Readings) -> NextAnswer | Mismatch:
        for at, matcher in enumerate(self.matchers):
            if at == len(history):
                if not isinstance(matcher, _AssistantMatcher):
                    return Mismatch(at, matcher.turn)
                captures: dict[str, str] = {}
                for expected, actual in zip(self.matchers, history, strict=False):
                    captures.update(expected.groups(actual))
                return NextAnswer(matcher.answer, matcher.turn, captures)
            turn = matcher.mismatch(history[at], readings)
            if turn is not None:
                return Mismatch(at, turn)
        return Mismatch(len(self.matchers), self.turns + 1)

    def compare(self, history: Sequence[HistoryTurn], readings: Readings) -> Comparison:
        """Compare the history with the transcript; the details show both side by side up to the first difference."""
        found = self._match(history, readings)
        if isinstance(found, NextAnswer):
            got = f"turn {found.turn} answers"
            return Comparison("conversation", holds=True, wanted="", got=got, matched_turns=len(history))
        at, turn = found
        if at == len(self.matchers):
            wanted = f"no more, it ended at turn {self.turns}"
        else:
            wanted = f"turn {turn}, {self.matchers[at].describe(turn)}"
        return Comparison(
            "conversation",
            holds=False,
            wanted=shorten(wanted),
            got=shorten(_describe(history[at]) if at < len(history) else "the end of the request"),
            details=self._side_by_side(history, at),
            matched_turns=at,
        )

    def _side_by_side(self, history: Sequence[HistoryTurn], at: int) -> tuple[str, ...]:
        """The first turn that differs and a few before it, one per line."""
        numbers = range(max(0, at - _TURNS_BEFORE), at + 1)
        labels = [self._label(number) for number in numbers]
        written = [one.describe() for one in self.matchers[numbers.start : at + 1]]
        actual = [_describe(one) for one in history[numbers.start : at + 1]]
        if len(written) == len(actual):
            written[-1], actual[-1] = _cut_common_prefix(written[-1], actual[-1])
        written = [
            *(shorten(one, _MAX_SHOWN) for one in written),
            *["(the transcript has ended)"] * (len(labels) - len(written)),
        ]
        actual = [
            *(shorten(one, _MAX_SHOWN) for one in actual),
            *["(the request has ended)"] * (len(labels) - len(actual)),
        ]
        first, second = max(map(len, labels)), max(map(len, written))
        return tuple(
            f"{label:<{first}}  {'MISS' if number == at else 'ok  '}  {left:<{second}} | {right}"
            for number, label, left, right in zip(numbers, labels, written, actual, strict=True)
        )

    def _label(self, at: int) -> str:
        if at == len(self.matchers):
            return f"turn {self.turns + 1}"
        matcher = self.matchers[at]
        last = matcher.results[-1].turn if isinstance(matcher, _ToolMatcher) else matcher.turn
        return f"turn {matcher.turn}" if last == matcher.turn else f"turn {matcher.turn}-{last}"


def _describe(actual: HistoryTurn) -> str:
    if actual.role == "tool":
        results = [f'{name or "an unknown call"}, "{text}"' for name, text in actual.results]
        return f"tool: {'; '.join(results)}"
    text = actual.text.strip()
    shown = [f'"{text}"'] if text or not actual.calls else []
    shown += [f"{call.name}({call.arguments or ''})" for call in actual.calls]
    return f"{actual.role}: {', '.join(shown)}"


def _cut_common_prefix(left: str, right: str) -> tuple[str, str]:
    """Drop most of a long common prefix, so that the difference is shown."""
    same = next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    if same <= _MAX_SHOWN // 2:
        return left, right
    role = left.partition(" ")[0]
    start = same - _MAX_SHOWN // 4
    return f"{role} …{left[start:]}", f"{role} …{right[start:]}"


def compile_conversation(turns: Sequence[Turn]) -> Conversation:
    """Compile a transcript."""
    matchers: list[_TurnMatcher] = []
    answers = 0
    for kind, group in groupby(enumerate(turns, start=1), lambda one: type(one[1])):
        block = list(group)
        if kind is ToolTurn:
            matchers.append(
                _ToolMatcher(tuple(one for number, turn in block for one in _compile_results(number, turn)))
            )
            continue
        for number, turn in block:
            if isinstance(turn, UserTurn):
                matchers.append(_UserMatcher(number, compile_test(turn.user, "contains")))
            elif isinstance(turn, AssistantTurn):
                matchers.append(_compile_assistant(number, answers, turn.assistant))
                answers += 1
    return Conversation(tuple(matchers), len(turns))


def _compile_results(number: int, turn: Turn) -> list[_ResultMatcher]:
    if not isinstance(turn, ToolTurn):
        return []
    test = _ANY_RESULT if turn.result is None else compile_test(turn.result, "contains")
    return [_ResultMatcher(number, name, test) for name in turn.names]


def _compile_assistant(turn: int, answer: int, reply: Reply) -> _AssistantMatcher:
    """The matcher of what a client sends back of a reply."""
    steps = steps_of(reply) or [Say(say="auto" if reply in HANDED_OVER else str(reply))]
    calls = tuple(_compile_call(step) for step in steps if isinstance(step, Call))
    others = [step for step in steps if not isinstance(step, Call)]
    json = others[0].json_ if len(others) == 1 and isinstance(others[0], Json) else "auto"
    texts = [_literal_text(step) for step in others if not isinstance(step, Think)]
    shown = "".join("…" if text is None else text for text in texts).strip()
    return _AssistantMatcher(
        turn,
        answer,
        # As a scenario's regular expression its work is bounded, however many templates are in it.
        compile_pattern(rf"\A(?s:{_text_pattern(others)})\Z"),
        None if has_unknown_calls(reply) else calls,
        _ANY_JSON if json == "auto" else json,
        ", ".join([*([f'"{shown}"'] if shown else []), *map(str, calls)]) or '""',
    )


def _compile_call(step: Call) -> _CallMatcher:
    name = None if step.call == "auto" or is_template(step.call) else step.call
    arguments = step.with_
    if isinstance(arguments, str):
        is_known = arguments != "auto" and not is_template(arguments)
        return _CallMatcher(name, parse_or_text(arguments) if is_known else _ANY_JSON)
    return _CallMatcher(name, arguments)


def _text_pattern(steps: Sequence[Step]) -> str:
    """A regular expression for the text of these steps, without the white space at its ends, which clients drop."""
    texts = [_literal_text(step) for step in steps]
    visible = [number for number, step in enumerate(steps) if not isinstance(step, Think)]
    _strip(texts, visible, str.lstrip)
    _strip(texts, visible[::-1], str.rstrip)
    parts: list[str] = []
    for step, text in zip(steps, texts, strict=True):
        if text is None:
            parts.append(".*")
        elif isinstance(step, Think):
            # A client that asked for thoughts without a tag around them has them in its text.
            parts.append(rf"(?:(?:<[^<>]*>)?\s*{re.escape(text.strip())}\s*(?:</[^<>]*>)?\s*)?")
        else:
            parts.append(re.escape(text))
    return "".join(parts)


def _strip(texts: list[str | None], numbers: Sequence[int], strip: Callable[[str], str]) -> None:
    """Strip the texts at these indexes, in this order, up to the first that is unknown or not all white space."""
    for number in numbers:
        text = texts[number]
        if text is None:
            return
        texts[number] = strip(text)
        if texts[number]:
            return


def _literal_text(step: Step) -> str | None:
    """The text of a step; None if it is not known before a request comes."""
    match step:
        case Say(say="auto"):
            return None
        case Say(say=written) | Think(think=written):
            return "".join(written) if is_literal(written) else None
        case Json(json_=value):
            return to_json(value) if value != "auto" and is_literal(value) else None
        case _:
            return None


def _equals_template(found: Any, template: Any) -> bool:
    """Whether JSON equals a template of JSON, in which strings that are templates match anything."""
    if isinstance(template, str) and is_template(template):
        return True
    if isinstance(template, dict):
        return (
            isinstance(found, dict)
            and found.keys() == template.keys()
            and all(_equals_template(found[key], value) for key, value in template.items())
        )
    if isinstance(template, list):
        return (
            isinstance(found, list)
            and len(found) == len(template)
            and all(_equals_template(one, value) for one, value in zip(found, template, strict=True))
        )
    return isinstance(found, bool) == isinstance(template, bool) and bool(found == template)
