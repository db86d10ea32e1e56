"""Verdicts on thought signatures: dropped, moved to another place, cut short, or on a call that was edited."""

from collections.abc import Iterator

from emulator.catalogue.models import describe_model
from emulator.engine.request.history import PastCall
from emulator.engine.signatures import BYPASSES
from emulator.verdicts.observation import (
    AnsweredCalls,
    Finding,
    Observation,
    ObservedCall,
    Past,
    canonical_arguments,
    identify_call,
)
from emulator.verdicts.tool_calls import is_object, split_name
from emulator.wire.requests import write_place

SHORTEST_PART = 8
"""Characters from which what comes back may be a part of a signature."""


def find_dropped(one: Observation, past: Past) -> Iterator[Finding]:
    """Find calls sent back without the signature they were answered with, where the request has it nowhere else either."""
    for call, expected in _unsigned_calls(one, past):
        if not _is_part(call, expected) and not _is_anywhere(expected, one):
            yield _find(one, call, "came back without the thought signature it was answered with")


def find_moved(one: Observation, past: Past) -> Iterator[Finding]:
    """Find signatures sent back in another place than on their call."""
    for call, expected in _unsigned_calls(one, past):
        if not _is_part(call, expected) and _is_anywhere(expected, one):
            yield _find(one, call, "does not carry its own thought signature, which came back in another place")


def find_truncated_signatures(one: Observation, past: Past) -> Iterator[Finding]:
    """Find calls sent back with only a part of their signature."""
    for call, expected in _unsigned_calls(one, past):
        if whole := _is_part(call, expected):
            given = len(call.google["thought_signature"])
            yield _find(one, call, f"came back with {given} of the {len(whole)} characters of its thought signature")


def find_edited_calls(one: Observation, past: Past) -> Iterator[Finding]:
    """Find calls that came back under their own signature, but with other arguments or another name than were signed.

    Assumed: how the arguments are written, and in which order, does not matter.
    """
    for call in one.past_calls if past.signatures else ():
        answered = past.calls.get(call.id or "")
        if answered is None or not (own := answered.by_id[call.id or ""]).signature:
            continue
        if call.google.get("thought_signature") == own.signature and (edited := _describe_edit(call, answered, own)):
            yield _find(one, call, f"came back with its {edited} changed, which its thought signature signs")


def _describe_edit(call: PastCall, answered: AnsweredCalls, own: ObservedCall) -> str:
    """What of a call was edited, "arguments" or "name"; empty for nothing, and for what is mixed up with other calls of the answer."""
    if call.name != own.name:
        is_mixed = call.name in answered.names or split_name(call.name, answered.names)
        return "" if is_mixed else "name"
    if call.arguments == own.arguments or not is_object(call.arguments or "{}"):
        return ""
    return "" if canonical_arguments(call.arguments) in answered.arguments else "arguments"


def _unsigned_calls(one: Observation, past: Past) -> Iterator[tuple[PastCall, frozenset[str]]]:
    """The calls sent back with a wrong signature or none, and the signatures they should carry."""
    for call in one.past_calls if past.signatures else ():
        issued = past.signatures.get(identify_call(call.id or "", call.name, call.arguments))
        if issued is None or None in issued or call.legacy:
            continue
        given = call.google.get("thought_signature")
        if not (isinstance(given, str) and (given in issued or given in BYPASSES)):
            yield call, frozenset(signature for signature in issued if signature)


def _is_part(call: PastCall, expected: frozenset[str]) -> str:
    """The signature of which a call has only the beginning or the end; empty if there is none."""
    given = call.google.get("thought_signature")
    if not isinstance(given, str) or len(given) < SHORTEST_PART:
        return ""
    return next((whole for whole in expected if whole.startswith(given) or whole.endswith(given)), "")


def _is_anywhere(signatures: frozenset[str], one: Observation) -> bool:
    return not signatures.isdisjoint(one.strings)


def _find(one: Observation, call: PastCall, what: str) -> Finding:
    """A finding on a call, a warning where Vertex lets it pass.

    Documented: signatures are enforced from Gemini 3 on, in the current turn, which is everything after the user's last message.
    """
    sentence = f"the call of {call.name} in {write_place(call.place)} {what}"
    card, number = describe_model(one.model), call.place[1]
    if card is None or not card.enforces_signatures:
        sentence += f"; {one.model or 'this model'} answers all the same, without the thoughts behind it, and Gemini 3 would refuse"
    elif not isinstance(number, int) or number < one.turn_start:
        sentence += "; it is of an earlier turn, which Vertex does not check"
    else:
        return Finding((one.number,), sentence)
    return Finding((one.number,), sentence, is_harmless=True)
