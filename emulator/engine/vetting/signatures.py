"""Checks that thought signatures come back on the tool calls they were issued for."""

from collections.abc import Iterator
from typing import Literal

from emulator.engine.request.history import PastCall, calls_of
from emulator.engine.signatures import BYPASSES, PLACEHOLDER, fits_call
from emulator.engine.vetting.context import VettingContext
from emulator.wire.errors import Refusal
from emulator.wire.requests import write_place

_SignatureState = Literal["valid", "placeholder", "missing", "invalid"]


def check_signatures(context: VettingContext) -> Refusal | None:
    """Documented: from Gemini 3 on, the first call of each step of the current turn comes back with its signature.

    The current turn is everything after the last message of the user. Observed: both refusals. Assumed: a signature on another
    call of a step may be missing, but not be wrong; the deprecated `function_call`, which has no place for one, needs none.
    """
    return None if {"signatures_off", "signatures_warn"} & context.policy.quirks else _find_refusal(context)


def find_signature_warnings(context: VettingContext) -> tuple[str, ...]:
    """Warn of the documentation's placeholder, and with the quirk `signatures_warn` of what would be refused without it."""
    if not _is_enforced(context) or "signatures_off" in context.policy.quirks:
        return ()
    warnings = [
        f"{write_place(call.place)} has the documentation's placeholder {PLACEHOLDER} for a signature, which Vertex refuses"
        for _, call, state in _signed_calls(context)
        if state == "placeholder"
    ]
    refusal = _find_refusal(context) if "signatures_warn" in context.policy.quirks else None
    if refusal is not None:
        warnings.append(f"Vertex refuses this ({refusal.rule}): {refusal.explanation}")
    return tuple(warnings)


def _is_enforced(context: VettingContext) -> bool:
    card = context.facts.card
    return context.is_gemini and card is not None and card.enforces_signatures


def _find_refusal(context: VettingContext) -> Refusal | None:
    if not _is_enforced(context):
        return None
    for number, call, state in _signed_calls(context):
        if state == "missing":
            explanation = (
                f"{write_place(call.place)} calls {call.name} without extra_content.google.thought_signature; "
                "send the assistant's message back as it was answered, with extra_content"
            )
            return context.refuse(
                "missing_thought_signature_vertex", call.place, explanation, FUNCTION=call.name, N=str(number)
            )
        if state == "invalid":
            explanation = (
                f"the thought_signature in {write_place(call.place)} is not the one that {context.facts.model} issued for this call of {call.name}; "
                "send signature, name and arguments back together as they were answered"
            )
            path = (*call.place, "extra_content", "google", "thought_signature")
            return context.refuse("invalid_thought_signature", path, explanation)
    return None


def _signed_calls(context: VettingContext) -> Iterator[tuple[int, PastCall, _SignatureState]]:
    """The calls of the current turn, each with the number of its content block and the state of its signature."""
    blocks = context.blocks
    start = max((at for at, block in enumerate(blocks) if block.kind == "user"), default=-1) + 1
    for block in blocks[start:]:
        if block.kind == "calls":
            number = block.messages[0]
            for at, call in enumerate(calls_of(context.facts.messages[number], number)):
                yield block.number, call, _signature_state(context, call, is_first=at == 0)


def _signature_state(context: VettingContext, call: PastCall, *, is_first: bool) -> _SignatureState:
    signature = call.google.get("thought_signature")
    if call.legacy or (not signature and not is_first):
        return "valid"
    if not signature:
        return "missing"
    if signature == PLACEHOLDER:
        return "placeholder"
    if not isinstance(signature, str):
        return "invalid"
    is_known = signature in BYPASSES or signature in context.policy.signatures
    if is_known or fits_call(signature, call.name, call.arguments, context.facts.model, context.policy.seed):
        return "valid"
    return "invalid"
