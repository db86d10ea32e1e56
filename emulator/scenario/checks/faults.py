"""Checks of faults and paces."""

from collections.abc import Iterator

from emulator.errors import Problem
from emulator.scenario.checks.error_names import explain_unknown_error
from emulator.scenario.faults import ChunkPosition, Fail, FaultPosition, PlacedFail
from emulator.scenario.pace import Pace
from emulator.scenario.templates.template import is_template
from emulator.scenario.types import Model
from emulator.scenario.yaml import Location, Source

_POSITION_KEYS = tuple(FaultPosition.model_fields)


def check_fault(part: Model, loc: Location, source: Source) -> Iterator[Problem]:
    """Whether a fault has one position and a known error, and a pace one rate."""
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
