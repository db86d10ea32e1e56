"""What verdicts cost grows with the bodies that they read, not with their square."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import ManualClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.verdicts.tool_calls import LONGEST_JOINED_NAME, split_name
from emulator.wire.urls import Target

TARGET = Target("v1", "p", "global", "openapi")


def call(number: int | str, *, signature: str | None = None, name: str = "f") -> dict[str, Any]:
    """A tool call of the history."""
    extra = {} if signature is None else {"extra_content": {"google": {"thought_signature": signature}}}
    return {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": "{}"}, **extra}


def result(number: int) -> dict[str, Any]:
    """The result of a tool call."""
    return {"role": "tool", "tool_call_id": f"c{number}", "content": "x"}


def rounds(count: int) -> list[Any]:
    """Calls and results in turn."""
    return [one for at in range(count) for one in ({"role": "assistant", "tool_calls": [call(at)]}, result(at))]


def at_once(count: int) -> list[Any]:
    """All calls in one message, then all results but the first."""
    calls = [call(at) for at in range(count)]
    return [{"role": "assistant", "tool_calls": calls}, *(result(at) for at in range(1, count))]


def calling_results(count: int) -> list[Any]:
    """Results that are calls themselves, all next to each other."""
    return [{**result(at), "tool_calls": [call(at + 1)]} for at in range(count)]


def unsigned(count: int) -> list[Any]:
    """Calls that came with signatures and go back without."""
    return [{"role": "assistant", "tool_calls": [call(at)]} for at in range(count)]


def edited(count: int) -> list[Any]:
    """Calls that came with signatures and go back with other arguments."""
    calls = [call(at, signature=f"s{at}") for at in range(count)]
    for one in calls:
        one["function"]["arguments"] = '{"more": 1}'
    return [{"role": "assistant", "tool_calls": calls}, *map(result, range(count))]


def long_ids(count: int) -> list[Any]:
    """Ids that are joined of known ones, but for their end."""
    return [{"role": "assistant", "tool_calls": [call(f"{at}c{at}c")]} for at in range(count)]


def unknown_names(count: int) -> list[Any]:
    """Calls of functions that nobody has declared, each of another name."""
    return [{"role": "assistant", "tool_calls": [call(at, name=f"f{at}fg")]} for at in range(count)]


def judge(messages: Callable[[int], list[Any]], count: int) -> tuple[int, int]:
    """How many function calls it takes to judge a client that sends this twice, and how many verdicts there are."""
    signed = [{"id": f"c{at}", "call": "f", "with": {}, "signature": f"s{at}"} for at in range(count)]
    scenario = json.dumps(
        {"rules": [{"reply": [{"say": "Well"}, *(signed if messages in {unsigned, edited, long_ids} else ())]}]}
    )
    service = Service(compile_rules(read_text(scenario).scenarios), Settings(vetting="off"), clock=ManualClock())
    sent = [{"role": "user", "content": "go"}, *messages(count)]
    body = json.dumps({"model": "google/gemini-3-pro-preview", "messages": sent}).encode()
    for _ in range(2):
        service.finish(service.handle(TARGET, b"", [(b"authorization", b"Bearer x")], body))
    counts: Counter[str] = Counter()
    sys.setprofile(lambda _frame, event, _: counts.update([event]))
    try:
        verdicts = service.verdicts()
    finally:
        sys.setprofile(None)
    return counts["call"] + counts["c_call"], len(verdicts)


@pytest.mark.parametrize("messages", [rounds, at_once, calling_results, unsigned, edited, long_ids, unknown_names])
def test_work_is_linear_in_the_history(messages: Callable[[int], list[Any]]) -> None:
    """Twice as many rounds take about twice as many function calls."""
    (few, _), (many, _) = judge(messages, 150), judge(messages, 300)
    assert many < 2.4 * few


@pytest.mark.parametrize(
    ("messages", "expected"),
    [(rounds, 0), (at_once, 1), (calling_results, 1), (unsigned, 40), (edited, 20), (unknown_names, 20)],
)
def test_verdicts_are_found_all_the_same(messages: Callable[[int], list[Any]], expected: int) -> None:
    """One sentence for each mistake of these histories."""
    assert judge(messages, 20)[1] == expected


def test_a_name_beyond_the_bound_is_not_split() -> None:
    """It is no name that somebody joined."""
    assert split_name("f" * LONGEST_JOINED_NAME, {"f"}) == ("f",) * LONGEST_JOINED_NAME
    assert split_name("f" * (LONGEST_JOINED_NAME + 1), {"f"}) == ()
