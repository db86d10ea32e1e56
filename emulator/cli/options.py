"""What the commands share: options with environment names, how problems are printed and how a command ends."""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import click

from emulator.errors import EmulatorError, Problem, ScenarioError

Command = TypeVar("Command", bound=Callable[..., Any])


def option(*names: str, **settings: Any) -> Callable[[Command], Command]:
    """An option that can also be given as VERTEX_EMULATOR_<NAME>; `names` are those of `click.option`, the long one first."""
    variable = "VERTEX_EMULATOR_" + names[0].lstrip("-").replace("-", "_").upper()
    settings.setdefault("show_default", settings.get("default") is not None and not settings.get("is_flag"))
    return click.option(*names, envvar=variable, show_envvar=True, **settings)


def scenarios_argument(*, required: bool = False) -> Callable[[Command], Command]:
    """Scenario files and folders."""
    return click.argument("scenarios", nargs=-1, required=required, type=click.Path())


def print_problems(problems: Sequence[Problem]) -> None:
    """Problems and warnings on stderr, with the line and a caret."""
    for problem in problems:
        colour = "yellow" if problem.severity == "warning" else "red"
        first, _, rest = str(problem).partition("\n")
        click.echo(click.style(first, fg=colour), err=True)
        if rest:
            click.echo(rest, err=True)


def print_error(error: EmulatorError) -> None:
    """What went wrong, on stderr: every problem of a scenario, or one sentence."""
    if isinstance(error, ScenarioError):
        print_problems(error.problems)
        errors = sum(problem.severity == "error" for problem in error.problems)
        click.echo(f"{count(errors, 'problem')} found", err=True)
    else:
        click.echo(f"vertex-emulator: {error}", err=True)


def count(number: int, thing: str) -> str:
    """`1 problem`, `2 problems`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def stop(error: EmulatorError) -> NoReturn:
    """Print what went wrong and end with status 1."""
    print_error(error)
    raise SystemExit(1)
