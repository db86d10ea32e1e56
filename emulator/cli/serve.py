"""`vertex-emulator serve`."""

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from emulator import __version__
from emulator.cli.intercepting import Aims, open_beside
from emulator.cli.options import count, option, scenarios_argument, stop
from emulator.cli.service import TOKEN_LIFETIME, log_requests, place_options, settings_options
from emulator.errors import EmulatorError

if TYPE_CHECKING:
    from emulator.running import Listeners
    from emulator.server.service import Service

_PORT = click.IntRange(0, 65535)


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
@option("--quiet", is_flag=True, help="Do not log requests.")
def serve(scenarios: tuple[str, ...], **options: Any) -> None:
    """Serve scenarios: files and folders, or the built-in default.

    Prints the base URL, a curl line to try and the environment variables for OpenAI clients, then a line for each request.
    Ctrl-C ends it.
    """
    if options["watch"] and not scenarios:
        raise click.UsageError("--watch needs scenarios to watch")
    try:
        _serve(scenarios, **options)
    except EmulatorError as error:
        stop(error)


def _serve(
    scenarios: tuple[str, ...],
    *,
    host: str,
    port: int,
    watch: bool,
    tls: bool,
    tls_port: int,
    proxy: bool,
    proxy_port: int,
    project: str,
    location: str,
    quiet: bool,
    **settings: Any,
) -> None:
    from emulator.cli.watching import read_rules  # noqa: PLC0415  # --help is quicker so
    from emulator.running import Listeners, bind, url_of  # noqa: PLC0415  # as above
    from emulator.server.service import Service, SystemClock  # noqa: PLC0415  # as above
    from emulator.server.settings import Settings  # noqa: PLC0415  # as above

    _on_signal(_leave)
    service = Service(read_rules(scenarios), Settings(project=project, **settings), clock=SystemClock())
    with ExitStack() as stack:
        plain = stack.enter_context(bind(host, port))
        if not quiet:
            log_requests(service, sys.stderr)
        interception, more = None, ""
        if tls or proxy:
            aims = Aims(project=project, location=location)
            interception, more = open_beside(stack, service, plain, (tls_port, proxy_port if proxy else None), aims)
        listeners = Listeners(
            service, plain, lambda: _greet(service, url_of(plain), project, location, more), interception
        )
        _on_signal(lambda *_: listeners.stop())
        with asyncio.Runner(loop_factory=listeners.loop_factory) as runner:
            runner.run(_listen(listeners, service, scenarios if watch else ()))


async def _listen(listeners: "Listeners", service: "Service", watched: tuple[str, ...]) -> None:
    from emulator.cli.watching import watch_scenarios  # noqa: PLC0415  # as above

    watching = asyncio.create_task(watch_scenarios(service, watched)) if watched else None
    # One step, so that whoever has read the greeting may change the files.
    await asyncio.sleep(0)
    await listeners.serve()
    if watching is not None:
        watching.cancel()


def _on_signal(handler: Callable[[int, FrameType | None], object]) -> None:
    numbers = [signal.SIGINT, signal.SIGTERM]
    # A terminal that is closed says so, unless `nohup` keeps it from us.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        signal.signal(number, handler)


def _leave(number: int, _frame: FrameType | None) -> None:
    """Leave by way of an exception, so that files are removed."""
    raise SystemExit(128 + number)


def _greet(service: "Service", url: str, project: str, location: str, more: str) -> None:
    from emulator.running import base_url  # noqa: PLC0415  # as above

    base = base_url(url, project, location)
    token = service.mint.issue(service.clock.now(), TOKEN_LIFETIME)
    names = ", ".join(f'"{name}"' for name in service.ruleset.scenarios)
    body = '{"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}]}'
    click.echo(
        f"vertex-emulator {__version__} serves {names} ({count(len(service.ruleset.rules), 'rule')}) at {url}\n"
        f"\nBase URL (any project, location and endpoint will do):\n  {base}\n"
        f"\nTry it:\n  curl {base}/chat/completions \\\n"
        f"    -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\\n    -d '{body}'\n"
        f"\nFor OpenAI clients:\n  export OPENAI_BASE_URL={base}\n  export OPENAI_API_KEY={token}\n{more}"
    )
