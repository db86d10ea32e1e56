"""Verdicts on thought signatures: dropped, or moved to another place."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from emulator.catalogue.models import find_model
from emulator.engine.request.history import MODEL_ROLES, PastCall, calls_of, is_result
from emulator.engine.signatures import BYPASSES
from emulator.verdicts.observation import Finding, Observation, ObservedCall
from emulator.wire.json_text import dump
from emulator.wire.requests import write_place


def find_dropped(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Find calls sent back without the signature they were answered with, where the request has it nowhere else either."""
    for one, call, expected in _unsigned_calls(observations):
        if not _is_anywhere(expected, one):
            sentence = f"{_describe(call)} came back without the thought signature it was answered with"
            yield Finding((one.number,), sentence, is_harmless=not _is_enforced(one, call))


def find_moved(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Find signatures sent back in another place than on their call."""
    for one, call, expected in _unsigned_calls(observations):
        if _is_anywhere(expected, one):
            sentence = f"{_describe(call)} does not carry its own thought signature, which came back in another place"
            yield Finding((one.number,), sentence, is_harmless=not _is_enforced(one, call))


def _unsigned_calls(observations: Sequence[Observation]) -> Iterator[tuple[Observation, PastCall, frozenset[str]]]:
    """The calls sent back with a wrong signature or none, and the signatures they should carry."""
    answered: defaultdict[str, list[ObservedCall]] = defaultdict(list)
    for one in observations:
        for number, message in enumerate(one.messages):
            for call in calls_of(message, number):
                issued = [made.signature for made in answered[call.id or ""] if _is_same_call(made, call)]
                given = call.google.get("thought_signature")
                is_valid = given in issued or (isinstance(given, str) and given in BYPASSES)
                if issued and all(issued) and not call.legacy and not is_valid:
                    yield one, call, frozenset(signature for signature in issued if signature)
        for made in one.answer.calls:
            answered[made.id].append(made)


def _is_same_call(made: ObservedCall, call: PastCall) -> bool:
    return made.name == call.name and (bool(made.id) or made.arguments == call.arguments)


def _is_anywhere(signatures: frozenset[str], one: Observation) -> bool:
    sent = dump(one.request)
    return any(dump(signature) in sent for signature in signatures)


def _is_enforced(one: Observation, call: PastCall) -> bool:
    """Documented: from Gemini 3 on, in the current turn, which is everything after the last message of the user."""
    card = find_model(one.model)
    number = call.place[1]
    behind = one.messages[number:] if isinstance(number, int) else ()
    is_current = all(message.get("role") in MODEL_ROLES or is_result(message) for message in behind)
    return card is not None and card.enforces_signatures and is_current


def _describe(call: PastCall) -> str:
    return f"the call of {call.name} in {write_place(call.place)}"
