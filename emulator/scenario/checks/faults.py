"""Checks of faults, paces and the errors that a scenario names."""

from collections.abc import Iterator, Sequence

from emulator.catalogue import errors as catalogue
from emulator.catalogue.finish_reasons import FINISH_REASONS, NATIVE, is_known
from emulator.errors import Problem
from emulator.scenario.faults import ChunkPosition, Fail, FaultPosition, PlacedFail
from emulator.scenario.pace import Pace
from emulator.scenario.templates.template import is_template
from emulator.scenario.types import Model
from emulator.scenario.yaml import Location, Source
from emulator.suggestions import did_you_mean, find_near, join, quote, suggest_one

_LONGEST_KEY = 100
_SHOWN = 4


def explain_unknown_error(key: int | str) -> str | None:
    """What is wrong with an HTTP status, a status name or an error's name, with a suggestion; None if it is known."""
    if len(str(key)) <= _LONGEST_KEY and catalogue.find(key) is not None:
        return None
    hint = _suggest(str(key), catalogue.names(), "a status such as UNAVAILABLE, or a name")
    return f"the error catalogue has no {quote(key)}; {hint}"


def explain_unknown_token_error(key: int | str) -> str | None:
    """The same for an error of the token endpoints."""
    if len(str(key)) <= _LONGEST_KEY and catalogue.find_token_error(key) is not None:
        return None
    known = catalogue.token_error_names()
    return (
        f"the token endpoints have no error {quote(key)}; {_suggest(str(key), known, f'or a name such as {known[0]}')}"
    )


def explain_unknown_finish(reason: str | None) -> str | None:
    """What is unusual about a finish reason, with a suggestion; None if it is known, or a template that makes one."""
    if reason is None or is_template(reason) or is_known(reason):
        return None
    if known := NATIVE.get(reason.upper()):
        return f"{quote(reason)} is a finish reason of the native routes; this one sends {quote(known)} for it"
    near = suggest_one(reason, FINISH_REASONS) or f"; known are {join(list(FINISH_REASONS)[:_SHOWN], 'and')}"
    return f"no model is known to finish with {quote(reason)}{near}"


def _suggest(text: str, known: Sequence[str], others: str) -> str:
    if not text.isdecimal() and (near := find_near(text, known)):
        return did_you_mean(near)
    return f"use {join([name for name in known if name.isdecimal()], 'or')}, {others}"


_POSITION_KEYS = tuple(FaultPosition.model_fields)


def check_fault(part: Model, loc: Location, source: Source) -> Iterator[Problem]:
    """Whether a fault has one position and a known error, and a pace one rate."""
    if isinstance(part, Pace) and part.every_ms is not None and part.tokens_per_second is not None:
        message = 'chunks come by "tokens_per_second" or by "every_ms", not both'
        yield source.problem(source.key_place((*loc, "every_ms")), message)
    if isinstance(part, Fail):
        is_filled = isinstance(part.fail, str) and is_template(part.fail)
        if not is_filled and (problem := explain_unknown_error(part.fail)):
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
