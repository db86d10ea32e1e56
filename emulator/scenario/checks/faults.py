"""Whether what is said about faults and pace fits together."""

from collections.abc import Iterator

from emulator.errors import Problem
from emulator.scenario.checks.error_names import explain_unknown_error
from emulator.scenario.faults import ChunkPosition, Cut, Fail, FaultPosition, FaultTrigger, PlacedFail, Stall
from emulator.scenario.pace import Pace
from emulator.scenario.templates.template import is_template
from emulator.scenario.types import Model
from emulator.scenario.yaml import Location, Source

_TRIGGER_KEYS = tuple(FaultTrigger.model_fields)
_POSITION_KEYS = tuple(FaultPosition.model_fields)


def ends_reply(step: Model) -> str | None:
    """The verb of a step behind which no other is reached; None where others may be."""
    if not isinstance(step, FaultTrigger) or any(getattr(step, key) is not None for key in _TRIGGER_KEYS):
        return None
    match step:
        case Fail():
            return "fail"
        case Cut():
            return "cut"
        case Stall(stall="forever"):
            return "stall"
    return None


def check_fault(part: Model, loc: Location, source: Source) -> Iterator[Problem]:
    """Whether a fault happens in one place with an error that there is, and whether a pace has one rate."""
    if isinstance(part, Pace) and part.every_ms is not None and part.tokens_per_second is not None:
        message = 'chunks come by "tokens_per_second" or by "every_ms", not both'
        yield source.problem(source.key_place((*loc, "every_ms")), message)
    if isinstance(part, Fail) and not is_template(str(part.fail)) and (problem := explain_unknown_error(part.fail)):
        yield source.problem(source.place((*loc, "fail")), problem)
    if isinstance(part, ChunkPosition):
        given = [key for key in _POSITION_KEYS if getattr(part, key, None) is not None]
        if len(given) > 1:
            message = f'a fault happens in one place: it has "{given[0]}" or "{given[1]}", not both'
            yield source.problem(source.key_place((*loc, given[1])), message)
    if isinstance(part, PlacedFail) and part.after_chunks is not None and part.status is not None:
        message = (
            'a failure inside a stream cannot change the HTTP status any more; leave "status" or "after_chunks" out'
        )
        yield source.problem(source.key_place((*loc, "status")), message, "warning")
