"""The options of every command that runs the service: what answers, how strict it is, and what the printed URLs name."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeVar

import click

from emulator.catalogue.quirks import QUIRK_NAMES
from emulator.errors import EmulatorError, Problem, ScenarioError
from emulator.server.tokens import LIFETIME

if TYPE_CHECKING:
    from emulator.server.service import Service
    from emulator.store.exchange import Entry


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


TOKEN_LIFETIME = 365 * 24 * 3600
"""Seconds that a printed token is good for: as long as anybody leaves a server running."""

_AUTH = option(
    "--auth",
    default="any",
    type=click.Choice(["any", "issued", "off"]),
    help="any: every bearer but API keys and expired tokens; issued: only tokens of this emulator; off: no check.",
)
_SEED = option("--seed", help="Makes every answer repeatable to the byte, ids and times included.")
_FALLBACK = option(
    "--fallback",
    default="miss",
    type=click.Choice(["miss", "default"]),
    help="What answers when no rule does: the miss report, or the built-in default scenario.",
)
_QUIRK = option(
    "--quirk",
    "quirks",
    multiple=True,
    metavar="NAME",
    type=click.Choice(QUIRK_NAMES),
    callback=lambda _context, _parameter, names: frozenset(names),
    help="Turn on a quirk for all answers; may be repeated, `vertex-emulator quirks` lists them.",
)
_VETTING = option(
    "--vetting",
    default="enforce",
    type=click.Choice(["enforce", "warn", "off"]),
    help="What becomes of requests that Vertex refuses: refused too, answered with a warning, or not looked at.",
)
_MODELS = option(
    "--models",
    default="any",
    type=click.Choice(["any", "known"]),
    help="Which models are answered: any, or only those of `vertex-emulator models`; others get the documented 404.",
)
_STRICT_JSON = option(
    "--strict-json",
    is_flag=True,
    help="Refuse bodies with backslashes before line ends, as documented curl samples send.",
)
_TOKEN_LIFETIME = option(
    "--token-lifetime",
    default=LIFETIME,
    metavar="SECONDS",
    type=click.IntRange(min=1),
    help="Seconds that tokens of the token endpoints live; a client that asks again can be tested with few.",
)
_PACE = option(
    "--pace",
    metavar="PACE",
    help="How fast rules without a pace answer: slow-train, gemini-flash, ..., or first_token_ms=300,tokens_per_second=50.",
)
_SPEED = option(
    "--speed",
    default=1.0,
    metavar="FACTOR",
    type=click.FloatRange(min=0, min_open=True),
    help="How many times as fast everything is that takes its time: paces, pauses, stalls.",
)
_FAULT = option(
    "--fault",
    "faults",
    multiple=True,
    metavar="FAULT",
    help="What goes wrong with every answer: reset_mid_stream, ..., or cut=reset,after_chunks=2; may be repeated.",
)
_PROJECT = option(
    "--project", default="demo", help="The project in the URLs that are printed; the server answers to any."
)
_LOCATION = option(
    "--location", default="us-central1", help="The location in the URLs that are printed; the server answers to any."
)


def settings_options(command: Command) -> Command:
    """The options that become `Settings`: --auth to --token-lifetime."""
    return _apply(
        command,
        (_AUTH, _SEED, _FALLBACK, _QUIRK, _VETTING, _MODELS, _STRICT_JSON, _PACE, _SPEED, _FAULT, _TOKEN_LIFETIME),
    )


def undisturbed_options(command: Command) -> Command:
    """The same without what `sweep` varies."""
    return _apply(command, (_AUTH, _SEED, _FALLBACK, _VETTING, _MODELS, _STRICT_JSON, _SPEED, _TOKEN_LIFETIME))


def place_options(command: Command) -> Command:
    """--project and --location."""
    return _apply(command, (_PROJECT, _LOCATION))


def _apply(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    # click lists options in the order of decorators, which is the reverse of the order in which they are applied.
    for one in reversed(options):
        command = one(command)
    return command


def log_requests(service: "Service", stream: TextIO) -> None:
    """Write a line to a stream for each request that has ended."""
    from emulator.server.log import log_line  # noqa: PLC0415  # --help is quicker without it

    def log(entry: "Entry") -> None:
        click.echo(log_line(entry), stream)

    service.on_exchange.append(log)
    service.on_token.append(log)
