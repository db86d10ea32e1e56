"""`vertex-emulator serve`."""

import gc
import sys
from contextlib import ExitStack
from types import FrameType
from typing import Any

import click

from emulator.cli.greeting import Served, greet_people, greet_programs
from emulator.cli.intercepting import Aims, open_beside
from emulator.cli.options import option, scenarios_argument, stop
from emulator.cli.parent import check_stdin
from emulator.cli.service import log_requests, place_options, settings_options
from emulator.cli.serving import Serving, on_signal
from emulator.errors import EmulatorError

_PORT = click.IntRange(0, 65535)
_GREETINGS = {"text": greet_people, "json": greet_programs}


def _not_empty(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    # An empty token, as an unset variable of the shell gives it, would let everybody in.
    if value == "":
        raise click.BadParameter("the token is empty")
    return value


@click.command()
@scenarios_argument()
@option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 lets other machines in.")
@option("--port", default=8080, type=_PORT, help="Port to listen on; 0 takes a free one.")
@settings_options
@option(
    "--watch", is_flag=True, help="Read the scenarios again when they change; a broken edit keeps the last good ones."
)
@option(
    "--control-token",
    callback=_not_empty,
    help="A bearer that opens the control path to other machines too.",
)
@option("--tls", is_flag=True, help="Answer under TLS too, with a certificate made for this run.")
@option("--tls-port", default=8443, type=_PORT, help="Port for that; 0 takes a free one.")
@option(
    "--proxy", is_flag=True, help="Be the HTTPS proxy of unchanged programs too, and print the variables they need."
)
@option("--proxy-port", default=8081, type=_PORT, help="Port for that; 0 takes a free one.")
@place_options
@option(
    "--grace",
    default=5.0,
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="How long answers that are being sent may go on once the server is told to end.",
)
@option(
    "--workers",
    default=1,
    type=click.IntRange(1, 256),
    help="How many processes answer; they share sessions, quotas and the journal.",
)
@option("--quiet", is_flag=True, help="Do not log requests.")
@option(
    "--print",
    "form",
    default="text",
    type=click.Choice(list(_GREETINGS)),
    help="What is printed once the server answers: a text for people, or one line of JSON for programs.",
)
@option(
    "--until-stdin-closes",
    is_flag=True,
    help="End when standard input does, so when the program that holds it ends, however it ends.",
)
def serve(
    scenarios: tuple[str, ...],
    *,
    tls: bool,
    tls_port: int,
    proxy: bool,
    proxy_port: int,
    project: str,
    location: str,
    **options: Any,
) -> None:
    """Serve scenarios: files and folders, or the built-in default.

    Prints the base URL, a curl line to try and the environment variables for OpenAI clients; then, on stderr, a line for each
    request. Ctrl-C ends it.
    """
    if options["watch"] and not scenarios:
        raise click.UsageError("--watch needs scenarios to watch")
    ports = (tls_port, proxy_port if proxy else None) if tls or proxy else None
    # What is loaded stays, so looking for garbage would be in vain; `tune_collector` begins with it.
    gc.disable()
    try:
        _serve(scenarios, ports=ports, aims=Aims(project=project, location=location), **options)
    except EmulatorError as error:
        stop(error)
    finally:
        gc.enable()


def _serve(
    scenarios: tuple[str, ...],
    *,
    host: str,
    port: int,
    watch: bool,
    ports: tuple[int, int | None] | None,
    aims: Aims,
    grace: float,
    workers: int,
    quiet: bool,
    form: str,
    until_stdin_closes: bool,
    **settings: Any,
) -> None:
    from emulator.cli.watching import read_rules  # noqa: PLC0415  # --help is quicker so
    from emulator.running import bind, url_of  # noqa: PLC0415  # as above
    from emulator.server.clock import SystemClock  # noqa: PLC0415  # as above
    from emulator.server.service import Service  # noqa: PLC0415  # as above
    from emulator.server.settings import Settings  # noqa: PLC0415  # as above

    on_signal(_leave)
    if until_stdin_closes:
        check_stdin()
    service = Service(read_rules(scenarios), Settings(project=aims.project, **settings), clock=SystemClock())
    with ExitStack() as stack:
        plain = stack.enter_context(bind(host, port))
        if not quiet:
            log_requests(service, sys.stderr)
        beside = open_beside(stack, service, plain, ports, aims) if ports else None
        served = Served(service, url_of(plain), aims, beside, workers)
        serving = Serving(service, plain, grace, beside.interception if beside else None)
        serving.watched = scenarios if watch else ()
        serving.until_stdin_closes = until_stdin_closes
        serving.serve(workers, lambda: click.echo(_GREETINGS[form](served)))


def _leave(number: int, _frame: FrameType | None) -> None:
    """Leave by way of an exception, so that files are removed."""
    raise SystemExit(128 + number)
