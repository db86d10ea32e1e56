"""Verdicts on thought signatures: dropped, or moved to another place."""

from collections.abc import Iterator

from emulator.catalogue.models import find_model
from emulator.engine.request.history import PastCall
from emulator.engine.signatures import BYPASSES
from emulator.verdicts.observation import Finding, Observation, Past, identify_call
from emulator.wire.requests import write_place


def find_dropped(one: Observation, past: Past) -> Iterator[Finding]:
    """Find calls sent back without the signature they were answered with, where the request has it nowhere else either."""
    for call, expected in _unsigned_calls(one, past):
        if not _is_anywhere(expected, one):
            sentence = f"{_describe(call)} came back without the thought signature it was answered with"
            yield Finding((one.number,), sentence, is_harmless=not _is_enforced(one, call))


def find_moved(one: Observation, past: Past) -> Iterator[Finding]:
    """Find signatures sent back in another place than on their call."""
    for call, expected in _unsigned_calls(one, past):
        if _is_anywhere(expected, one):
            sentence = f"{_describe(call)} does not carry its own thought signature, which came back in another place"
            yield Finding((one.number,), sentence, is_harmless=not _is_enforced(one, call))


def _unsigned_calls(one: Observation, past: Past) -> Iterator[tuple[PastCall, frozenset[str]]]:
    """The calls sent back with a wrong signature or none, and the signatures they should carry."""
    for call in one.past_calls if past.signatures else ():
        issued = past.signatures.get(identify_call(call.id or "", call.name, call.arguments))
        if issued is None or None in issued or call.legacy:
            continue
        given = call.google.get("thought_signature")
        if not (isinstance(given, str) and (given in issued or given in BYPASSES)):
            yield call, frozenset(signature for signature in issued if signature)


def _is_anywhere(signatures: frozenset[str], one: Observation) -> bool:
    return not signatures.isdisjoint(one.strings)


def _is_enforced(one: Observation, call: PastCall) -> bool:
    """Documented: from Gemini 3 on, in the current turn, which is everything after the last message of the user."""
    card, number = find_model(one.model), call.place[1]
    is_current = isinstance(number, int) and number >= one.turn_start
    return card is not None and card.enforces_signatures and is_current


def _describe(call: PastCall) -> str:
    return f"the call of {call.name} in {write_place(call.place)}"
