"""Thought signatures: that they came back on the calls they were issued for."""

from collections.abc import Iterator
from typing import Literal

from emulator.engine.request.history import PastCall, calls_of
from emulator.engine.signatures import BYPASSES, PLACEHOLDER, fits_call
from emulator.engine.vetting.case import Case
from emulator.wire.errors import Refusal
from emulator.wire.requests import write_place

_Finding = Literal["fine", "placeholder", "missing", "invalid"]


def check_signatures(case: Case) -> Refusal | None:
    """Documented: from Gemini 3 on, the first call of each step of the current turn comes back with its signature.

    The current turn is everything after the last message of the user. Observed: both refusals. Assumed: a signature on another
    call of a step may be missing, but not be wrong; the deprecated `function_call`, which has no place for one, needs none.
    """
    return None if {"signatures_off", "signatures_warn"} & case.policy.quirks else _find_refusal(case)


def find_signature_warnings(case: Case) -> tuple[str, ...]:
    """What is overlooked about signatures: the documentation's placeholder, and all there is with the quirk `signatures_warn`."""
    if not _is_enforced(case) or "signatures_off" in case.policy.quirks:
        return ()
    warnings = [
        f"{write_place(call.place)} has the documentation's placeholder {PLACEHOLDER} for a signature, which Vertex refuses"
        for _, call, finding in _look(case)
        if finding == "placeholder"
    ]
    refusal = _find_refusal(case) if "signatures_warn" in case.policy.quirks else None
    if refusal is not None:
        warnings.append(f"Vertex refuses this ({refusal.rule}): {refusal.explanation}")
    return tuple(warnings)


def _is_enforced(case: Case) -> bool:
    card = case.facts.card
    return case.is_gemini and card is not None and card.enforces_signatures


def _find_refusal(case: Case) -> Refusal | None:
    if not _is_enforced(case):
        return None
    for block, call, finding in _look(case):
        keys = (*call.place, "extra_content", "google", "thought_signature")
        if finding == "missing":
            explanation = (
                f"{write_place(call.place)} calls {call.name} without extra_content.google.thought_signature; "
                "send the assistant's message back as it was answered, with extra_content"
            )
            return case.refuse(
                "missing_thought_signature_vertex", call.place, explanation, FUNCTION=call.name, N=str(block)
            )
        if finding == "invalid":
            explanation = (
                f"the thought_signature in {write_place(call.place)} is not the one that was issued for this call of {call.name}; "
                "send signature, name and arguments back together as they were answered"
            )
            return case.refuse("invalid_thought_signature", keys, explanation)
    return None


def _look(case: Case) -> Iterator[tuple[int, PastCall, _Finding]]:
    """The calls of the current turn, each with the number of its content block and what is found on it."""
    turns = case.turns
    start = max((at for at, turn in enumerate(turns) if turn.kind == "user"), default=-1) + 1
    for turn in turns[start:]:
        if turn.kind != "calls":
            continue
        number = turn.numbers[0]
        for at, call in enumerate(calls_of(case.facts.messages[number], number)):
            yield turn.block, call, _judge(case, call, is_first=at == 0)


def _judge(case: Case, call: PastCall, *, is_first: bool) -> _Finding:
    signature = call.google.get("thought_signature")
    if call.legacy or (not signature and not is_first):
        return "fine"
    if not signature:
        return "missing"
    if signature == PLACEHOLDER:
        return "placeholder"
    if not isinstance(signature, str):
        return "invalid"
    is_known = signature in BYPASSES or signature in case.policy.signatures
    return "fine" if is_known or fits_call(signature, call.name, call.arguments, case.policy.seed) else "invalid"
