"""Whether the quotas of a scenario can be kept."""

from collections.abc import Iterator

from emulator.errors import Problem
from emulator.scenario.error_names import explain_unknown_error
from emulator.scenario.grammar import Loc
from emulator.scenario.quota import Quota, Quotas
from emulator.scenario.source import Source


def list_quotas(quotas: Quotas | None, loc: Loc = ("quota",)) -> list[tuple[Loc, Quota]]:
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
