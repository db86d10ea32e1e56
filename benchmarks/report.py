"""What the measurements say: tables, a chart, and whether the promises hold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.cases import CASES, SAME_CASES, Case, Rates
from benchmarks.chart import LIMIT, OURS, Panel, draw
from benchmarks.measuring import make_table, median, median_ratio
from benchmarks.memory import Footprint
from benchmarks.situations import HISTORY, LONG_STREAM, ONE_RULE, PLAIN, SOME_RULES, STREAM
from benchmarks.subjects import Subject
from benchmarks.subjects.emulator import ALL_WORKERS, LOGGING, WORKERS, name_baseline

EMULATOR, BARE, AIMOCK = "emulator", "bare callable", "aimock"
GROWTH = 2.0
"""MiB that are no growth: what an allocator keeps differs from look to look."""

PLAIN_CASE, STREAM_CASE = Case(PLAIN).name, Case(STREAM).name
PLAIN_ONE = Case(PLAIN, ONE_RULE).name
PLAIN_SOME, STREAM_SOME = Case(PLAIN, SOME_RULES).name, Case(STREAM, SOME_RULES).name
LONG_CASE, HISTORY_CASE = Case(LONG_STREAM).name, Case(HISTORY, ONE_RULE).name


@dataclass
class Results:
    """All that was measured; what was not is empty."""

    subjects: Sequence[Subject]
    versions: Mapping[str, str]
    missing: Mapping[str, str]
    """Who could not be measured, and why."""
    rates: Rates = field(default_factory=Rates)
    starts: Mapping[str, Sequence[float]] = field(default_factory=dict)
    memory: Mapping[str, Footprint] = field(default_factory=dict)

    def ratio(self, case: str, one: str, other: str) -> float | None:
        """How many times as many answers one gives as another."""
        measured = self.rates.of.get(case, {})
        return median_ratio(measured[one], measured[other]) if one in measured and other in measured else None

    def between(self, one: str, other: str) -> float | None:
        """The same of the emulator in two cases."""
        first, second = (self.rates.of.get(case, {}).get(EMULATOR) for case in (one, other))
        return median_ratio(first, second) if first and second else None

    def chunk_ratio(self) -> float | None:
        """How many times as many chunks the emulator sends in a second as the quickest peer."""
        chunks = {subject.name: subject.chunks(LONG_STREAM) for subject in self.subjects}
        measured = self.rates.of.get(LONG_CASE, {})
        others = {
            peer.name: median(measured[peer.name]) * chunks[peer.name]
            for peer in self.subjects
            if peer.peer and peer.name in measured
        }
        if EMULATOR not in measured or not others:
            return None
        best = max(others, key=others.__getitem__)
        return median_ratio(measured[EMULATOR], measured[best]) * chunks[EMULATOR] / chunks[best]

    def quickest_python_start(self) -> float | None:
        """Seconds until the first answer of the peer in Python that starts quickest."""
        python = [
            median(self.starts[one.name])
            for one in self.subjects
            if one.peer and one.name != AIMOCK and one.name in self.starts
        ]
        return min(python, default=None)


@dataclass(frozen=True)
class Promise:
    """Something that has to hold; without a figure it was not measured."""

    title: str
    figure: float | None
    bound: float
    at_least: bool = True
    digits: int = 2

    @property
    def holds(self) -> bool:
        """Whether it does."""
        if self.figure is None:
            return False
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Its line in the table."""
        sign = "at least" if self.at_least else "at most"
        said = "" if self.figure is None else f"{self.figure:.{self.digits}f}"
        return self.title, f"{sign} {self.bound:.{self.digits}f}", said, "yes" if self.holds else "**no**"


def list_promises(results: Results) -> Iterator[Promise]:
    """What the emulator has to be, beside what it is; only what was measured."""
    yield from (promise for promise in _all_promises(results) if promise.figure is not None)


def _all_promises(results: Results) -> Iterator[Promise]:
    for title, case in (
        ("plain, 100 rules", PLAIN_SOME),
        ("plain, 500 rules", PLAIN_CASE),
        ("8 chunks, 100 rules", STREAM_SOME),
        ("8 chunks, 500 rules", STREAM_CASE),
    ):
        yield Promise(f"{title}, times the bare callable", results.ratio(case, EMULATOR, BARE), 0.5)
        yield Promise(f"{title}, times aimock", results.ratio(case, EMULATOR, AIMOCK), 1.8)
    yield Promise("200 chunks, chunks per second, times the quickest peer", results.chunk_ratio(), 3)
    yield Promise("plain, log on, times without", results.ratio(PLAIN_CASE, LOGGING.name, EMULATOR), 0.8)
    yield Promise(
        "200 messages, 1 rule, times the time of 1", results.between(PLAIN_ONE, HISTORY_CASE), 3, at_least=False
    )
    yield Promise(
        f"{WORKERS} workers, 200 messages, times one worker",
        results.ratio(HISTORY_CASE, ALL_WORKERS.name, EMULATOR),
        0.8 * WORKERS,
    )
    for subject in results.subjects:
        if subject.name == name_baseline():
            for title, case in (("plain, 500 rules", PLAIN_CASE), ("200 messages, 1 rule", HISTORY_CASE)):
                yield Promise(f"{title}, times {subject.name}", results.ratio(case, EMULATOR, subject.name), 1)
    start, quickest = results.starts.get(EMULATOR), results.quickest_python_start()
    yield Promise("first answer, s", median(start) if start else None, 0.35, at_least=False)
    if start and quickest:
        yield Promise("first answer, s, the quickest peer in Python", median(start), quickest, at_least=False)
    memory = results.memory.get(EMULATOR)
    if memory:
        yield Promise("idle memory, MB", memory.idle, 60, at_least=False, digits=0)
        title = f"growth from {memory.early_requests:,} to {memory.late_requests:,} requests, MB"
        yield Promise(title, memory.growth, GROWTH, at_least=False, digits=1)
    if results.rates.of:
        wrong = len(results.rates.wrong.get(EMULATOR, ())) + (memory.errors if memory else 0)
        yield Promise("wrong answers and errors", wrong, 0, at_least=False, digits=0)


def write_report(results: Results) -> Iterator[str]:
    """The parts of the report, as Markdown."""
    names = [subject.name for subject in results.subjects]
    promises = list(list_promises(results))
    if promises:
        yield make_table(
            ("one worker, 500 rules, 16 connections", "wanted", "measured", "holds"), [one.row for one in promises]
        )
    if results.rates.of:
        yield "Answers per second:"
        measured = [(case, results.rates.of[case.name]) for case in CASES if case.name in results.rates.of]
        yield make_table(
            ("", *names),
            [(case.title, *(_rate(rates.get(name)) for name in names)) for case, rates in measured],
        )
    if results.starts or results.memory:
        yield "Time until the first answer, with one rule, and memory (resident):"
        yield _memory_table(results, names)
    yield "\n".join(f"- {line}" for line in _notes(results))


def _rate(measured: Sequence[float] | None) -> str:
    if not measured:
        return "-"
    rate = median(measured)
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"  # noqa: PLR2004  # two digits tell enough


def _memory_table(results: Results, names: Sequence[str]) -> str:
    head = ("", "first answer, s", "idle, MB", "early, MB", "late, MB", "peak, MB", "requests")
    rows = []
    for name in names:
        start, memory = results.starts.get(name), results.memory.get(name)
        said = (
            [f"{part:.0f}" for part in (memory.idle, memory.early, memory.late, memory.peak)]
            + [f"{memory.late_requests:,}"]
            if memory
            else ["-"] * 5
        )
        rows.append((name, f"{median(start):.2f}" if start else "-", *said))
    return make_table(head, rows)


def _notes(results: Results) -> Iterator[str]:
    for subject in results.subjects:
        note = f": {subject.note}" if subject.note else ""
        yield f"{subject.name} ({results.versions[subject.name]}){note}."
    for name, why in results.missing.items():
        yield f"{name}: not measured, {why}."
    for line in dict.fromkeys(results.rates.refused):
        yield f"Not measured: {line}."
    yield from _same_notes(results)
    yield from _load_notes(results)
    yield f"{results.rates.right:,} answers were looked at during the runs and were right."
    for name, wrong in results.rates.wrong.items():
        yield f"{name} had {len(wrong)} that were wrong, or runs with errors; the first: {wrong[0]}."


def _same_notes(results: Results) -> Iterator[str]:
    """What the same request again and again comes to."""
    for case in SAME_CASES:
        if rates := results.rates.of.get(case.name):
            said = ", ".join(f"{name} {median(rate):,.0f}" for name, rate in rates.items())
            yield f"{case.title}, answers per second: {said}."


def _load_notes(results: Results) -> Iterator[str]:
    """What the load itself took where several workers were measured: they share the processors with it."""
    of = results.rates.shares
    shares = [
        (case.title, median(of[case.name][name]))
        for case in CASES
        if (name := ALL_WORKERS.name) in of.get(case.name, ())
    ]
    if shares:
        said = "; ".join(f"{title}: {share:.2f}" for title, share in shares)
        yield f"The load generator's share of a processor, beside {ALL_WORKERS.name}: {said}."


def draw_chart(results: Results) -> str:
    """The chart: answers per second, and chunks per second of long streams, at 16 connections and with 500 rules."""
    names = [subject.name for subject in results.subjects]
    chunks = {subject.name: subject.chunks(LONG_STREAM) for subject in results.subjects}
    shown = (
        ("plain, answers per second", PLAIN_CASE, dict.fromkeys(names, 1)),
        ("streams of 8 chunks, answers per second", STREAM_CASE, dict.fromkeys(names, 1)),
        ("streams of 200 chunks, chunks per second", LONG_CASE, chunks),
    )
    panels = [
        Panel(title, {name: median(rates[name]) * factor[name] for name in names if name in rates})
        for title, case, factor in shown
        if (rates := results.rates.of.get(case))
    ]
    colours = {subject.name: OURS for subject in results.subjects if not subject.peer} | {BARE: LIMIT}
    return draw("One worker, 500 rules, 16 connections", panels, colours)
