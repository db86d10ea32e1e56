"""`vertex-emulator serve`."""

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import click

from emulator import __version__
from emulator.catalogue.quirks import QUIRK_NAMES
from emulator.cli.options import count, option, scenarios_argument, stop
from emulator.errors import EmulatorError

if TYPE_CHECKING:
    from emulator.server.service import Service

_TOKEN_LIFETIME = 365 * 24 * 3600
"""Seconds that the printed token is good for: as long as anybody leaves a server running."""


def _not_empty(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    # An empty token, as an unset variable of the shell gives it, would let everybody in.
    if value == "":
        raise click.BadParameter("the token is empty")
    return value


@click.command()
@scenarios_argument()
@option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 lets other machines in.")
@option("--port", default=8080, type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@option(
    "--auth",
    default="any",
    type=click.Choice(["any", "issued", "off"]),
    help="any: every bearer but API keys and expired tokens; issued: only tokens of this emulator; off: no check.",
)
@option("--seed", help="Makes every answer repeatable to the byte, ids and times included.")
@option(
    "--fallback",
    default="miss",
    type=click.Choice(["miss", "default"]),
    help="What answers when no rule does: the miss report, or the built-in default scenario.",
)
@option(
    "--quirk",
    "quirks",
    multiple=True,
    metavar="NAME",
    type=click.Choice(QUIRK_NAMES),
    callback=lambda _context, _parameter, names: frozenset(names),
    help="Turn on a quirk for all answers; may be repeated, `vertex-emulator quirks` lists them.",
)
@option(
    "--watch", is_flag=True, help="Read the scenarios again when they change; a broken edit keeps the last good ones."
)
@option(
    "--vetting",
    default="enforce",
    type=click.Choice(["enforce", "warn", "off"]),
    help="What becomes of requests that Vertex refuses: refused too, answered with a warning, or not looked at.",
)
@option(
    "--models",
    default="any",
    type=click.Choice(["any", "known"]),
    help="Which models are answered: any, or only those of `vertex-emulator models`; others get the documented 404.",
)
@option(
    "--strict-json",
    is_flag=True,
    help="Refuse bodies with backslashes before line ends, as documented curl samples send.",
)
@option(
    "--control-token",
    callback=_not_empty,
    help="A bearer that opens the control path to other machines too.",
)
@option("--project", default="demo", help="The project in the URLs that are printed; the server answers to any.")
@option(
    "--location", default="us-central1", help="The location in the URLs that are printed; the server answers to any."
)
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
    project: str,
    location: str,
    quiet: bool,
    **settings: Any,
) -> None:
    from emulator.cli.watching import read_rules, watch_scenarios  # noqa: PLC0415  # --help is quicker so
    from emulator.running import address_of, bind, build_server  # noqa: PLC0415  # as above
    from emulator.server.log import log_line  # noqa: PLC0415  # as above
    from emulator.server.service import Service, SystemClock  # noqa: PLC0415  # as above
    from emulator.server.settings import Settings  # noqa: PLC0415  # as above

    service = Service(read_rules(scenarios), Settings(**settings), clock=SystemClock())
    bound = bind(host, port)
    if not quiet:
        service.on_exchange.append(lambda exchange: click.echo(log_line(exchange), err=True))
    server = build_server(service, lambda: _greet(service, address_of(bound), project, location))
    # uvicorn takes these signals over while it runs and raises them again at its end, when they have been dealt with.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))

    async def run() -> None:
        watching = asyncio.create_task(watch_scenarios(service, scenarios)) if watch else None
        # One step, so that whoever has read the greeting may change the files.
        await asyncio.sleep(0)
        await server.serve(sockets=[bound])
        if watching is not None:
            watching.cancel()

    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(run())


def _greet(service: "Service", url: str, project: str, location: str) -> None:
    from emulator.running import base_url  # noqa: PLC0415  # as above

    base = base_url(url, project, location)
    token = service.mint.issue(service.clock.now(), _TOKEN_LIFETIME)
    names = ", ".join(f'"{name}"' for name in service.ruleset.scenarios)
    body = '{"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}]}'
    click.echo(
        f"vertex-emulator {__version__} serves {names} ({count(len(service.ruleset.rules), 'rule')}) at {url}\n"
        f"\nBase URL (any project, location and endpoint will do):\n  {base}\n"
        f"\nTry it:\n  curl {base}/chat/completions \\\n"
        f"    -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\\n    -d '{body}'\n"
        f"\nFor OpenAI clients:\n  export OPENAI_BASE_URL={base}\n  export OPENAI_API_KEY={token}\n"
    )
