"""Verdicts on tool calls that a client sends back: missing results, joined names and ids, mixed-up calls, broken arguments."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from pydantic_core import from_json

from emulator.engine.request.history import PastCall, is_result
from emulator.verdicts.observation import AnsweredCalls, Finding, Observation, ObservedCall, Past, canonical_arguments
from emulator.wire.requests import write_place

LONGEST_NAME = 256
"""Characters of a function's name; longer ones are no parts of joined names."""
LONGEST_JOINED_NAME = 2_000
"""Characters of a name up to which it is looked at whether it is several names joined."""
_MAX_SHOWN = 60
"""Characters of arguments that are shown."""


def find_missing_results(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find calls in the history whose result does not directly follow."""
    for call in _without_result(one):
        named = f'{call.name} ("{call.id}")' if call.id else call.name
        sentence = f"{write_place(call.place)} calls {named}, and the messages behind it lack its result"
        yield Finding((one.number,), sentence)


def find_joined_names(one: Observation, past: Past) -> Iterator[Finding]:
    """Find calls whose name is several known names concatenated."""
    functions = [tool.get("function") or {} for tool in (one.request or {}).get("tools") or ()]
    known = {name for function in functions if (name := function.get("name"))}
    splits: dict[str, tuple[str, ...]] = {"": ()}
    for call in one.past_calls:
        if call.name in known or call.name in past.names:
            continue
        if call.name not in splits:
            splits[call.name] = split_name(call.name, known | past.names)
        if parts := splits[call.name]:
            sentence = f'{write_place(call.place)} calls "{call.name}", which is {" and ".join(parts)} joined'
            yield Finding((one.number,), sentence)


def find_joined_ids(one: Observation, past: Past) -> Iterator[Finding]:
    """Find calls whose id is several ids of one answer concatenated."""
    ids = past.calls.keys()
    for call in one.past_calls if ids else ():
        id_ = call.id or ""
        if id_ in ids or len(parts := split_name(id_, ids, past.id_lengths)) <= 1:
            continue
        answered = {past.calls[part] for part in parts}
        if len(answered) == 1 and None not in answered:
            sentence = f'{write_place(call.place)} has the id "{id_}", which is {" and ".join(parts)} joined'
            yield Finding((one.number,), sentence)


def find_mixed_calls(one: Observation, past: Past) -> Iterator[Finding]:
    """Find calls that have the name or the arguments of another call of their answer, and streams of whose calls only the last is left."""
    if not past.calls:
        return
    ids = {call.id for call in one.past_calls}
    for call in one.past_calls:
        answered = past.calls.get(call.id or "")
        if answered is None or len(answered.by_id) == 1:
            continue
        own = answered.by_id[call.id or ""]
        if mixed := _describe_mixed(call, answered, own):
            sentence = f"{write_place(call.place)} has the id of a call of {own.name} and {mixed} of another call of that answer"
            yield Finding((answered.number, one.number), sentence)
        if answered.is_stream and call.id == answered.last and ids.isdisjoint(answered.by_id.keys() - {call.id}):
            place = write_place(call.place)
            sentence = f"of {len(answered.by_id)} calls that were streamed, only the last came back, in {place}"
            yield Finding((answered.number, one.number), sentence)


def find_broken_arguments(one: Observation, past: Past) -> Iterator[Finding]:
    """Find arguments in the history that are no JSON object, unless the model itself wrote them so."""
    for call in one.past_calls:
        if call.arguments and call.arguments not in past.arguments and not is_object(call.arguments):
            shown = call.arguments if len(call.arguments) <= _MAX_SHOWN else f"{call.arguments[:_MAX_SHOWN]}..."
            sentence = f"{write_place(call.place)} calls {call.name} with `{shown}`, which is no JSON object"
            yield Finding((one.number,), sentence)


def split_name(name: str, known: AbstractSet[str], lengths: AbstractSet[int] = frozenset()) -> tuple[str, ...]:
    """Split a name into known names, of these lengths if they are given; empty if that is not possible, or if the name is too long."""
    if len(name) > LONGEST_JOINED_NAME:
        return ()
    lengths = lengths or {len(part) for part in known if 0 < len(part) <= LONGEST_NAME}
    ordered, starts = sorted(lengths), {0: 0}
    for end in range(1, len(name) + 1):
        for length in ordered:
            if end - length in starts and name[end - length : end] in known:
                starts[end] = end - length
                break
    parts: list[str] = []
    end = len(name) if len(name) in starts else 0
    while end:
        parts.append(name[starts[end] : end])
        end = starts[end]
    return tuple(reversed(parts))


def _describe_mixed(call: PastCall, answered: AnsweredCalls, own: ObservedCall) -> str:
    """What a call has of another one of its answer: "the name", "the arguments", or nothing."""
    if call.name != own.name:
        return "the name" if call.name in answered.names else ""
    if call.arguments == own.arguments:
        return ""
    given = canonical_arguments(call.arguments)
    return "the arguments" if given != canonical_arguments(own.arguments) and given in answered.arguments else ""


def _without_result(one: Observation) -> Sequence[PastCall]:
    """The calls that the tool results right behind their message do not answer."""
    missing: list[PastCall] = []
    # Backwards, with the results behind each message: their number, and their ids.
    count, ids = 0, set[str | None]()
    for message, calls in zip(reversed(one.messages), reversed(one.calls_by_message), strict=True):
        if calls and not (all(call.id for call in calls) and ids.isdisjoint((None, ""))):
            # Without ids, as with the deprecated `function_call` and a quirk, they are only counted.
            missing += reversed(calls[count:])
        else:
            missing += [call for call in reversed(calls) if call.id not in ids]
        if is_result(message):
            count += 1
            ids.add(message.get("tool_call_id"))
        elif count:
            count, ids = 0, set()
    return missing[::-1]


def is_object(text: str) -> bool:
    """Whether a text is a JSON object."""
    try:
        return isinstance(from_json(text.encode("utf-8", "surrogatepass")), dict)
    except ValueError:
        return False
