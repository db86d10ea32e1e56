"""The marker `vertex_sweep`: runs a test once in each variation and prints a table of the results.

Every pytest run loads it where the package is installed, so heavy modules are imported only when the marker is used.
"""

import fnmatch
from collections.abc import Iterator
from threading import Timer
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vertex_emulator import find_hiding_module

if TYPE_CHECKING:
    from emulator.api.session import VertexSession
    from emulator.api.sweeps import Result, Row
    from emulator.catalogue.variations import Variation

_MARKER = (
    "vertex_sweep(*names, without=(), once=False, timeout=10): run the test once in each of these sets (faults, quirks, errors, slow, "
    "all) or variations (names or globs), by default in the faults, but for those in without; with once, faults happen only in the first "
    "use of each rule; a test that waits longer than timeout (seconds) for an answer that never comes has hung, and fails"
)
_OPTIONS = ("without", "once", "timeout")
TIMEOUT = 10.0
"""Seconds after which an answer that stalls goes on, as `vertex-emulator sweep` kills a program after as many."""
LONGEST_TIMEOUT = 600
_FIXTURE = "vertex_variation"
_PROPERTY = "vertex_sweep"
_RUN = pytest.StashKey[pytest.CallInfo[None]]()
_HUNG = pytest.StashKey[str]()
"""That a test has hung, in a sentence; set while it waits."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, obj: object) -> None:
    """Let marked tests use the fixture before those they request, so that the variation applies to all requests."""
    function = obj.__func__ if isinstance(obj, MethodType) else obj
    if isinstance(function, FunctionType):
        marks = getattr(function, "pytestmark", ())
        if any(mark.name == "vertex_sweep" for mark in marks) or collector.get_closest_marker("vertex_sweep"):
            pytest.mark.usefixtures(_FIXTURE)(function)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize marked tests by the variations."""
    marker = metafunc.definition.get_closest_marker("vertex_sweep")
    if marker is None:
        return
    if problem := find_hiding_module():
        raise pytest.UsageError(problem)
    from emulator.catalogue.variations import SET_NAMES, choose_variations, variations_of
    from emulator.suggestions import suggest_one

    if unknown := sorted(set(marker.kwargs) - set(_OPTIONS)):
        raise pytest.UsageError(
            f'@pytest.mark.vertex_sweep has no option "{unknown[0]}"; it has {", ".join(_OPTIONS)}{suggest_one(unknown[0], _OPTIONS)}'
        )
    timeout = marker.kwargs.get("timeout", TIMEOUT)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= LONGEST_TIMEOUT:
        raise pytest.UsageError(
            f"@pytest.mark.vertex_sweep: timeout must be a number of seconds up to {LONGEST_TIMEOUT}, not {timeout!r}"
        )
    all_names = [one.name for one in variations_of("all")]
    names = [name for given in marker.args for name in fnmatch.filter(all_names, str(given)) or [given]]
    left_out = marker.kwargs.get("without", ())
    without = [left_out] if isinstance(left_out, str) else [str(one) for one in left_out]
    for name in (*names, *without):
        if name not in SET_NAMES and not fnmatch.filter(all_names, str(name)):
            raise pytest.UsageError(
                f"@pytest.mark.vertex_sweep knows no {name!r}; it knows the sets {', '.join(SET_NAMES)} and the variations in them"
                f"{suggest_one(str(name), [*SET_NAMES, *all_names])}"
            )
    variations = choose_variations(names, without=without, once=bool(marker.kwargs.get("once")))
    metafunc.parametrize(_FIXTURE, variations, indirect=True, ids=[one.name for one in variations])


@pytest.fixture
def vertex_variation(request: pytest.FixtureRequest, vertex: "VertexSession") -> Iterator["Variation"]:
    """The variation that a test marked with `vertex_sweep` runs in."""
    variation: Variation = request.param
    timeout = request.node.get_closest_marker("vertex_sweep").kwargs.get("timeout", TIMEOUT)
    limited = variation.with_limit(timeout)
    vertex.disturb(fault=limited.faults, pace=limited.pace, quirks=limited.quirks)

    def end_waiting() -> None:
        # The answer that is waited for goes on at about the same time; those that follow come at once.
        request.node.stash[_HUNG] = (
            f"the test still waited after {timeout:g} s for an answer that never comes; give its client a timeout, or the marker "
            "another one: vertex_sweep(timeout=...)"
        )
        vertex.disturb()

    timer = Timer(timeout, end_waiting)
    if limited is not variation:
        timer.daemon = True
        timer.start()
    yield variation
    timer.cancel()
    call = request.node.stash.get(_RUN, None)
    if call is None or (call.excinfo is not None and call.excinfo.errisinstance(pytest.skip.Exception)):
        return
    row = _make_row(request.node.callspec.id, vertex, variation, call, request.node.stash.get(_HUNG, ""))
    request.node.user_properties.append((_PROPERTY, row.to_json()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that has waited too long, also if it has passed in the end."""
    yield
    if reason := item.stash.get(_HUNG, ""):
        pytest.fail(reason, pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Keep the outcome of the call or, if setup failed, of the setup."""
    if call.when != "teardown":
        item.stash[_RUN] = call


def _make_row(
    name: str, vertex: "VertexSession", variation: "Variation", call: pytest.CallInfo[None], hung: str
) -> "Row":
    from dataclasses import asdict

    from emulator.api.sweeps import Row

    exchanges = list(vertex.journal)
    result, detail = _classify(call)
    if hung:
        result, detail = "hung", hung.partition(";")[0]
    if result == "survived" and not any(exchange.outcome.changed_by_overrides for exchange in exchanges):
        warnings = [warning for exchange in exchanges for warning in exchange.warnings if "without effect" in warning]
        why = warnings[0] if warnings else "its answers were the same as ever"
        result, detail = "not met", why if exchanges else "no request reached the emulator"
    return Row(
        variation=name,
        effect=variation.effect,
        result=result,
        detail=detail,
        requests=len(exchanges),
        seconds=round(call.duration, 3),
        verdicts=tuple({**asdict(one), "exchanges": list(one.exchanges)} for one in vertex.verdicts()),
    )


def _classify(call: pytest.CallInfo[None]) -> tuple["Result", str]:
    if call.excinfo is None:
        return "survived", ""
    error = call.excinfo.value
    lines = str(error).splitlines()
    first = next(iter(lines), "")
    # Where pytest shortens the two texts, the row shows where they differ.
    wanted, got = (next((line[4:] for line in lines if line.startswith(sign)), None) for sign in ("  - ", "  + "))
    if "..." in first and wanted is not None and got is not None:
        from emulator.api.sweeps import describe_difference

        return "wrong answer", describe_difference(wanted.encode(), got.encode())
    if isinstance(error, AssertionError | pytest.fail.Exception):
        return "wrong answer", first
    return "crashed", f"{type(error).__name__}: {first}"


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of each test."""
    rows: dict[str, list[Row]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            # The report of the teardown has all properties; other plugins may have added some.
            if isinstance(report, pytest.TestReport) and report.when == "teardown":
                for name, value in report.user_properties:
                    if name == _PROPERTY:
                        rows.setdefault(report.nodeid.partition("[")[0], []).append(_finish_row(value, report))
    if rows:
        _print_tables(terminalreporter, rows)


def _finish_row(value: Any, report: pytest.TestReport) -> "Row":
    """The row of a report; a failed teardown makes it a wrong answer."""
    from dataclasses import replace

    from emulator.api.sweeps import FINE, Row

    row = Row(**value)
    if report.failed and row.result in FINE:
        detail = next(iter(report.longreprtext.splitlines()), "")
        return replace(row, result="wrong answer", detail=detail)
    return row


def _print_tables(reporter: pytest.TerminalReporter, rows: dict[str, list["Row"]]) -> None:
    from emulator.api.sweeps import COLOURS, Table, summarize
    from emulator.catalogue.variations import variations_of

    writer = reporter.config.get_terminal_writer()
    # With pytest-xdist, tests end in any order.
    order = {one.effect: index for index, one in enumerate(variations_of("all"))}
    reporter.section("vertex sweep")
    for test, found in sorted(rows.items()):
        found.sort(key=lambda row: order[row.effect])
        table = Table(
            [row.variation for row in found], lambda text, result: writer.markup(text, **{COLOURS[result]: True})
        )
        lines = [line for row in found for line in table.lines(row)]
        reporter.write("\n".join((test, table.head(), *lines, summarize(found), "")))
