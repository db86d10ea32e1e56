"""Results of a sweep, in which a client runs once in each variation of the emulator's behaviour, and their table."""

import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from textwrap import shorten
from typing import Any, Literal, get_args

from emulator.catalogue.variations import Variation
from emulator.verdicts.registry import Verdict

Result = Literal["survived", "wrong answer", "crashed", "hung", "not met"]
"""The same output; another output; another exit status; killed after the timeout; or no answer was affected."""

FINE: frozenset[Result] = frozenset({"survived", "not met"})
COLOURS: dict[Result, str] = {
    "survived": "green",
    "wrong answer": "red",
    "crashed": "red",
    "hung": "red",
    "not met": "yellow",
}

_WIDTH = 120
_SEPARATOR = "  "
_MAX_QUOTE = 30
"""Characters of a line of output that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a program."""

    status: int | None
    """Its exit status, negative for a signal; None if it was killed after the timeout."""
    out: bytes = b""
    err: bytes = b""
    seconds: float = 0.0
    requests: int = 0
    is_met: bool = True
    """Whether the variation changed at least one answer."""
    warnings: tuple[str, ...] = ()
    """Warnings of its answers, among them why a fault had no effect."""
    verdicts: tuple[Verdict, ...] = ()
    unrouted: tuple[str, ...] = ()
    """What it asked for that nothing routes, each with what was probably meant."""
    unanswered: tuple[str, ...] = ()
    """What no rule answered, each as a sentence."""

    @property
    def last_error_line(self) -> str:
        """The last line on stderr that is not blank."""
        return next((line for line in reversed(_printable_lines(self.err)) if line.strip()), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The result of one variation."""

    variation: str
    effect: str
    result: Result
    detail: str = ""
    requests: int = 0
    seconds: float = 0.0
    verdicts: Sequence[dict[str, Any]] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """All fields, as JSON."""
        return asdict(self)


def compare_runs(variation: Variation, run: Run, undisturbed: Run, *, has_fixed_output: bool) -> Row:
    """Compare a run with the undisturbed one; outputs are not compared if they differ between undisturbed runs."""
    result, detail = _classify(run, undisturbed, has_fixed_output=has_fixed_output)
    return Row(
        variation=variation.name,
        effect=variation.effect,
        result=result,
        detail=detail,
        requests=run.requests,
        seconds=round(run.seconds, 3),
        verdicts=tuple(asdict(verdict) for verdict in run.verdicts),
    )


def _classify(run: Run, undisturbed: Run, *, has_fixed_output: bool) -> tuple[Result, str]:
    if run.status is None:
        return "hung", f"killed after {run.seconds:.0f} s"
    if run.status != undisturbed.status:
        return "crashed", describe_end(run)
    if has_fixed_output and run.out != undisturbed.out:
        return "wrong answer", describe_difference(undisturbed.out, run.out)
    if not run.is_met:
        why = run.warnings[0] if run.warnings else "its answers were the same as ever"
        return "not met", why if run.requests else "no request reached the emulator"
    return "survived", ""


def describe_end(run: Run) -> str:
    """Say how a run ended, with its last line on stderr."""
    if run.status is None:
        return f"it did not end within {run.seconds:{'.0f' if run.seconds >= 1 else '.1g'}} s"
    end = f"status {run.status}" if run.status >= 0 else f"ended by {signal.Signals(-run.status).name}"
    return f"{end}: {run.last_error_line}" if run.last_error_line else end


def describe_difference(wanted: bytes, got: bytes) -> str:
    """Quote the first line in which two outputs differ, from shortly before the difference."""
    for number, (one, other) in enumerate(zip_longest(_printable_lines(wanted), _printable_lines(got)), start=1):
        if one != other:
            start = max(0, _common_prefix_length(one or "", other or "") - _MAX_QUOTE // 2)
            return f"line {number}: wanted {_quote(one, start)}, got {_quote(other, start)}"
    return "the ends of its lines"


def _common_prefix_length(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _quote(line: str | None, start: int) -> str:
    if line is None:
        return "nothing"
    shown = ("…" if start else "") + line[start : start + _MAX_QUOTE] + ("…" if len(line) > start + _MAX_QUOTE else "")
    return f'"{shown}"'


def _printable_lines(text: bytes) -> list[str]:
    """Decode output into lines; control characters become spaces."""
    lines = text.decode("utf-8", "replace").split("\n")
    return ["".join(char if char.isprintable() else " " for char in line) for line in lines]


Paint = Callable[[str, Result], str]
"""Adds the colour of a result to a text."""


class Table:
    """Formats the table of a sweep row by row; the names of all variations are needed first for the width of the column."""

    def __init__(self, names: Iterable[str], paint: Paint = lambda text, _result: text) -> None:
        self._name_width = max((len(name) for name in (*names, "variation")), default=0)
        self._result_width = max(map(len, get_args(Result)))
        self._paint = paint

    def head(self) -> str:
        """Return the header line."""
        return self._line("variation", "result".ljust(self._result_width), "requests", "seconds", "what happens")

    def lines(self, row: Row) -> Iterator[str]:
        """Format a row: its cells, then a line for its detail and one for each verdict."""
        result = self._paint(row.result.ljust(self._result_width), row.result)
        left = self._name_width + self._result_width + len("requests") + len("seconds") + 4 * len(_SEPARATOR)
        yield self._line(
            row.variation,
            result,
            str(row.requests),
            f"{row.seconds:.1f}",
            shorten(row.effect, _WIDTH - left, placeholder=" …"),
        )
        indent = " " * self._name_width + _SEPARATOR
        for more in filter(None, (row.detail, *map(_describe_verdict, row.verdicts))):
            width = _WIDTH - len(indent)
            yield indent + (more if len(more) <= width else more[: width - 1] + "…")

    def _line(self, name: str, result: str, requests: str, seconds: str, effect: str) -> str:
        cells = (
            name.ljust(self._name_width),
            result,
            requests.rjust(len("requests")),
            seconds.rjust(len("seconds")),
            effect,
        )
        return _SEPARATOR.join(cells)


def _describe_verdict(verdict: dict[str, Any]) -> str:
    numbers = verdict["exchanges"]
    shown = ", ".join(f"#{number}" for number in numbers[:3]) + (", …" if len(numbers) > len(numbers[:3]) else "")
    return f"{verdict['severity']}: {verdict['name']} ({shown})"


def summarize(rows: Sequence[Row]) -> str:
    """Return a line with the number of runs for each result."""
    counts = Counter(row.result for row in rows)
    labels = {"wrong answer": "wrong answers"} if counts["wrong answer"] > 1 else {}
    found = ", ".join(f"{counts[one]} {labels.get(one, one)}" for one in get_args(Result) if counts[one])
    return f"{len(rows)} variation{'' if len(rows) == 1 else 's'}{': ' if found else ''}{found}"
