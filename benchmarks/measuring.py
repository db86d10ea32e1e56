"""What all benchmarks share: measuring side by side, medians, a table."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from statistics import median

__all__ = ["describe_machine", "interleave", "make_table", "median", "median_difference", "median_ratio"]


def interleave(subjects: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure each subject in turn, round after round, so that what else the machine does meets them alike.

    A subject returns what it measured, in whatever unit. The first round only warms up caches and is not counted.
    """
    measured: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(rounds + 1):
        for name, measure in subjects.items():
            value = measure()
            if number:
                measured[name].append(value)
    return measured


def median_difference(more: Sequence[float], less: Sequence[float]) -> float:
    """The median of the differences between neighbours, which tells small ones better than the difference of medians."""
    return median(one - other for one, other in zip(more, less, strict=True))


def median_ratio(more: Sequence[float], less: Sequence[float]) -> float:
    """The median of the quotients of neighbours, likewise."""
    return median(one / other for one, other in zip(more, less, strict=True) if other)


def make_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with even columns; all but the first are numbers and stand right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return f"| {first[0]:<{first[1]}} | {' | '.join(f'{cell:>{width}}' for cell, width in others)} |"

    rule = f"| {'-' * widths[0]} | {' | '.join('-' * (width - 1) + ':' for width in widths[1:])} |"
    return "\n".join([line(head), rule, *map(line, rows)])


def describe_machine() -> str:
    """What the figures depend on and anybody may know."""
    return f"{os.cpu_count()} CPUs ({platform.machine()}), {platform.system()}, {platform.python_implementation()} {platform.python_version()}"
