"""`vertex-emulator sweep`."""

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
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, TYPE_CHECKING, Any

import click

from emulator.catalogue.variations import SET_NAMES, Variation, choose_variations
from emulator.cli.execute import ProgramCommand, start_interception
from emulator.cli.interception import Aims, Leaks
from emulator.cli.options import count, option, place_options, scenarios_argument, stop, undisturbed_options
from emulator.errors import EmulatorError, StartError

if TYPE_CHECKING:
    from emulator.api.sweeps import Row, Run
    from emulator.catalogue.variations import Variation
    from emulator.engine.ruleset import Ruleset
    from emulator.server.settings import Settings
    from emulator.store.exchange import Exchange


_MOST = 8 * 1024 * 1024
"""Bytes of a program's output that are looked at."""


class Programs:
    """Starts programs, each as a group of processes that ends as a whole; several threads may."""

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
        """Run a program without input and return its exit status, or None if it had to be killed after so many seconds.

        What it leaves running is killed too. Raises StartError if it cannot be started.
        """
        process = self._start(command, environment, streams)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            on_timeout()
            return None
        finally:
            _kill(process)
            process.wait()
            with self._lock:
                self._running.discard(process)

    def _start(
        self, command: Sequence[str], environment: Mapping[str, str], streams: tuple[IO[bytes], IO[bytes]]
    ) -> "subprocess.Popen[bytes]":
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
            return process

    def close(self) -> None:
        """Kill what runs; nothing more is started."""
        with self._lock:
            self._is_closed = True
            for process in self._running:
                _kill(process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the whole group; where nothing of it is left, do nothing (macOS calls that a lack of permission)."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


@dataclass(slots=True)
class _Watch:
    """What can be seen of a run from the server's side."""

    requests: int = 0
    is_met: bool = False
    warnings: dict[str, None] = field(default_factory=dict)

    def add(self, exchange: "Exchange") -> None:
        """See an exchange."""
        self.requests += 1
        self.is_met |= exchange.outcome.is_disturbed
        self.warnings |= dict.fromkeys(exchange.outcome.warnings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A program, and what answers it."""

    command: Sequence[str]
    ruleset: "Ruleset"
    settings: "Settings"
    aims: Aims
    timeout: float
    programs: Programs = field(default_factory=Programs)
    leaks: Leaks = field(default_factory=Leaks)

    def run(self, variation: "Variation | None" = None) -> "Run":
        """Run the program once, with server, ports, credentials and journal of its own. Raises StartError."""
        from emulator.api.sweeps import Run  # noqa: PLC0415  # --help is quicker without it
        from emulator.server.clock import SystemClock  # noqa: PLC0415  # as above
        from emulator.server.overrides import apply_variation  # noqa: PLC0415  # as above
        from emulator.server.service import Service  # noqa: PLC0415  # as above

        settings = self.settings if variation is None else apply_variation(self.settings, variation)
        service, watch = Service(self.ruleset, settings, clock=SystemClock()), _Watch()
        service.on_exchange.append(watch.add)
        verdicts = None

        def judge_now() -> None:
            # Later, it would look as if the client had left by itself.
            nonlocal verdicts
            verdicts = service.verdicts()

        with TemporaryFile() as out, TemporaryFile() as err:
            with TemporaryDirectory(prefix="vertex-emulator-") as folder, ExitStack() as stack:
                environment = start_interception(stack, Path(folder), service, self.leaks.add, self.aims)
                started = time.monotonic()
                status = self.programs.run(self.command, environment, (out, err), self.timeout, judge_now)
                seconds = time.monotonic() - started
            return Run(
                status=status,
                out=_read(out),
                err=_read(err),
                seconds=seconds,
                requests=watch.requests,
                is_met=watch.is_met,
                warnings=tuple(watch.warnings),
                verdicts=service.verdicts() if verdicts is None else verdicts,
            )


def _read(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read(_MOST)


SEED = "sweep"
"""What makes answers repeatable if neither the command line nor the scenario has a seed."""


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
@undisturbed_options
@option("--java", is_flag=True, help="Lead Java programs too; the JVM then says so on stderr.")
@option("--metadata", is_flag=True, help="Let programs find a metadata server, as on Google's machines.")
@place_options
@click.pass_obj
def sweep(
    command: list[str],
    /,
    scenarios: tuple[str, ...],
    *,
    sets: tuple[str, ...],
    only: tuple[str, ...],
    once: bool,
    **options: Any,
) -> None:
    """Run a program once for each thing that can go wrong.

    COMMAND runs undisturbed first, then in each variation, as `exec` would run it but without input; what it prints undisturbed is
    the right answer. The exit status is 1 if it crashed, hung or printed something else in one of them.
    """
    variations = choose_variations(sets, only, once=once)
    if not variations:
        raise click.UsageError(f"no variation is called {' or '.join(only)}; docs/sweeps.md lists them all")
    try:
        status = _sweep(command, scenarios, variations, **options)
    except EmulatorError as error:
        stop(error)
    raise SystemExit(status)


def _sweep(
    command: list[str],
    scenarios: tuple[str, ...],
    variations: tuple[Variation, ...],
    *,
    timeout: float,
    jobs: int,
    as_json: bool,
    project: str,
    location: str,
    java: bool,
    metadata: bool,
    **settings: Any,
) -> int:
    if os.name != "posix":
        raise StartError("sweep needs a POSIX system")
    from emulator.api.sweeps import FINE, describe_difference  # noqa: PLC0415  # as above
    from emulator.cli.watch import read_rules  # noqa: PLC0415  # --help is quicker without it
    from emulator.intercept.child_process import ChildProcess  # noqa: PLC0415  # as above
    from emulator.server.settings import Settings  # noqa: PLC0415  # as above

    ruleset = read_rules(scenarios)
    settings["seed"] = settings["seed"] or ruleset.seed or SEED
    trial = Trial(
        command=command,
        ruleset=ruleset,
        settings=Settings(project=project, **settings),
        aims=Aims(project=project, location=location, java=java, metadata=metadata),
        timeout=timeout,
    )
    with ChildProcess().handling_signals():
        undisturbed, again = _run_undisturbed(trial), _run_undisturbed(trial)
        difference = describe_difference(undisturbed.out, again.out) if again.out != undisturbed.out else ""
        rows = _run_all(trial, variations, undisturbed, jobs, has_fixed_output=not difference)
        found = (_print_json if as_json else _print_table)(variations, undisturbed, difference, rows)
    return 0 if all(row.result in FINE for row in found) else 1


def _run_undisturbed(trial: Trial) -> "Run":
    """A run by which others can be measured. Raises StartError if it is none."""
    from emulator.api.sweeps import describe_end  # noqa: PLC0415  # as above

    run = trial.run()
    if run.status != 0:
        sys.stderr.buffer.write(run.err)
        sys.stderr.flush()
        raise StartError(f"the program fails though nothing disturbs it: {describe_end(run)}")
    if not run.requests:
        raise StartError("the program asks nothing: no request reached the emulator, so there is nothing to disturb")
    return run


def _run_all(
    trial: Trial, variations: tuple[Variation, ...], undisturbed: "Run", jobs: int, *, has_fixed_output: bool
) -> Iterator["Row"]:
    """The rows, in the order of the variations, each as soon as it and those before it are there."""
    from emulator.api.sweeps import compare_runs  # noqa: PLC0415  # as above

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for variation, run in zip(variations, pool.map(trial.run, variations), strict=True):
                yield compare_runs(variation, run, undisturbed, has_fixed_output=has_fixed_output)
        except BaseException:
            # Above all on Ctrl-C: the programs are not in the terminal's foreground.
            trial.programs.close()
            raise


def _print_table(
    variations: tuple[Variation, ...], undisturbed: "Run", difference: str, rows: Iterator["Row"]
) -> list["Row"]:
    from emulator.api.sweeps import COLOURS, Table, summarize  # noqa: PLC0415  # as above

    click.echo(f"undisturbed: status 0, {count(undisturbed.requests, 'request')}, {undisturbed.seconds:.1f} s")
    if difference:
        click.echo(f"its output differs from run to run ({difference}), so answers are not compared", color=None)
    table = Table(
        [variation.name for variation in variations], lambda text, result: click.style(text, fg=COLOURS[result])
    )
    click.echo(f"\n{table.head()}")
    found = []
    for row in rows:
        found.append(row)
        for line in table.lines(row):
            click.echo(line)
    click.echo(f"\n{summarize(found)}")
    return found


def _print_json(
    variations: tuple[Variation, ...], undisturbed: "Run", difference: str, rows: Iterator["Row"]
) -> list["Row"]:
    found = list(rows)
    document = {
        "undisturbed": {
            "status": undisturbed.status,
            "requests": undisturbed.requests,
            "seconds": round(undisturbed.seconds, 3),
            "differs": difference or None,
        },
        "runs": [
            row.to_json()
            | {"faults": list(variation.faults), "quirks": sorted(variation.quirks), "pace": variation.pace}
            for variation, row in zip(variations, found, strict=True)
        ],
    }
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    return found
