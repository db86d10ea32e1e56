"""Checks of conversations: whether their turns fit each other."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from emulator.errors import Problem
from emulator.scenario.conversation import (
    AssistantTurn,
    ToolTurn,
    Turn,
    UserTurn,
    calls_in,
    may_call_anything,
    steps_of,
)
from emulator.scenario.faults import Fail
from emulator.scenario.yaml import Location, Source
from emulator.suggestions import join, quote, suggest


def check_conversation(turns: Sequence[Turn], loc: Location, source: Source) -> Iterator[Problem]:
    """The problems of a conversation: turns in the wrong order, results without calls, turns never reached."""
    for number, turn in enumerate(turns):
        before = turns[number - 1] if number else None
        if problem := _explain_order(turn, before):
            yield source.problem(source.place((*loc, number)), problem)
    if not isinstance(turns[-1], AssistantTurn):
        message = 'a conversation ends with an "assistant" turn; nothing is answered after this one'
        yield source.problem(source.place((*loc, len(turns) - 1)), message)
    yield from _check_results(turns, loc, source)
    failing = next((number for number, turn in enumerate(turns) if _fails(turn)), len(turns))
    if failing < len(turns) - 1:
        line = source.place((*loc, failing)).line
        message = f"this turn is never reached: the turn on line {line} fails, so no answer of it can come back"
        yield source.problem(source.place((*loc, failing + 1)), message, "warning")


def _explain_order(turn: Turn, before: Turn | None) -> str | None:
    match before, turn:
        case None, UserTurn():
            return None
        case None, _:
            return 'a conversation begins with a "user" turn'
        case UserTurn(), UserTurn():
            return "user messages next to each other are one turn; write one test for them"
        case AssistantTurn(), AssistantTurn():
            return "two assistant turns in a row; one answer has all of its steps in one list"
        case UserTurn(), ToolTurn():
            return 'a "tool" turn stands behind the assistant turn that calls the function'
        case ToolTurn(), UserTurn():
            return 'an "assistant" turn is missing before this one: results are answered first'
    return None


def _fails(turn: Turn) -> bool:
    return isinstance(turn, AssistantTurn) and any(isinstance(step, Fail) for step in steps_of(turn.assistant) or ())


def _check_results(turns: Sequence[Turn], loc: Location, source: Source) -> Iterator[Problem]:
    """Every call but those of the last turn has its result, and every result its call."""
    for number, turn in enumerate(turns[:-1]):
        if not isinstance(turn, AssistantTurn) or may_call_anything(turn.assistant):
            continue
        called = Counter(call.call for call in calls_in(turn.assistant))
        line = source.place((*loc, number)).line
        left = Counter(called)
        end = number + 1
        while end < len(turns) and isinstance(results := turns[end], ToolTurn):
            for place, name in _named(results, (*loc, end)):
                if not left[name]:
                    yield source.problem(source.place(place), _explain_result(name, called, line))
                left[name] -= 1
            end += 1
        missing = [name for name, count in left.items() if count > 0]
        # A misspelt name is reported once, at the result.
        if missing and not any(count < 0 for count in left.values()) and not _fails(turn):
            message = (
                f'the call of {join(map(quote, missing), "and")} gets no result; a "tool" turn for each call follows'
            )
            yield source.problem(source.place((*loc, number)), message)


def _named(turn: ToolTurn, loc: Location) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(turn.tool, list):
        yield from (((*loc, "tool", number), name) for number, name in enumerate(turn.tool))
    else:
        yield (*loc, "tool"), turn.tool


def _explain_result(name: str, called: Counter[str], line: int) -> str:
    if name in called:
        times = "once" if called[name] == 1 else f"{called[name]} times"
        return f"the assistant turn on line {line} calls {quote(name)} only {times}"
    if not called:
        return f"the assistant turn on line {line} calls no function, so no result follows it"
    return f"the assistant turn on line {line} does not call {quote(name)}{suggest(name, [*called])}"
