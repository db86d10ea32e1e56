"""`vertex-emulator check`."""

import click

from emulator.cli.options import scenarios_argument
from emulator.cli.output import count, exit_with_error, print_problems
from emulator.errors import EmulatorError


@click.command()
@scenarios_argument(required=True)
def check(scenarios: tuple[str, ...]) -> None:
    """Report every problem in scenario files, with its place.

    SCENARIOS are files, and folders with all .yaml and .yml files below them, read together as `serve` would. The exit status is
    1 if there are problems; warnings alone leave it 0.
    """
    from emulator.engine.ruleset import compile_rules
    from emulator.scenario.loading import read_paths

    try:
        reading = read_paths(scenarios)
        compile_rules(reading.scenarios)
    except EmulatorError as error:
        exit_with_error(error)
    print_problems(reading.warnings)
    rules = sum(len(file.scenario.rules) for file in reading.scenarios)
    found = f", {count(len(reading.warnings), 'warning')}" if reading.warnings else ""
    click.echo(f"{count(len(reading.scenarios), 'scenario')}, {count(rules, 'rule')}: fine{found}")
