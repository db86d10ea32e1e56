"""Parameters that are not known."""

from emulator.engine.vetting.case import Case
from emulator.wire.refusals import Refusal
from emulator.wire.shapes import ChatRequest

_KNOWN = frozenset(ChatRequest.__annotations__)


def check_parameters(case: Case) -> Refusal | None:
    """Documented: parameters that are not known are ignored. The quirk refuses them as the Gemini API does (observed)."""
    if "unknown_fields_refused" not in case.policy.quirks:
        return None
    unknown = next((key for key in case.facts.request if key not in _KNOWN), None)
    if unknown is None:
        return None
    explanation = f'"{unknown}" is no parameter; the quirk unknown_fields_refused is on, so take it out'
    return case.refuse("unknown_field_gemini_api", (unknown,), explanation, FIELD=unknown)
