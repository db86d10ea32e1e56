"""How the messages fit together: calls and their results, whose turn it is, who speaks last."""

from collections import Counter

from pydantic_core import from_json

from emulator.engine.request.history import MODEL_ROLES, PastCall, Turn, calls_of, has_calls
from emulator.engine.vetting.case import Case
from emulator.wire.errors import Refusal
from emulator.wire.requests import write_place


def check_arguments(case: Case) -> Refusal | None:
    """Observed: the arguments of earlier calls must be JSON objects. Assumed: they may be null or absent."""
    if not case.is_gemini:
        return None
    for number, message in enumerate(case.facts.messages):
        if not has_calls(message):
            continue
        for call in calls_of(message, number):
            if call.arguments is None or _is_object(call.arguments):
                continue
            keys = (*call.place, *(() if call.legacy else ("function",)), "arguments")
            explanation = f"the arguments of {call.name} in {write_place(call.place)} are no JSON object; send them back as they came"
            return case.refuse("expected_json_object", keys, explanation)
    return None


def check_order(case: Case) -> Refusal | None:
    """Observed: results stand right behind their calls, as many as there are; calls follow the user or earlier results.

    Assumed: the order of the results is free, their ids must be those of the calls, and an id that is missing is not missed.
    """
    if not case.is_gemini:
        return None
    before: Turn | None = None
    for turn in case.turns:
        refusal = _check_pair(case, before, turn)
        if refusal is not None:
            return refusal
        before = turn
    if before is not None and before.kind == "calls":
        return _refuse_missing(case, before, set())
    return None


def check_end(case: Case) -> Refusal | None:
    """Observed: newer Gemini models do not go on from words of their own; open models do (documented: maas-call)."""
    if not case.is_gemini:
        return None
    last = case.facts.messages[-1]
    if last.get("role") not in MODEL_ROLES or has_calls(last):
        return None
    number = len(case.facts.messages) - 1
    explanation = f"messages[{number}], the last one, is the assistant's; end with a user message or a tool's result"
    return case.refuse("ends_with_model_turn", ("messages", number), explanation)


def _check_pair(case: Case, before: Turn | None, turn: Turn) -> Refusal | None:
    number = turn.numbers[0]
    if turn.kind == "results":
        if before is None or before.kind != "calls":
            explanation = f"messages[{number}] is a tool's result, but the message before it has no tool calls"
            return case.refuse("function_response_order", ("messages", number), explanation)
        return _check_results(case, before, turn)
    if before is not None and before.kind == "calls":
        return _refuse_missing(case, before, set())
    if turn.kind == "calls" and (before is None or before.kind == "model"):
        after = "no user message" if before is None else "another message of the assistant"
        explanation = (
            f"messages[{number}] has tool calls and follows {after}; calls follow a user message or a tool's result: "
            "put words and calls of one turn into one message"
        )
        return case.refuse("function_call_order", _calls_place(case, number), explanation)
    return None


def _check_results(case: Case, calling: Turn, results: Turn) -> Refusal | None:
    calls = calls_of(case.facts.messages[calling.numbers[0]], calling.numbers[0])
    given = [(number, case.facts.messages[number].get("tool_call_id")) for number in results.numbers]
    open_ids = Counter(call.id for call in calls)
    knows_ids = None not in open_ids
    answered: set[str | None] = set()
    for at, (number, identity) in enumerate(given):
        if at >= len(calls):
            explanation = f"messages[{number}] is one result more than there are calls in {_of(calling)} ({len(calls)})"
            return case.refuse("function_parts_mismatch", ("messages", number), explanation)
        if identity and knows_ids:
            if not open_ids[identity]:
                explanation = _explain_foreign(number, identity, calls, calling)
                return case.refuse("function_parts_mismatch", ("messages", number, "tool_call_id"), explanation)
            open_ids[identity] -= 1
            answered.add(identity)
    return _refuse_missing(case, calling, answered, len(given)) if len(given) < len(calls) else None


def _explain_foreign(number: int, identity: str, calls: tuple[PastCall, ...], calling: Turn) -> str:
    if any(call.id == identity for call in calls):
        return f'messages[{number}] is another result for the call "{identity}"; each call has one'
    ids = ", ".join(f'"{call.id}"' for call in calls)
    return f'messages[{number}] has the tool_call_id "{identity}"; {_of(calling)} has the calls {ids}'


def _refuse_missing(case: Case, calling: Turn, answered: set[str | None], count: int = 0) -> Refusal:
    number = calling.numbers[0]
    calls = calls_of(case.facts.messages[number], number)
    without = next((call for call in calls[0 if answered else count :] if call.id not in answered), calls[-1])
    explanation = (
        f"the call of {without.name} in {write_place(without.place)} has no result; of {len(calls)} calls {count} "
        f"have results: add a tool message for each, right behind messages[{number}]"
    )
    return case.refuse("function_parts_mismatch", without.place, explanation)


def _calls_place(case: Case, number: int) -> tuple[int | str, ...]:
    key = "tool_calls" if case.facts.messages[number].get("tool_calls") else "function_call"
    return ("messages", number, key)


def _of(turn: Turn) -> str:
    return f"messages[{turn.numbers[0]}]"


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(from_json(arguments, allow_inf_nan=False), dict)
    except ValueError:
        return False
