"""Sweeps: what became of a client on each bad day, and the table that says so."""

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
"""As undisturbed; another output though the end was good; a bad end; no end in time; or nothing was disturbed after all."""

FINE: frozenset[Result] = frozenset({"survived", "not met"})
COLOURS: dict[Result, str] = {
    "survived": "green",
    "wrong answer": "red",
    "crashed": "red",
    "hung": "red",
    "not met": "yellow",
}

_WIDTH = 120
_GAP = "  "
_SHOWN = 30
"""Characters of a line of output that are shown; only beginnings that differ are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a program."""

    status: int | None
    """Its exit status, negative for a signal; None if it was killed because it did not end in time."""
    out: bytes = b""
    err: bytes = b""
    seconds: float = 0.0
    requests: int = 0
    is_met: bool = True
    """Whether an answer was another than it would have been without the variation."""
    warnings: tuple[str, ...] = ()
    """Why a fault had no effect, where it had none."""
    verdicts: tuple[Verdict, ...] = ()

    @property
    def last_words(self) -> str:
        """The last line on stderr."""
        return next((line for line in reversed(_lines(self.err)) if line.strip()), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of a client in one variation."""

    variation: str
    effect: str
    result: Result
    detail: str = ""
    requests: int = 0
    seconds: float = 0.0
    verdicts: Sequence[dict[str, Any]] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


def read_row(variation: Variation, run: Run, undisturbed: Run, *, has_fixed_output: bool) -> Row:
    """What a run says, measured by the undisturbed one; outputs are not compared if they differ by themselves."""
    result, detail = _judge(run, undisturbed, has_fixed_output=has_fixed_output)
    return Row(
        variation=variation.name,
        effect=variation.effect,
        result=result,
        detail=detail,
        requests=run.requests,
        seconds=round(run.seconds, 3),
        verdicts=tuple(asdict(verdict) for verdict in run.verdicts),
    )


def _judge(run: Run, undisturbed: Run, *, has_fixed_output: bool) -> tuple[Result, str]:
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
    """How a run ended, with its last line on stderr."""
    if run.status is None:
        return f"it did not end within {run.seconds:.0f} s"
    end = f"status {run.status}" if run.status >= 0 else f"ended by {signal.Signals(-run.status).name}"
    return f"{end}: {run.last_words}" if run.last_words else end


def describe_difference(wanted: bytes, got: bytes) -> str:
    """The first line in which two outputs differ, from a little before the place where they do."""
    for number, (one, other) in enumerate(zip_longest(_lines(wanted), _lines(got)), start=1):
        if one != other:
            start = max(0, _common(one or "", other or "") - _SHOWN // 2)
            return f"line {number}: wanted {_quote(one, start)}, got {_quote(other, start)}"
    return "the ends of its lines"


def _common(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _quote(line: str | None, start: int) -> str:
    if line is None:
        return "nothing"
    shown = ("…" if start else "") + line[start : start + _SHOWN] + ("…" if len(line) > start + _SHOWN else "")
    return f'"{shown}"'


def _lines(text: bytes) -> list[str]:
    """The lines, without what would make a terminal do something."""
    lines = text.decode("utf-8", "replace").split("\n")
    return ["".join(char if char.isprintable() else " " for char in line) for line in lines]


Paint = Callable[[str, Result], str]
"""What gives a result its colour."""


class Table:
    """The table of a sweep, a row at a time: its names are known before its rows are."""

    def __init__(self, names: Iterable[str], paint: Paint = lambda text, _result: text) -> None:
        self._name = max((len(name) for name in (*names, "variation")), default=0)
        self._result = max(map(len, get_args(Result)))
        self._paint = paint

    def head(self) -> str:
        """The line above all rows."""
        return self._line("variation", "result".ljust(self._result), "requests", "seconds", "what happens")

    def lines(self, row: Row) -> Iterator[str]:
        """The lines of a row: the cells, then what more there is to say."""
        result = self._paint(row.result.ljust(self._result), row.result)
        left = self._name + self._result + len("requests") + len("seconds") + 4 * len(_GAP)
        yield self._line(
            row.variation,
            result,
            str(row.requests),
            f"{row.seconds:.1f}",
            shorten(row.effect, _WIDTH - left, placeholder=" …"),
        )
        indent = " " * self._name + _GAP
        for more in filter(None, (row.detail, *map(_describe, row.verdicts))):
            fits = _WIDTH - len(indent)
            yield indent + (more if len(more) <= fits else more[: fits - 1] + "…")

    def _line(self, name: str, result: str, requests: str, seconds: str, effect: str) -> str:
        cells = (name.ljust(self._name), result, requests.rjust(len("requests")), seconds.rjust(len("seconds")), effect)
        return _GAP.join(cells)


def _describe(verdict: dict[str, Any]) -> str:
    numbers = verdict["exchanges"]
    shown = ", ".join(f"#{number}" for number in numbers[:3]) + (", …" if len(numbers) > len(numbers[:3]) else "")
    return f"{verdict['severity']}: {verdict['name']} ({shown})"


def _plural(result: Result, number: int) -> str:
    return "wrong answers" if result == "wrong answer" and number > 1 else result


def sum_up(rows: Sequence[Row]) -> str:
    """How many runs had which result, in a line."""
    counts = Counter(row.result for row in rows)
    results: tuple[Result, ...] = get_args(Result)
    found = ", ".join(f"{counts[result]} {_plural(result, counts[result])}" for result in results if counts[result])
    return f"{len(rows)} variation{'' if len(rows) == 1 else 's'}: {found}"
