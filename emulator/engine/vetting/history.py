"""Checks of how the messages fit together: calls and their results, the order of turns, the last message."""

from collections import Counter

from pydantic_core import from_json

from emulator.engine.request.history import MODEL_ROLES, ContentBlock, calls_of, has_calls
from emulator.engine.vetting.context import VettingContext
from emulator.wire.errors import Refusal
from emulator.wire.requests import write_place


def check_arguments(context: VettingContext) -> Refusal | None:
    """Observed: the arguments of earlier calls must be JSON objects. Assumed: they may be null or absent."""
    if not context.is_gemini:
        return None
    for number, message in enumerate(context.facts.messages):
        if not has_calls(message):
            continue
        for call in calls_of(message, number):
            if call.arguments is None or _is_object(call.arguments):
                continue
            path = (*call.place, *(() if call.legacy else ("function",)), "arguments")
            explanation = f"the arguments of {call.name} in {write_place(call.place)} are no JSON object; send them back as they came"
            return context.refuse("expected_json_object", path, explanation)
    return None


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(from_json(arguments, allow_inf_nan=False), dict)
    except ValueError:
        return False


def check_order(context: VettingContext) -> Refusal | None:
    """Observed: results stand right behind their calls, as many as there are; calls follow the user or earlier results.

    Assumed: the order of the results is free, their ids must be those of the calls, and an id that is missing is not missed.
    """
    if not context.is_gemini:
        return None
    before: ContentBlock | None = None
    for block in context.blocks:
        refusal = _check_pair(context, before, block)
        if refusal is not None:
            return refusal
        before = block
    if before is not None and before.kind == "calls":
        return _refuse_unanswered(context, before, set())
    return None


def _check_pair(context: VettingContext, before: ContentBlock | None, block: ContentBlock) -> Refusal | None:
    number = block.messages[0]
    if block.kind == "results":
        if before is None or before.kind != "calls":
            explanation = f"messages[{number}] is a tool's result, but the message before it has no tool calls"
            return context.refuse("function_response_order", ("messages", number), explanation)
        return _check_results(context, before, block)
    if before is not None and before.kind == "calls":
        return _refuse_unanswered(context, before, set())
    if block.kind == "calls" and (before is None or before.kind == "model"):
        after = "no user message" if before is None else "another message of the assistant"
        explanation = (
            f"messages[{number}] has tool calls and follows {after}; calls follow a user message or a tool's result: "
            "put words and calls of one turn into one message"
        )
        key = "tool_calls" if context.facts.messages[number].get("tool_calls") else "function_call"
        return context.refuse("function_call_order", ("messages", number, key), explanation)
    return None


def _check_results(context: VettingContext, calling: ContentBlock, results: ContentBlock) -> Refusal | None:
    """Check that there is one result for each call of the block before."""
    messages, calls_at = context.facts.messages, calling.messages[0]
    calls = calls_of(messages[calls_at], calls_at)
    unanswered = Counter(call.id for call in calls)
    answered: set[str | None] = set()
    for at, number in enumerate(results.messages):
        id_ = messages[number].get("tool_call_id")
        if at >= len(calls):
            explanation = (
                f"messages[{number}] is one result more than there are calls in messages[{calls_at}] ({len(calls)})"
            )
            return context.refuse("function_parts_mismatch", ("messages", number), explanation)
        if id_ and None not in unanswered:
            if not unanswered[id_]:
                if any(call.id == id_ for call in calls):
                    explanation = f'messages[{number}] is another result for the call "{id_}"; each call has one'
                else:
                    ids = ", ".join(f'"{call.id}"' for call in calls)
                    explanation = (
                        f'messages[{number}] has the tool_call_id "{id_}"; messages[{calls_at}] has the calls {ids}'
                    )
                return context.refuse("function_parts_mismatch", ("messages", number, "tool_call_id"), explanation)
            unanswered[id_] -= 1
            answered.add(id_)
    count = len(results.messages)
    return _refuse_unanswered(context, calling, answered, count) if count < len(calls) else None


def _refuse_unanswered(
    context: VettingContext, calling: ContentBlock, answered: set[str | None], count: int = 0
) -> Refusal:
    """Refuse a block of calls of which only `count` have results; `answered` are their ids, as far as they have any."""
    number = calling.messages[0]
    calls = calls_of(context.facts.messages[number], number)
    without = next((call for call in calls[0 if answered else count :] if call.id not in answered), calls[-1])
    explanation = (
        f"the call of {without.name} in {write_place(without.place)} has no result; of {len(calls)} calls {count} "
        f"have results: add a tool message for each, right behind messages[{number}]"
    )
    return context.refuse("function_parts_mismatch", without.place, explanation)


def find_repeated_ids(context: VettingContext) -> tuple[str, ...]:
    """Warn of calls of one message with the same id, whose results cannot be told apart (assumed: Gemini goes by their order)."""
    warnings = []
    for number, message in enumerate(context.facts.messages):
        if has_calls(message):
            ids = Counter(call.id for call in calls_of(message, number) if call.id)
            warnings += [
                f'{count} calls of messages[{number}] have the id "{id_}"; give each its own, so that results can be told apart'
                for id_, count in ids.items()
                if count > 1
            ]
    return tuple(warnings)


def check_last_message(context: VettingContext) -> Refusal | None:
    """Observed: Gemini 3.5 Flash-Lite, 3.6 Flash and newer do not go on from words of their own; others do (documented for open models)."""
    card = context.facts.card
    if not context.is_gemini or card is None or card.answers_prefill:
        return None
    last = context.facts.messages[-1]
    if last.get("role") not in MODEL_ROLES or has_calls(last):
        return None
    number = len(context.facts.messages) - 1
    explanation = (
        f"messages[{number}], the last one, is the assistant's, which {context.facts.model} does not go on from; "
        "end with a user message or a tool's result"
    )
    return context.refuse("ends_with_model_turn", ("messages", number), explanation)
