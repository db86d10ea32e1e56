"""`vertex-emulator sweep`."""

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import click

from emulator.catalogue.variations import SET_NAMES, Variation, choose_variations
from emulator.cli.execute import ProgramCommand
from emulator.cli.intercepting import Aims
from emulator.cli.options import count, option, scenarios_argument, stop
from emulator.cli.programs import Trial
from emulator.cli.service import place_options, undisturbed_options
from emulator.errors import EmulatorError, StartError

if TYPE_CHECKING:
    from emulator.running.sweeps import Row, Run

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
    from emulator.cli.watching import read_rules  # noqa: PLC0415  # --help is quicker without it
    from emulator.intercept.child import Child  # noqa: PLC0415  # as above
    from emulator.running.sweeps import FINE, describe_difference  # noqa: PLC0415  # as above
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
    with Child().taking_signals():
        undisturbed, again = _run_undisturbed(trial), _run_undisturbed(trial)
        difference = describe_difference(undisturbed.out, again.out) if again.out != undisturbed.out else ""
        rows = _run_all(trial, variations, undisturbed, jobs, has_fixed_output=not difference)
        found = (_print_json if as_json else _print_table)(variations, undisturbed, difference, rows)
    return 0 if all(row.result in FINE for row in found) else 1


def _run_undisturbed(trial: Trial) -> "Run":
    """A run by which others can be measured. Raises StartError if it is none."""
    from emulator.running.sweeps import describe_end  # noqa: PLC0415  # as above

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
    from emulator.running.sweeps import read_row  # noqa: PLC0415  # as above

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for variation, run in zip(variations, pool.map(trial.run, variations), strict=True):
                yield read_row(variation, run, undisturbed, has_fixed_output=has_fixed_output)
        except BaseException:
            # Above all on Ctrl-C: the programs are not in the terminal's foreground.
            trial.programs.close()
            raise


def _print_table(
    variations: tuple[Variation, ...], undisturbed: "Run", difference: str, rows: Iterator["Row"]
) -> list["Row"]:
    from emulator.running.sweeps import COLOURS, Table, sum_up  # noqa: PLC0415  # as above

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
    click.echo(f"\n{sum_up(found)}")
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
