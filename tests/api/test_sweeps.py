"""What a run says when it is measured by the undisturbed one, and how that is shown."""

import pytest

from emulator.api.sweeps import Result, Row, Run, Table, compare_runs, summarize
from emulator.catalogue.variations import Variation

GOOD = Run(status=0, out=b"yes\n", requests=1)
BAD_DAY = Variation("bad_day", "it rains")


@pytest.mark.parametrize(
    ("run", "result", "detail"),
    [
        (GOOD, "survived", ""),
        (Run(status=0, out=b"yes\n", err=b"oh\n", requests=2), "survived", ""),
        (Run(status=None, out=b"yes\n", seconds=10.01), "hung", "killed after 10 s"),
        (Run(status=1, out=b"yes\n", err=b"Traceback\n\x1b[31mno\n\n"), "crashed", "status 1:  [31mno"),
        (Run(status=-11, out=b"yes\n"), "crashed", "ended by SIGSEGV"),
        (Run(status=0, out=b"yes\nno\n"), "wrong answer", 'line 2: wanted "", got "no"'),
        (Run(status=0, out=b""), "wrong answer", 'line 1: wanted "yes", got ""'),
        (Run(status=0, out=b"yes\n", is_met=False), "not met", "no request reached the emulator"),
        (Run(status=0, out=b"yes\n", is_met=False, requests=1), "not met", "its answers were the same as ever"),
        (Run(status=0, out=b"yes\n", is_met=False, requests=1, warnings=("no place",)), "not met", "no place"),
        (Run(status=1, is_met=False), "crashed", "status 1"),
    ],
)
def test_results(run: Run, result: Result, detail: str) -> None:
    """A bad exit status takes precedence over a wrong output, and both over `not met`."""
    row = compare_runs(BAD_DAY, run, GOOD, has_fixed_output=True)
    assert (row.result, row.detail) == (result, detail)


def test_outputs_are_not_compared_if_they_differ_by_themselves() -> None:
    """If undisturbed outputs differ, only the exit status counts."""
    other = Run(status=0, out=b"no\n")
    assert compare_runs(BAD_DAY, other, GOOD, has_fixed_output=False).result == "survived"
    assert compare_runs(BAD_DAY, Run(status=2), GOOD, has_fixed_output=False).result == "crashed"


def test_differences_deep_in_a_line_are_shown_where_they_are() -> None:
    """Text long before and after the difference is left out."""
    wanted, got = Run(status=0, out=b"a" * 500 + b"b" * 500), Run(status=0, out=b"a" * 500 + b"c")
    row = compare_runs(BAD_DAY, got, wanted, has_fixed_output=True)
    assert row.detail == f'line 1: wanted "…{"a" * 15}{"b" * 15}…", got "…{"a" * 15}c"'


def test_no_line_of_the_table_is_wider_than_a_terminal() -> None:
    """Long lines of output, effects and lists of requests are shortened."""
    verdict = {"name": "retry_storm", "severity": "error", "exchanges": list(range(1, 500))}
    row = Row(
        variation="bad_day",
        effect="rain " * 50,
        result="crashed",
        detail="x" * 500,
        seconds=3600.04,
        verdicts=[verdict],
    )
    table = Table(["bad_day"])
    lines = [table.head(), *table.lines(row)]
    assert max(map(len, lines)) <= 120
    assert lines[-1] == "           error: retry_storm (#1, #2, #3, …)"


def test_results_can_be_coloured() -> None:
    """Only the result is coloured, and columns stay aligned."""
    row = Row(variation="bad_day", effect="it rains", result="hung")
    painted = next(Table([], lambda text, result: f"<{result}:{text}>").lines(row))
    assert painted == "bad_day    <hung:hung        >         0      0.0  it rains"


def test_summary() -> None:
    """The summary counts each result that occurred, in a fixed order."""
    rows = [
        Row(variation="", effect="", result=result) for result in ("hung", "wrong answer", "survived", "wrong answer")
    ]
    assert summarize(rows) == "4 variations: 1 survived, 2 wrong answers, 1 hung"
    assert summarize(rows[:1]) == "1 variation: 1 hung"
