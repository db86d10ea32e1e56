"""What commands print: problems of scenarios, errors, counts and the log of requests."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from emulator.errors import EmulatorError, Problem, ScenarioError

if TYPE_CHECKING:
    from emulator.server.log import LogFormat
    from emulator.server.service import Service


def count(number: int, noun: str) -> str:
    """`1 problem`, `2 problems`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def print_line(text: str) -> None:
    """Print a line about the emulator itself on stderr."""
    click.echo(f"vertex-emulator: {text}", err=True)


def print_problems(problems: Sequence[Problem]) -> None:
    """Print problems and warnings on stderr, with the source line and a caret."""
    for problem in problems:
        colour = "yellow" if problem.severity == "warning" else "red"
        first, _, rest = str(problem).partition("\n")
        click.echo(click.style(first, fg=colour), err=True)
        if rest:
            click.echo(rest, err=True)


def print_error(error: EmulatorError) -> None:
    """Print an error on stderr: every problem of a scenario, or one sentence."""
    if isinstance(error, ScenarioError):
        print_problems(error.problems)
        errors = sum(problem.severity == "error" for problem in error.problems)
        click.echo(f"{count(errors, 'problem')} found", err=True)
    else:
        print_line(str(error))


def exit_with_error(error: EmulatorError) -> NoReturn:
    """Print an error and exit with status 1."""
    print_error(error)
    raise SystemExit(1)


def log_requests(service: "Service", stream: TextIO, form: "LogFormat" = "text") -> None:
    """Write a line to a stream for each exchange that has ended."""
    from emulator.server.log import LogWriter

    log = LogWriter(stream, form)
    service.on_exchange.append(log)
    service.on_token.append(log)
    service.on_unrouted.append(log)
