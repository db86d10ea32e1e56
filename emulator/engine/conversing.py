"""`conversation`, compiled: where in a transcript the messages of a request stand, and where they leave it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from emulator.engine.dialogue import Speaker, Spoken
from emulator.engine.matching import Comparison, shorten
from emulator.engine.recalling import Recalled, recall
from emulator.engine.text_tests import TextTest, compile_test
from emulator.scenario.conversation import AssistantTurn, ToolTurn, Turn, UserTurn

_WIDEST = 48
"""Characters of a turn that are shown beside another."""
_SHOWN_BEFORE = 2
"""Turns that are shown before the one at which a request departs."""
_ANY_RESULT = TextTest((), (), "any result")


class Place(NamedTuple):
    """Where a request stands: the assistant's turn that comes next."""

    position: int
    """The number of the answer, from 0."""
    turn: int
    """The number, from 1, of that turn among all."""
    captures: Mapping[str, str]


class Departure(NamedTuple):
    """Where a request leaves the transcript."""

    at: int
    """How many turns of the request are those of the transcript."""
    turn: int
    """The number, from 1, of the transcript's turn that is not there; one more than there are if the transcript is at its end."""


@dataclass(frozen=True, slots=True)
class _User:
    turn: int
    test: TextTest

    speaker: Speaker = "user"

    def departs(self, said: Spoken) -> int | None:
        return None if said.speaker == "user" and self.test.passes((said.text,)) else self.turn

    def groups(self, said: Spoken) -> Mapping[str, str]:
        return self.test.groups((said.text,)) if self.test.patterns else {}

    def say(self, _turn: int = 0) -> str:
        return f"user: {self.test.wanted}"


@dataclass(frozen=True, slots=True)
class _Assistant:
    turn: int
    position: int
    reply: Recalled

    def departs(self, said: Spoken) -> int | None:
        return None if said.speaker == "assistant" and self.reply.accepts(said) else self.turn

    def groups(self, _said: Spoken) -> Mapping[str, str]:
        return {}

    def say(self, _turn: int = 0) -> str:
        return f"assistant: {self.reply.written}"


@dataclass(frozen=True, slots=True)
class _Result:
    turn: int
    name: str
    test: TextTest

    def accepts(self, result: tuple[str, str]) -> bool:
        return result[0] == self.name and self.test.passes((result[1],))

    def __str__(self) -> str:
        return self.name if self.test is _ANY_RESULT else f"{self.name}, {self.test.wanted}"


@dataclass(frozen=True, slots=True)
class _Tools:
    """The results of one turn's calls, in any order."""

    results: tuple[_Result, ...]

    @property
    def turn(self) -> int:
        return self.results[0].turn

    def departs(self, said: Spoken) -> int | None:
        if said.speaker != "tool":
            return self.turn
        takers: dict[int, int] = {}
        for number, wanted in enumerate(self.results):
            if not self._find(number, said.results, takers, set()):
                return wanted.turn
        return None if len(said.results) == len(self.results) else self.results[-1].turn

    def _find(self, number: int, results: Sequence[tuple[str, str]], takers: dict[int, int], tried: set[int]) -> bool:
        """Give a wanted result one of those that are there; another that has taken it may have to take a different one."""
        for at, result in enumerate(results):
            if at not in tried and self.results[number].accepts(result):
                tried.add(at)
                if at not in takers or self._find(takers[at], results, takers, tried):
                    takers[at] = number
                    return True
        return False

    def groups(self, said: Spoken) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for wanted in self.results:
            if wanted.test.patterns:
                found.update(wanted.test.groups([text for name, text in said.results if name == wanted.name]))
        return found

    def say(self, turn: int = 0) -> str:
        """The results of one of its turns, or of all."""
        return f"tool: {'; '.join(str(one) for one in self.results if turn in {0, one.turn})}"


_Expected = _User | _Assistant | _Tools


@dataclass(frozen=True, slots=True)
class Conversation:
    """A transcript ready to be compared with requests."""

    expected: tuple[_Expected, ...]
    turns: int
    """How many turns are written."""

    def find_place(self, said: Sequence[Spoken]) -> Place | None:
        """Where a request stands in the transcript; None if it has left it."""
        found = self.follow(said)
        return found if isinstance(found, Place) else None

    def follow(self, said: Sequence[Spoken]) -> Place | Departure:
        """Go along the transcript as far as the request does: it stands before an assistant's turn, or departs."""
        for at, expected in enumerate(self.expected):
            if at == len(said):
                if isinstance(expected, _Assistant):
                    return Place(expected.position, expected.turn, self._captures(said))
                return Departure(at, expected.turn)
            turn = expected.departs(said[at])
            if turn is not None:
                return Departure(at, turn)
        return Departure(len(self.expected), self.turns + 1)

    def _captures(self, said: Sequence[Spoken]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for expected, turn in zip(self.expected, said, strict=False):
            found.update(expected.groups(turn))
        return found

    def compare(self, said: Sequence[Spoken]) -> Comparison:
        """Transcript and request side by side, up to where they part."""
        found = self.follow(said)
        if isinstance(found, Place):
            got = f"turn {found.turn} answers"
            return Comparison("conversation", holds=True, wanted="", got=got, reached=len(said))
        at, turn = found
        ended = at == len(self.expected)
        wanted = f"no more, it ended at turn {self.turns}" if ended else f"turn {turn}, {self.expected[at].say(turn)}"
        got = _show(said[at]) if at < len(said) else "the end of the request"
        lines = self._beside(said, at)
        return Comparison(
            "conversation", holds=False, wanted=shorten(wanted), got=shorten(got), lines=lines, reached=at
        )

    def _beside(self, said: Sequence[Spoken], at: int) -> tuple[str, ...]:
        """The turn at which they part, and a few before it."""
        numbers = range(max(0, at - _SHOWN_BEFORE), at + 1)
        labels = [self._label(number) for number in numbers]
        written = [one.say() for one in self.expected[numbers.start : at + 1]]
        there = [_show(one) for one in said[numbers.start : at + 1]]
        if len(written) == len(there):
            written[-1], there[-1] = _cut_same(written[-1], there[-1])
        written = [*map(_cut, written), *["(the transcript has ended)"] * (len(labels) - len(written))]
        there = [*map(_cut, there), *["(the request has ended)"] * (len(labels) - len(there))]
        first, second = max(map(len, labels)), max(map(len, written))
        return tuple(
            f"{label:<{first}}  {'MISS' if number == at else 'ok  '}  {one:<{second}} | {other}"
            for number, label, one, other in zip(numbers, labels, written, there, strict=True)
        )

    def _label(self, at: int) -> str:
        if at == len(self.expected):
            return f"turn {self.turns + 1}"
        expected = self.expected[at]
        last = expected.results[-1].turn if isinstance(expected, _Tools) else expected.turn
        return f"turn {expected.turn}" if last == expected.turn else f"turn {expected.turn}-{last}"


def compile_conversation(turns: Sequence[Turn]) -> Conversation:
    """Compile a transcript as it is written."""
    expected: list[_Expected] = []
    answers = 0
    numbered = enumerate(turns, start=1)
    for speaker, group in groupby(numbered, lambda one: type(one[1])):
        block = list(group)
        if speaker is ToolTurn:
            expected.append(_Tools(tuple(result for number, turn in block for result in _results(number, turn))))
            continue
        for number, turn in block:
            if isinstance(turn, UserTurn):
                expected.append(_User(number, compile_test(turn.user, "contains")))
            elif isinstance(turn, AssistantTurn):
                expected.append(_Assistant(number, answers, recall(turn.assistant)))
                answers += 1
    return Conversation(tuple(expected), len(turns))


def _results(number: int, turn: Turn) -> list[_Result]:
    if not isinstance(turn, ToolTurn):
        return []
    test = _ANY_RESULT if turn.result is None else compile_test(turn.result, "contains")
    return [_Result(number, name, test) for name in turn.names]


def _show(said: Spoken) -> str:
    if said.speaker == "tool":
        results = [f'{name or "an unknown call"}, "{text}"' for name, text in said.results]
        return f"tool: {'; '.join(results)}"
    text = said.text.strip()
    shown = [f'"{text}"'] if text or not said.calls else []
    shown += [f"{call.name}({call.arguments or ''})" for call in said.calls]
    return f"{said.speaker}: {', '.join(shown)}"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…"


def _cut_same(one: str, other: str) -> tuple[str, str]:
    """Two texts without most of what they begin with in common, if that is long: it is the difference that is looked for."""
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    if same <= _WIDEST // 2:
        return one, other
    label = one.partition(" ")[0]
    return f"{label} …{one[same - _WIDEST // 4 :]}", f"{label} …{other[same - _WIDEST // 4 :]}"
