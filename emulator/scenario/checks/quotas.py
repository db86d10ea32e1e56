"""Whether the quotas of a scenario can be kept."""

from collections.abc import Iterator

from emulator.catalogue import errors as catalogue
from emulator.errors import Problem
from emulator.scenario.grammar import ModelLoc
from emulator.scenario.quota import Quota, Quotas
from emulator.scenario.yaml import Source
from emulator.suggestions import find_near, join, quote

_LONGEST_KEY = 100


def explain_unknown_error(key: int | str) -> str | None:
    """What is wrong with a number, a status or a name of an error, with the nearest correct spelling; None if nothing is."""
    text = str(key)
    if len(text) <= _LONGEST_KEY and catalogue.find(key) is not None:
        return None
    known = catalogue.names()
    near = None if text.isdecimal() else find_near(text, known)
    numbers = [name for name in known if name.isdecimal()]
    hint = f'did you mean "{near}"?' if near else f"use {join(numbers, 'or')}, a status such as UNAVAILABLE, or a name"
    return f"the error catalogue has no {quote(key)}; {hint}"


def list_quotas(quotas: Quotas | None, loc: ModelLoc = ("quota",)) -> list[tuple[ModelLoc, Quota]]:
    """The quotas as a list, each with its way in the file."""
    if quotas is None:
        return []
    if isinstance(quotas, Quota):
        return [(loc, quotas)]
    return [((*loc, number), quota) for number, quota in enumerate(quotas)]


def check_quotas(quotas: Quotas | None, source: Source) -> Iterator[Problem]:
    """Every problem of a scenario's `quota`."""
    for loc, quota in list_quotas(quotas):
        limits = ("requests_per_minute", "tokens_per_minute", "concurrent")
        if not quota.model_fields_set.intersection(limits):
            message = 'this quota limits nothing; it needs "requests_per_minute", "tokens_per_minute" or "concurrent"'
            yield source.problem(source.place(loc), message)
        unknown = explain_unknown_error(quota.on_excess)
        if unknown is not None:
            yield source.problem(source.place((*loc, "on_excess")), unknown)
