"""`vertex-emulator check`."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from emulator.cli.options import option, scenarios_argument
from emulator.cli.output import count, exit_with_error, print_problems
from emulator.errors import EmulatorError, Problem, ScenarioError

if TYPE_CHECKING:
    from emulator.engine.ruleset import RecordedRules


@click.command()
@scenarios_argument(required=True)
@option(
    "--together",
    is_flag=True,
    help="Look for rules that those of the other files leave nothing to answer too, as one server has them that serves all.",
)
@option("--strict", is_flag=True, help="Let warnings fail too.")
@option("--json", "as_json", is_flag=True, help="Print everything as one JSON document.")
def check(scenarios: tuple[str, ...], *, together: bool, strict: bool, as_json: bool) -> None:
    """Report every problem in scenario files, with its place.

    SCENARIOS are files, and folders with all .yaml and .yml files below them, each a scenario by itself with the files that it
    includes; with --together one, as `serve` has them. The exit status is 1 if there are problems; warnings alone leave it 0,
    unless --strict is given.
    """
    from emulator.recording.loading import load_rules

    try:
        reading = load_rules(scenarios, is_alone=not together)
    except ScenarioError as error:
        if not as_json:
            exit_with_error(error)
        _print_json(error.problems, files=None, rules=None, strict=strict)
        raise SystemExit(1) from None
    except EmulatorError as error:
        exit_with_error(error)
    files, rules = reading.scenarios, len(reading.ruleset.written)
    recordings = reading.ruleset.recordings
    fails = strict and bool(reading.warnings)
    if as_json:
        _print_json(reading.warnings, files=files, rules=rules, strict=strict)
    else:
        print_problems(reading.warnings)
        if fails:
            click.echo(f"{count(len(reading.warnings), 'warning')} found, and --strict allows none", err=True)
        else:
            found = f", {count(len(reading.warnings), 'warning')}" if reading.warnings else ""
            read = [count(files, "scenario"), count(rules, "rule")] if files else []
            if recordings:
                read += [count(len(recordings), "recording"), count(_count_answers(recordings), "exchange")]
            click.echo(f"{', '.join(read)}: fine{found}")
    raise SystemExit(1 if fails else 0)


def _count_answers(recordings: "Sequence[RecordedRules]") -> int:
    return sum(len(rule.recorded) for one in recordings for rule in one.rules)


def _print_json(problems: Sequence[Problem], *, files: int | None, rules: int | None, strict: bool) -> None:
    """Print problems as one JSON document; numbers of scenarios and rules are null where these cannot be read."""
    found: list[dict[str, Any]] = [
        {
            "file": one.place.file,
            "line": one.place.line,
            "column": one.place.column,
            "severity": one.severity,
            "message": one.message,
        }
        for one in problems
    ]
    fails = any(strict or one.severity == "error" for one in problems)
    click.echo(json.dumps({"passed": not fails, "scenarios": files, "rules": rules, "problems": found}, indent=2))
