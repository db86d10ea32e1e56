"""`conversation`, compiled: where in a transcript the messages of a request stand, and where they leave it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple

from emulator.engine.matching.conditions import Comparison, shorten
from emulator.engine.matching.json import write
from emulator.engine.matching.texts import TextTest, compile_test
from emulator.engine.reply.templates import is_literal
from emulator.engine.request.history import DialogueTurn, PastCall, Speaker
from emulator.scenario.conversation import AssistantTurn, ToolTurn, Turn, UserTurn, steps_of
from emulator.scenario.steps import Call, Json, Raw, Reply, Say, Step, Think
from emulator.scenario.templates.template import is_template
from emulator.wire.json_text import parse_or_text

_ANYTHING: Final = object()
"""In the place of JSON that is not known before a request comes."""


@dataclass(frozen=True, slots=True)
class RecalledCall:
    """A call as it must stand in the history."""

    name: str | None
    """None for a name that is not known before."""
    arguments: Any

    def accepts(self, call: PastCall) -> bool:
        """Whether it is that call; templates in the arguments stand for anything."""
        if self.name is not None and call.name != self.name:
            return False
        return self.arguments is _ANYTHING or _agrees(parse_or_text(call.arguments or "{}"), self.arguments)

    def __str__(self) -> str:
        return f"{self.name or 'any function'}({'…' if self.arguments is _ANYTHING else write(self.arguments)})"


@dataclass(frozen=True, slots=True)
class Recalled:
    """An assistant's turn as it must stand in the history."""

    text: re.Pattern[str]
    calls: tuple[RecalledCall, ...] | None
    """None where any calls will do."""
    json: Any
    """The value, where JSON is all that is said: a client may have written it anew."""
    written: str
    """The turn as a report shows it."""

    def accepts(self, turn: DialogueTurn) -> bool:
        """Whether a turn of the request is this one: same text, thoughts aside, and same calls."""
        said = turn.text.strip()
        if not self.text.fullmatch(said) and (self.json is _ANYTHING or not _agrees(parse_or_text(said), self.json)):
            return False
        if self.calls is None:
            return True
        return len(self.calls) == len(turn.calls) and all(
            wanted.accepts(call) for wanted, call in zip(self.calls, turn.calls, strict=True)
        )


def recall(reply: Reply) -> Recalled:
    """Compile an assistant's turn."""
    steps = steps_of(reply) or [Say(say=str(reply))]
    calls = tuple(_recall_call(step) for step in steps if isinstance(step, Call))
    is_open = any(isinstance(step, Raw) for step in steps)
    spoken = [step for step in steps if not isinstance(step, Call)]
    only = spoken[0].json_ if len(spoken) == 1 and isinstance(spoken[0], Json) else "auto"
    text = re.compile(_pattern(spoken), re.DOTALL)
    shown = [f'"{said}"' for said in ["".join(map(_show_text, spoken)).strip()] if said]
    return Recalled(
        text,
        None if is_open else calls,
        _ANYTHING if only == "auto" else only,
        ", ".join([*shown, *map(str, calls)]) or '""',
    )


def _recall_call(step: Call) -> RecalledCall:
    name = None if step.call == "auto" or is_template(step.call) else step.call
    given = step.with_
    if isinstance(given, str):
        is_known = given != "auto" and not is_template(given)
        return RecalledCall(name, parse_or_text(given) if is_known else _ANYTHING)
    return RecalledCall(name, given)


def _text_of(step: Step) -> str | None:
    """The text of a step, None if it is not known before a request comes."""
    match step:
        case Say(say=written) | Think(think=written):
            return "".join(written) if is_literal(written) else None
        case Json(json_=value):
            return write(value) if value != "auto" and is_literal(value) else None
        case _:
            return None


def _pattern(steps: Sequence[Step]) -> str:
    """What accepts the text of these steps without the white space at its ends, which clients drop."""
    words = [number for number, step in enumerate(steps) if not isinstance(step, Think)]
    texts = [_text_of(step) for step in steps]
    _strip(texts, words, str.lstrip)
    _strip(texts, words[::-1], str.rstrip)
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
    """Take the white space off the first of these texts that is not all white space, and off those before it."""
    for number in numbers:
        text = texts[number]
        if text is None:
            return
        texts[number] = strip(text)
        if texts[number]:
            return


def _show_text(step: Step) -> str:
    text = _text_of(step)
    return "" if isinstance(step, Think) else "…" if text is None else text


def _agrees(found: Any, wanted: Any) -> bool:
    """Whether JSON is what was written, templates aside."""
    if isinstance(wanted, str) and is_template(wanted):
        return True
    if isinstance(wanted, dict):
        return (
            isinstance(found, dict)
            and found.keys() == wanted.keys()
            and all(_agrees(found[key], value) for key, value in wanted.items())
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(_agrees(one, value) for one, value in zip(found, wanted, strict=True))
        )
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)


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

    def departs(self, said: DialogueTurn) -> int | None:
        return None if said.speaker == "user" and self.test.passes((said.text,)) else self.turn

    def groups(self, said: DialogueTurn) -> Mapping[str, str]:
        return self.test.groups((said.text,)) if self.test.patterns else {}

    def say(self, _turn: int = 0) -> str:
        return f"user: {self.test.wanted}"


@dataclass(frozen=True, slots=True)
class _Assistant:
    turn: int
    position: int
    reply: Recalled

    def departs(self, said: DialogueTurn) -> int | None:
        return None if said.speaker == "assistant" and self.reply.accepts(said) else self.turn

    def groups(self, _said: DialogueTurn) -> Mapping[str, str]:
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

    def departs(self, said: DialogueTurn) -> int | None:
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

    def groups(self, said: DialogueTurn) -> Mapping[str, str]:
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

    def find_place(self, said: Sequence[DialogueTurn]) -> Place | None:
        """Where a request stands in the transcript; None if it has left it."""
        found = self.follow(said)
        return found if isinstance(found, Place) else None

    def follow(self, said: Sequence[DialogueTurn]) -> Place | Departure:
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

    def _captures(self, said: Sequence[DialogueTurn]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for expected, turn in zip(self.expected, said, strict=False):
            found.update(expected.groups(turn))
        return found

    def compare(self, said: Sequence[DialogueTurn]) -> Comparison:
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

    def _beside(self, said: Sequence[DialogueTurn], at: int) -> tuple[str, ...]:
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


def _show(said: DialogueTurn) -> str:
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
