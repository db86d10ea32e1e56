"""Whether the quotas of a scenario can be kept."""

from collections.abc import Iterator

from emulator.errors import Problem
from emulator.scenario.checks.error_names import explain_unknown_error
from emulator.scenario.quota import Quotas, list_quotas
from emulator.scenario.yaml import Source


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
