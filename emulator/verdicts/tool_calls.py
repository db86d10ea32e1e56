"""Verdicts on tool calls that a client sends back: missing results, joined names, broken arguments."""

from collections.abc import Collection, Iterator, Sequence

from pydantic_core import from_json

from emulator.engine.request.history import PastCall, calls_of, is_result
from emulator.verdicts.observation import Finding, Observation
from emulator.wire.requests import Message, write_place

_MAX_SHOWN = 60
"""Characters of arguments that are shown."""


def find_missing_results(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Find calls in the history whose result does not directly follow."""
    for one in observations:
        for at, message in enumerate(one.messages):
            for call in _without_result(calls_of(message, at), one.messages[at + 1 :]):
                named = f'{call.name} ("{call.id}")' if call.id else call.name
                yield Finding(
                    (one.number,),
                    f"{write_place(call.place)} calls {named}, and the messages behind it lack its result",
                )


def find_joined_names(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Find calls whose name is several known names concatenated."""
    answered: set[str] = set()
    for one in observations:
        functions = [tool.get("function") or {} for tool in (one.request or {}).get("tools") or ()]
        known = answered | {function.get("name") or "" for function in functions}
        for call in one.past_calls:
            if call.name not in known and (parts := split_name(call.name, known - {""})):
                yield Finding(
                    (one.number,),
                    f'{write_place(call.place)} calls "{call.name}", which is {" and ".join(parts)} joined',
                )
        answered |= {call.name for call in one.answer.calls}


def find_broken_arguments(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Find arguments in the history that are no JSON object, unless the model itself wrote them so."""
    answered: set[str] = set()
    for one in observations:
        for call in one.past_calls:
            if call.arguments and call.arguments not in answered and not _is_object(call.arguments):
                shown = call.arguments if len(call.arguments) <= _MAX_SHOWN else f"{call.arguments[:_MAX_SHOWN]}..."
                yield Finding(
                    (one.number,),
                    f"{write_place(call.place)} calls {call.name} with `{shown}`, which is no JSON object",
                )
        answered |= {call.arguments for call in one.answer.calls}


def split_name(name: str, known: Collection[str]) -> tuple[str, ...]:
    """Split a name into known names; empty if that is not possible."""
    splits: dict[int, tuple[str, ...]] = {0: ()}
    for end in range(1, len(name) + 1):
        for part in known:
            start = end - len(part)
            if start in splits and name.endswith(part, 0, end):
                splits.setdefault(end, (*splits[start], part))
    return splits.get(len(name), ())


def _without_result(calls: Sequence[PastCall], following: Sequence[Message]) -> Sequence[PastCall]:
    results = []
    for message in following:
        if not is_result(message):
            break
        results.append(message.get("tool_call_id"))
    # Without ids, as with the deprecated `function_call` and a quirk, they are only counted.
    if not all(call.id for call in calls) or not all(results):
        return calls[len(results) :]
    return [call for call in calls if call.id not in results]


def _is_object(text: str) -> bool:
    try:
        return isinstance(from_json(text.encode("utf-8", "surrogatepass")), dict)
    except ValueError:
        return False
