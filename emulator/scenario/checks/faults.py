"""Whether what is said about faults and pace fits together."""

from collections.abc import Iterator

from emulator.catalogue import errors as catalogue
from emulator.errors import Problem
from emulator.scenario.faults import Chunks, Cut, Fail, Odds, PlacedFail, Spot, Stall
from emulator.scenario.grammar import ModelLoc
from emulator.scenario.pace import Pace
from emulator.scenario.templates.template import is_template
from emulator.scenario.types import Model
from emulator.scenario.yaml import Source
from emulator.suggestions import find_near, join, quote

_LONGEST_KEY = 100
_ODDS = tuple(Odds.model_fields)
_SPOT = tuple(Spot.model_fields)


def ends_reply(step: Model) -> str | None:
    """The verb of a step behind which no other is reached; None where others may be."""
    if not isinstance(step, Odds) or any(getattr(step, key) is not None for key in _ODDS):
        return None
    match step:
        case Fail():
            return "fail"
        case Cut():
            return "cut"
        case Stall(stall="forever"):
            return "stall"
    return None


def check_mishap(part: Model, loc: ModelLoc, source: Source) -> Iterator[Problem]:
    """Whether a fault happens in one place with an error that there is, and whether a pace has one rate."""
    if isinstance(part, Pace) and part.every_ms is not None and part.tokens_per_second is not None:
        message = 'chunks come by "tokens_per_second" or by "every_ms", not both'
        yield source.problem(source.key_place((*loc, "every_ms")), message)
    if isinstance(part, Fail):
        yield from _check_fail(part, loc, source)
    if isinstance(part, Chunks):
        given = [key for key in _SPOT if getattr(part, key, None) is not None]
        if len(given) > 1:
            message = f'a fault happens in one place: it has "{given[0]}" or "{given[1]}", not both'
            yield source.problem(source.key_place((*loc, given[1])), message)
    if isinstance(part, PlacedFail) and part.after_chunks is not None and part.status is not None:
        message = (
            'a failure inside a stream cannot change the HTTP status any more; leave "status" or "after_chunks" out'
        )
        yield source.problem(source.key_place((*loc, "status")), message, "warning")


def _check_fail(step: Fail, loc: ModelLoc, source: Source) -> Iterator[Problem]:
    key = step.fail
    text = str(key)
    if is_template(text) or (len(text) <= _LONGEST_KEY and catalogue.find(key) is not None):
        return
    known = catalogue.names()
    near = None if text.isdecimal() else find_near(text, known)
    numbers = [name for name in known if name.isdecimal()]
    hint = f'did you mean "{near}"?' if near else f"use {join(numbers, 'or')}, a status such as UNAVAILABLE, or a name"
    yield source.problem(source.place((*loc, "fail")), f"the error catalogue has no {quote(key)}; {hint}")
