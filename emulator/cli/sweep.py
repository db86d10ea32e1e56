"""`vertex-emulator sweep`."""

import fnmatch
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, Self, TextIO, TypeVar

import click

from emulator.catalogue.variations import SET_NAMES, Variation, choose_variations, variations_of
from emulator.cli.interception import LeakCounter, start_interception
from emulator.cli.options import (
    ClientOptions,
    ProgramCommand,
    interception_options,
    option,
    scenarios_argument,
    undisturbed_options,
)
from emulator.cli.output import count
from emulator.cli.watch import read_rules
from emulator.errors import StartError
from emulator.suggestions import suggest_one

if TYPE_CHECKING:
    from emulator.api.sweeps import Row, Run
    from emulator.engine.ruleset import Ruleset
    from emulator.server.settings import Settings
    from emulator.store.exchange import Exchange, UnroutedRequest

Item = TypeVar("Item")

SEED = "sweep"
"""The seed if neither the command line nor the scenario has one, so that answers are repeatable."""
_MAX_OUTPUT_BYTES = 8 * 1024 * 1024
"""Bytes of a program's output that are compared."""


class ProcessGroups:
    """Runs programs, each in a process group of its own that is killed as a whole. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        streams: tuple[IO[bytes], IO[bytes]],
        timeout: float,
        on_timeout: Callable[[], object],
    ) -> int | None:
        """Run a program without input; return its exit status, or None if it was killed after `timeout` seconds.

        Processes that it leaves running are killed. Raises StartError if it cannot be started.
        """
        out, err = streams
        with self._lock:
            if self._is_closed:
                raise StartError("the sweep was stopped")
            try:
                process = subprocess.Popen(  # noqa: S603  # what we are asked to run
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
                )
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise StartError(f"cannot run {command[0]}: {reason}") from None
            except ValueError as error:  # a NUL in an argument
                raise StartError(f"cannot run {command[0]!r}: {error}") from None
            self._running.add(process)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            on_timeout()
            return None
        finally:
            _kill_group(process)
            process.wait()
            with self._lock:
                self._running.discard(process)

    def close(self) -> None:
        """Kill all running programs; no more can be started."""
        with self._lock:
            self._is_closed = True
            for process in self._running:
                _kill_group(process)


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    # macOS reports a lack of permission for a group without processes.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


@dataclass(slots=True)
class _ExchangeCounts:
    """What the exchanges of a run add up to."""

    requests: int = 0
    is_met: bool = False
    warnings: dict[str, None] = field(default_factory=dict)
    unrouted: dict[str, None] = field(default_factory=dict)
    unanswered: dict[str, None] = field(default_factory=dict)

    def add(self, exchange: "Exchange") -> None:
        self.requests += 1
        self.is_met |= exchange.outcome.changed_by_overrides
        self.warnings |= dict.fromkeys(exchange.outcome.warnings)
        if exchange.outcome.result in {"miss", "error"}:
            self.unanswered[exchange.outcome.report.partition("\n")[0]] = None

    def add_unrouted(self, request: "UnroutedRequest") -> None:
        self.unrouted[request.report] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramRunner:
    """Runs the program of a sweep, each time against a new server."""

    command: Sequence[str]
    ruleset: "Ruleset"
    settings: "Settings"
    client_options: ClientOptions
    timeout: float
    """Seconds after which the program is killed."""
    processes: ProcessGroups = field(default_factory=ProcessGroups)
    leaks: LeakCounter = field(default_factory=LeakCounter)

    def run(self, variation: "Variation | None" = None) -> "Run":
        """Run the program once, with server, ports, credentials and journal of its own. Raises StartError."""
        from emulator.api.sweeps import Run
        from emulator.intercept.environment import client_folder
        from emulator.server.clock import SystemClock
        from emulator.server.overrides import with_variation
        from emulator.server.service import Service

        settings = self.settings if variation is None else with_variation(self.settings, variation)
        service, counts = Service(self.ruleset, settings, clock=SystemClock()), _ExchangeCounts()
        service.on_exchange.append(counts.add)
        service.on_unrouted.append(counts.add_unrouted)
        verdicts = None

        def keep_verdicts() -> None:
            # Before the program is killed: afterwards it would look as if the client had closed its connections itself.
            nonlocal verdicts
            verdicts = service.verdicts()

        with TemporaryFile() as out, TemporaryFile() as err:
            with client_folder() as folder, ExitStack() as stack:
                environment = start_interception(stack, Path(folder), service, self.leaks, self.client_options)
                started = time.monotonic()
                status = self.processes.run(self.command, environment, (out, err), self.timeout, keep_verdicts)
                seconds = time.monotonic() - started
            out.seek(0)
            err.seek(0)
            return Run(
                status=status,
                out=out.read(_MAX_OUTPUT_BYTES),
                err=err.read(_MAX_OUTPUT_BYTES),
                seconds=seconds,
                requests=counts.requests,
                is_met=counts.is_met,
                warnings=tuple(counts.warnings),
                unrouted=tuple(counts.unrouted),
                unanswered=tuple(counts.unanswered),
                verdicts=service.verdicts() if verdicts is None else verdicts,
            )

    def run_undisturbed(self) -> "Run":
        """Run the program without a variation. Raises StartError if it fails or sends no request."""
        from emulator.api.sweeps import describe_end

        run = self.run()
        nowhere = f"; it asked for {run.unrouted[0]}" if run.unrouted else ""
        if run.unanswered:
            nowhere = f"; {run.unanswered[0]}"
        if run.status != 0:
            sys.stderr.buffer.write(run.err)
            sys.stderr.flush()
            raise StartError(f"the program fails though nothing disturbs it: {describe_end(run)}{nowhere}")
        if not run.requests:
            raise StartError(
                f"the program asks nothing: no request reached the emulator, so there is nothing to disturb{nowhere}"
            )
        return run


@click.command(cls=ProgramCommand)
@scenarios_argument()
@option(
    "--set",
    "sets",
    multiple=True,
    type=click.Choice(SET_NAMES),
    help="What to try: faults (by default), quirks, errors, slow or all of them; may be repeated.",
)
@option("--only", multiple=True, metavar="GLOB", help="Only variations with such a name, of all sets if none is given.")
@option("--without", multiple=True, metavar="GLOB", help="No variations with such a name.")
@option(
    "--once",
    is_flag=True,
    help="Let faults happen only in the first use of each rule, so that a second try is answered.",
)
@option(
    "--timeout",
    default=10.0,
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds after which a run is killed and counts as hung.",
)
@option(
    "--jobs", default=1, type=click.IntRange(min=1), help="How many runs at a time; for programs that can stand it."
)
@option("--json", "as_json", is_flag=True, help="Print everything as one JSON document.")
@option("--junit", metavar="FILE", type=click.Path(dir_okay=False), help="Write the results as JUnit XML too.")
@option("--list", "list_only", is_flag=True, help="Print what would be tried, and run nothing.")
@undisturbed_options
@interception_options
@click.pass_obj
def sweep(
    command: list[str],
    /,
    scenarios: tuple[str, ...],
    *,
    sets: tuple[str, ...],
    only: tuple[str, ...],
    without: tuple[str, ...],
    once: bool,
    list_only: bool,
    **options: Any,
) -> int:
    """Run a program once for each thing that can go wrong.

    COMMAND runs undisturbed first, then in each variation, as `exec` would run it but without input; what it prints undisturbed is
    the right answer. The exit status is 1 if it crashed, hung or printed something else in one of them.
    """
    known = [one.name for one in variations_of("all")]
    for glob in (*only, *without):
        if not fnmatch.filter(known, glob):
            raise click.UsageError(
                f"no variation is called {glob}{suggest_one(glob, known)}; docs/sweeps.md and --list list them all"
            )
    variations = choose_variations(sets, only, without, once=once)
    if not variations:
        raise click.UsageError("no variation is left by --set, --only and --without; --list lists those that are")
    if list_only:
        _print_list(variations, as_json=options["as_json"])
        return 0
    return _sweep(command, scenarios, variations, **options)


def _sweep(
    command: list[str],
    scenarios: tuple[str, ...],
    variations: tuple[Variation, ...],
    *,
    timeout: float,
    jobs: int,
    as_json: bool,
    junit: str | None,
    client_options: ClientOptions,
    **settings: Any,
) -> int:
    """Run the sweep, print it and return the exit status."""
    from emulator.api.sweeps import FINE, describe_difference
    from emulator.intercept.child_process import ChildProcess
    from emulator.server.settings import Settings

    ruleset = read_rules(scenarios)
    settings["seed"] = settings["seed"] or ruleset.seed or SEED
    runner = ProgramRunner(
        command=command,
        ruleset=ruleset,
        settings=Settings(project=client_options.project, location=client_options.location, **settings),
        client_options=client_options,
        timeout=timeout,
    )
    with ChildProcess().handling_signals():
        undisturbed, again = runner.run_undisturbed(), runner.run_undisturbed()
        difference = describe_difference(undisturbed.out, again.out) if again.out != undisturbed.out else ""
        finished: list[Row] = []
        rows = _keep(_run_variations(runner, variations, undisturbed, jobs, has_fixed_output=not difference), finished)
        try:
            with Progress([variation.name for variation in variations], sys.stderr) as progress:
                show = _print_json if as_json else _print_table
                show(variations, undisturbed, difference, progress.show(rows), finished)
        finally:
            # After Ctrl-C those that have run.
            if junit is not None:
                _write_junit(junit, command, finished)
    return 0 if all(row.result in FINE for row in finished) else 1


def _keep(rows: Iterator["Row"], kept: list["Row"]) -> Iterator["Row"]:
    for row in rows:
        kept.append(row)
        yield row


class Progress:
    """Says on a terminal which of several steps runs: `3 of 23: reset_mid_stream`, on a line that is overwritten."""

    def __init__(self, names: Sequence[str], stream: TextIO) -> None:
        self._names = names
        self._stream = stream
        self._is_shown = stream.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._write("")

    def show(self, rows: Iterator[Item]) -> Iterator[Item]:
        """The results of the steps, with a line before each as long as it is waited for."""
        for number, name in enumerate(self._names, start=1):
            self._write(f"{number} of {len(self._names)}: {name}")
            row = next(rows, None)
            self._write("")
            if row is None:
                return
            yield row

    def _write(self, text: str) -> None:
        if self._is_shown:
            self._stream.write(f"\r\x1b[K{text}")
            self._stream.flush()


def _print_list(variations: tuple[Variation, ...], *, as_json: bool) -> None:
    """Print the names of variations and what happens in them."""
    if as_json:
        click.echo(json.dumps([{"variation": one.name, "effect": one.effect} for one in variations], indent=2))
        return
    width = max(len(one.name) for one in variations)
    for one in variations:
        click.echo(f"{one.name:<{width}}  {one.effect}")


def _write_junit(name: str, command: Sequence[str], rows: Sequence["Row"]) -> None:
    """Write rows as JUnit XML, each variation a test case; those that were not met are skipped. Raises StartError."""
    from xml.etree import ElementTree as ET

    from emulator.api.sweeps import FINE

    failures = sum(row.result not in FINE for row in rows)
    skipped = sum(row.result == "not met" for row in rows)
    seconds = f"{sum(row.seconds for row in rows):.3f}"
    facts = {
        "tests": str(len(rows)),
        "failures": str(failures),
        "errors": "0",
        "skipped": str(skipped),
        "time": seconds,
    }
    suites = ET.Element("testsuites", facts)
    suite = ET.SubElement(suites, "testsuite", {"name": _printable(" ".join(command)), **facts})
    for row in rows:
        case = ET.SubElement(
            suite, "testcase", {"classname": "sweep", "name": row.variation, "time": f"{row.seconds:.3f}"}
        )
        if row.result == "not met":
            ET.SubElement(case, "skipped", {"message": _printable(row.detail)})
        elif row.result not in FINE:
            text = ET.SubElement(
                case, "failure", {"type": row.result, "message": _printable(f"{row.result}: {row.detail}")}
            )
            text.text = _printable(row.effect)
    try:
        ET.ElementTree(suites).write(name, "utf-8", xml_declaration=True)
    except OSError as error:
        raise StartError(f"cannot write {name}: {(error.strerror or str(error)).lower()}") from None


def _printable(text: str) -> str:
    """A text without the characters that XML cannot have."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _run_variations(
    runner: ProgramRunner, variations: tuple[Variation, ...], undisturbed: "Run", jobs: int, *, has_fixed_output: bool
) -> Iterator["Row"]:
    """Run all variations, `jobs` at a time; yield their rows in order, each as soon as it and those before it are done."""
    from emulator.api.sweeps import compare_runs

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for variation, run in zip(variations, pool.map(runner.run, variations), strict=True):
                yield compare_runs(variation, run, undisturbed, has_fixed_output=has_fixed_output)
        except BaseException:
            # Ctrl-C, for example, does not reach the programs, which are not in the terminal's foreground group.
            runner.processes.close()
            raise


def _print_table(
    variations: tuple[Variation, ...],
    undisturbed: "Run",
    difference: str,
    rows: Iterator["Row"],
    finished: Sequence["Row"],
) -> None:
    from emulator.api.sweeps import COLOURS, Table, summarize

    click.echo(f"undisturbed: status 0, {count(undisturbed.requests, 'request')}, {undisturbed.seconds:.1f} s")
    if difference:
        click.echo(f"its output differs from run to run ({difference}), so answers are not compared", color=None)
    table = Table(
        [variation.name for variation in variations], lambda text, result: click.style(text, fg=COLOURS[result])
    )
    click.echo(f"\n{table.head()}")
    is_complete = False
    try:
        for row in rows:
            for line in table.lines(row):
                click.echo(line)
        is_complete = True
    finally:
        stopped = "" if is_complete else f"stopped after {len(finished)} of {len(variations)} variations; "
        click.echo(f"\n{stopped}{summarize(finished)}")


def _print_json(
    variations: tuple[Variation, ...],
    undisturbed: "Run",
    difference: str,
    rows: Iterator["Row"],
    finished: Sequence["Row"],
) -> None:
    is_complete = False
    try:
        for _ in rows:
            pass
        is_complete = True
    finally:
        _print_document(variations, undisturbed, difference, finished, is_complete=is_complete)


def _print_document(
    variations: tuple[Variation, ...],
    undisturbed: "Run",
    difference: str,
    found: Sequence["Row"],
    *,
    is_complete: bool,
) -> None:
    document: dict[str, Any] = {
        "undisturbed": {
            "status": undisturbed.status,
            "requests": undisturbed.requests,
            "seconds": round(undisturbed.seconds, 3),
            "differs": difference or None,
        },
        "runs": [
            row.to_json()
            | {"faults": list(variation.faults), "quirks": sorted(variation.quirks), "pace": variation.pace}
            for variation, row in zip(variations, found, strict=False)
        ],
    }
    if not is_complete:
        document["stopped"] = f"after {len(found)} of {len(variations)}"
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
