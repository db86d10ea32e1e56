"""Bodies that cannot be read at all."""

from emulator.engine.refusing import refuse, values_for
from emulator.wire.refusals import Refusal
from emulator.wire.requests import MalformedRequestError
from emulator.wire.targets import Target


def refuse_malformed(error: MalformedRequestError, target: Target) -> Refusal:
    """The refusal of a body that is not JSON, or whose JSON has the wrong shape (status documented, texts assumed)."""
    if error.is_json:
        return refuse("generic_invalid_argument", values_for(target), place=error.place, explanation=error.explanation)
    message = f"Invalid JSON payload received. {error.explanation[:1].upper()}{error.explanation[1:]}\n{error.snippet}"
    return refuse(
        "invalid_json_payload", values_for(target), place=error.place, explanation=error.explanation, message=message
    )
