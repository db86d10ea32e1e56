"""`vertex-emulator serve`."""

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emulator import __version__
from emulator.cli.options import count, option, print_problems, scenarios_argument, stop
from emulator.errors import EmulatorError, ScenarioError

if TYPE_CHECKING:
    from emulator.server.service import Service


@click.command()
@scenarios_argument()
@option("--host", default="127.0.0.1", help="Address to listen on; other machines reach only other addresses.")
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
    "--watch", is_flag=True, help="Read the scenarios again when they change; a broken edit keeps the last good ones."
)
@option(
    "--strict-json",
    is_flag=True,
    help="Refuse bodies with backslashes before line ends, as documented curl samples send.",
)
@option("--control-token", help="A bearer that opens the control path to other machines too.")
@option("--project", default="demo", help="The project in the URLs that are printed; the server answers to any.")
@option(
    "--location", default="us-central1", help="The location in the URLs that are printed; the server answers to any."
)
@option("--quiet", is_flag=True, help="Do not log requests.")
def serve(scenarios: tuple[str, ...], **options: Any) -> None:
    """Serve scenarios: files and folders, or without any the built-in default.

    Prints the base URL, a curl line to try and the environment variables for OpenAI clients.
    """
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
    from emulator.running import address_of, bind, build_server, build_service  # noqa: PLC0415  # --help is quicker so
    from emulator.scenario.reading import read_paths  # noqa: PLC0415  # as above
    from emulator.server.log import log_line  # noqa: PLC0415  # as above
    from emulator.server.settings import Settings  # noqa: PLC0415  # as above

    chosen = _without_empty_folders(scenarios)
    if chosen:
        print_problems(read_paths(chosen).warnings)
    service = build_service(chosen, Settings(**settings))
    bound = bind(host, port)
    if not quiet:
        service.on_exchange.append(lambda exchange: click.echo(log_line(exchange), err=True))
    _greet(service, address_of(bound), project, location)
    server = build_server(service)
    # uvicorn raises the signal again once it has shut down; it has been dealt with by then.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    async def run() -> None:
        watching = asyncio.create_task(_watch(service, chosen)) if watch and chosen else None
        await server.serve(sockets=[bound])
        if watching is not None:
            watching.cancel()

    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(run())


def _without_empty_folders(scenarios: tuple[str, ...]) -> tuple[str, ...]:
    """A folder that has no scenarios yet, such as a container's volume, leaves the built-in default in place."""
    empty = [one for one in scenarios if Path(one).is_dir() and not any(Path(one).rglob("*.y*ml"))]
    for folder in empty:
        click.echo(f"no scenarios in {folder}: left out", err=True)
    return tuple(one for one in scenarios if one not in empty)


def _greet(service: "Service", url: str, project: str, location: str) -> None:
    from emulator.running import base_url  # noqa: PLC0415  # as above

    base = base_url(url, project, location)
    token = service.mint.issue(service.clock.now())
    names = ", ".join(f'"{name}"' for name in service.ruleset.scenarios)
    body = '{"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}]}'
    click.echo(
        f"vertex-emulator {__version__} serves {names} ({count(len(service.ruleset.rules), 'rule')}) at {url}\n"
        f"\nBase URL (any project, location and endpoint will do):\n  {base}\n"
        f"\nTry it:\n  curl {base}/chat/completions \\\n"
        f"    -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\\n    -d '{body}'\n"
        f"\nFor OpenAI clients:\n  export OPENAI_BASE_URL={base}\n  export OPENAI_API_KEY={token}\n"
    )


async def _watch(service: "Service", scenarios: tuple[str, ...]) -> None:
    from watchfiles import awatch  # noqa: PLC0415  # only when asked for

    from emulator.engine.compiling import compile_rules  # noqa: PLC0415  # as above
    from emulator.scenario.reading import read_paths  # noqa: PLC0415  # as above

    async for _ in awatch(*{_watched(Path(one)) for one in scenarios}):
        try:
            reading = read_paths(scenarios)
            service.ruleset = compile_rules(reading.scenarios)
        except EmulatorError as error:
            print_problems(error.problems if isinstance(error, ScenarioError) else [])
            click.echo("the scenarios have problems: the last good ones stay in use", err=True)
        else:
            print_problems(reading.warnings)
            click.echo(f"read again: {count(len(service.ruleset.rules), 'rule')}", err=True)


def _watched(path: Path) -> Path:
    """Editors replace files, so it is their folder that is watched."""
    return path if path.is_dir() else Path(os.path.abspath(path)).parent  # noqa: PTH100  # links are kept as they are
