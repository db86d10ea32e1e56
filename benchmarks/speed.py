"""Speed and memory of this emulator beside others: `python -m benchmarks.speed`."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cases import CASES, SAME_CASES, Field
from benchmarks.load import install_wrk
from benchmarks.measuring import describe_machine
from benchmarks.memory import measure_memory, measure_starts
from benchmarks.report import Results, draw_chart, list_promises, write_report
from benchmarks.subjects import ROOT, Subject, UnavailableError
from benchmarks.subjects.aimock import SUBJECT as AIMOCK
from benchmarks.subjects.bare import SUBJECT as BARE
from benchmarks.subjects.emulator import ALL_WORKERS, BASELINE, LOGGING, ONE_WORKER, name_baseline
from benchmarks.subjects.fakellm import SUBJECT as FAKELLM
from benchmarks.subjects.mocktopus import SUBJECT as MOCKTOPUS
from benchmarks.subjects.stubllm import SUBJECT as STUBLLM

SUBJECTS = (
    ONE_WORKER,
    *((BASELINE,) if name_baseline() else ()),
    LOGGING,
    ALL_WORKERS,
    BARE,
    AIMOCK,
    STUBLLM,
    MOCKTOPUS,
    FAKELLM,
)
START, MEMORY = "start", "memory"
DOCUMENT, CHART = ROOT / "docs" / "speed.md", ROOT / "docs" / "speed.svg"
BEGIN, END = "<!-- Measured: python -m benchmarks.speed --write -->", "<!-- end -->"
PATIENCE = 20.0
"""Seconds of requests for memory's sake that are enough for servers so slow that they cannot answer all of them."""


def read_options(arguments: Sequence[str] | None = None) -> Namespace:
    """The options of the command line."""
    parser = ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    names = ", ".join([*(case.name for case in (*CASES, *SAME_CASES)), START, MEMORY])
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count; one more comes first (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a measurement (default 3)")
    parser.add_argument("--only", action="append", metavar="GLOB", help=f"measure only some of: {names}")
    parser.add_argument("--subject", action="append", metavar="GLOB", help="measure only some of the servers")
    parser.add_argument("--requests", type=int, default=200_000, help="requests for memory (default 200,000)")
    parser.add_argument("--pin", action="store_true", help="servers of one worker to processor 0, the load to 1")
    parser.add_argument("--write", action="store_true", help="put the report into docs/speed.md and docs/speed.svg")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure and print the report; status 1 if an answer of the emulator was wrong or a promise does not hold."""
    options = read_options()
    busy = os.getloadavg()[0]
    install_wrk()
    results = find_subjects(options.subject)
    with TemporaryDirectory() as folder:
        measure(results, options, Path(folder))
    report = "\n\n".join([describe_run(options, busy), *write_report(results)])
    print(report)
    if options.write:
        chart = "\n\n![Answers and chunks per second of all that were measured](speed.svg)"
        CHART.write_text(draw_chart(results), "utf-8")
        DOCUMENT.write_text(put_between(DOCUMENT.read_text("utf-8"), report + chart), "utf-8")
    sys.exit(not all(promise.holds for promise in list_promises(results)))


def find_subjects(only: Sequence[str] | None = None) -> Results:
    """Who can be measured here, after installing them, and who cannot."""
    found: list[Subject] = []
    versions, missing = {}, {}
    wanted = [one for one in SUBJECTS if only is None or any(fnmatch(one.name, pattern) for pattern in only)]
    for subject in wanted:
        try:
            versions[subject.name] = subject.install()
            found.append(subject)
        except UnavailableError as why:
            missing[subject.name] = str(why)
            notify(f"without {subject.name}: {why}")
    return Results(found, versions, missing)


def measure(results: Results, options: Namespace, folder: Path) -> None:
    """Measure what the options say and add it to the results."""

    def wanted(name: str) -> bool:
        return options.only is None or any(fnmatch(name, pattern) for pattern in options.only)

    cases = [case for case in (*CASES, *SAME_CASES) if wanted(case.name)]
    if wanted(START):
        notify("start")
        results.starts = measure_starts(results.subjects, folder, options.rounds)
    if cases:
        with Field(results.subjects, folder, seconds=options.seconds, pinned=options.pin) as field:
            results.rates = field.measure(cases, options.rounds, notify)
    if wanted(MEMORY):
        results.memory = measure_memory(results.subjects, folder, options.requests, PATIENCE, notify)


def describe_run(options: Namespace, busy: float) -> str:
    """Where and how it was measured; `busy` is the load of the machine before."""
    pinned = "servers of one worker on one processor, the load on another" if options.pin else "no process pinned"
    return (
        f"{describe_machine()}, load before {busy:.1f}; wrk on one thread, {pinned}. Medians of {options.rounds} rounds of {options.seconds} s each, "
        "in which all take turns, after one that does not count."
    )


def put_between(document: str, report: str) -> str:
    """The document with the report in its place. Raises ValueError if it has none."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"no {BEGIN} with an {END} after it")
    return f"{before}{BEGIN}\n\n{report}\n\n{END}{after}"


def notify(line: str) -> None:
    """Say how far it is."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
