"""Serving in the foreground: in this process, or in several below it."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from emulator.cli.banner import Served, greet_people, greet_programs
from emulator.cli.interception import Aims, open_beside
from emulator.cli.options import log_requests, option, place_options, scenarios_argument, settings_options, stop
from emulator.cli.parent_watch import check_stdin, watch_stdin, when_stdin_closes
from emulator.errors import EmulatorError, StartError

if TYPE_CHECKING:
    from emulator.api.background import Interception, Listeners
    from emulator.server.listening import IsNext
    from emulator.server.service import Service
    from emulator.workers.channel import SocketChannel
    from emulator.workers.hub import Hub


@dataclass(slots=True)
class Serving:
    """What is to be served, where, and until when."""

    service: "Service"
    plain: socket.socket
    grace: float
    interception: "Interception | None" = None
    watched: tuple[str, ...] = ()
    """The scenarios that are read again when they change."""
    until_stdin_closes: bool = False

    def serve(self, workers: int, greet: Callable[[], object]) -> None:
        """Serve in so many processes until a signal comes; `greet` says that requests are answered. Raises StartError."""
        if workers == 1:
            serve_alone(self, greet)
        else:
            serve_together(self, workers, greet)

    def listen(self, on_answering: Callable[[], object], is_next: "IsNext | None" = None) -> "Listeners":
        """What listens in one process."""
        from emulator.api.background import Listeners  # noqa: PLC0415  # --help is quicker so

        return Listeners(self.service, self.plain, on_answering, self.interception, grace=self.grace, is_next=is_next)


def serve_alone(serving: Serving, greet: Callable[[], object]) -> None:
    """Serve in this process until a signal comes."""
    from emulator.server.listening import tune_collector  # noqa: PLC0415  # as above

    listeners = serving.listen(greet)
    on_signal(lambda *_: listeners.stop())
    if serving.until_stdin_closes:
        when_stdin_closes(listeners.stop)
    tune_collector()
    with asyncio.Runner(loop_factory=listeners.loop_factory) as runner:
        runner.run(_listen(listeners, serving))


async def _listen(listeners: "Listeners", serving: Serving) -> None:
    watching = asyncio.create_task(_watch(serving)) if serving.watched else None
    # One step, so that whoever has read the greeting may change the files.
    await asyncio.sleep(0)
    await listeners.serve()
    if watching is not None:
        watching.cancel()


async def _watch(serving: Serving, *, first_read: bool = False) -> None:
    from emulator.cli.watch import read_again, watch_scenarios  # noqa: PLC0415  # as above

    async with asyncio.TaskGroup() as group:
        if first_read:
            # It comes to its turn when the watch has begun, so no change falls between the two.
            group.create_task(read_again(serving.service, serving.watched))
        await watch_scenarios(serving.service, serving.watched)


def serve_together(serving: Serving, workers: int, greet: Callable[[], object]) -> None:
    """Serve in several processes until a signal comes. Raises StartError where processes cannot be forked, or do not live."""
    if not hasattr(os, "fork"):
        raise StartError("--workers needs a system that can fork processes; use --workers 1")
    from emulator.cli.watch import follow  # noqa: PLC0415  # as above
    from emulator.server.listening import tune_collector  # noqa: PLC0415  # as above
    from emulator.workers.hub import Hub  # noqa: PLC0415  # as above
    from emulator.workers.supervisor import Supervisor  # noqa: PLC0415  # as above

    service = serving.service
    settings = service.settings
    hub = Hub(workers, settings.journal_exchanges, settings.journal_bytes, service.clock.elapsed)
    # The supervisor reads what has changed first of all, for it is what becomes of a worker that takes another's place.
    hub.before["reload"] = partial(follow, service, serving.watched)
    supervisor = Supervisor(
        hub,
        partial(_be_worker, serving, hub),
        count=workers,
        on_answering=greet,
        say=lambda text: click.echo(f"vertex-emulator: {text}", err=True),
        grace=serving.grace,
    )
    if serving.until_stdin_closes:
        watch_stdin(hub.watch, hub.ignore, supervisor.stop)
    tune_collector()
    supervisor.run()


def _be_worker(serving: Serving, hub: "Hub", channel: "SocketChannel") -> None:
    from emulator.cli.watch import follow  # noqa: PLC0415  # as above
    from emulator.workers.worker import work  # noqa: PLC0415  # as above

    watch = partial(_watch, serving, first_read=channel.is_replacement)
    watches = serving.watched and channel.worker == 0
    reread = partial(follow, serving.service, serving.watched)
    work(serving.service, channel, serving.listen, reread, reloads=hub.reloads, beside=watch if watches else None)


def on_signal(handler: Callable[[int, FrameType | None], object]) -> None:
    """Call a handler when the process is told to end."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    # A terminal that is closed says so, unless `nohup` keeps it from us.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        signal.signal(number, handler)


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
    from emulator.cli.watch import read_rules  # noqa: PLC0415  # --help is quicker so
    from emulator.server.clock import SystemClock  # noqa: PLC0415  # as above
    from emulator.server.listening import bind, url_of  # noqa: PLC0415  # as above
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
