"""`vertex-emulator serve`: in this process, or in several worker processes."""

import asyncio
import gc
import os
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from emulator.cli.banner import Banner
from emulator.cli.interception import open_interception
from emulator.cli.options import (
    ClientOptions,
    CredentialKind,
    option,
    proxy_options,
    scenarios_argument,
    settings_options,
)
from emulator.cli.output import exit_with_error, log_requests
from emulator.cli.parent_watch import check_stdin, watch_stdin, when_stdin_closes
from emulator.cli.watch import read_rules, reload_scenarios, reload_silently, watch_scenarios
from emulator.errors import EmulatorError, StartError

if TYPE_CHECKING:
    from emulator.api.background import Interception, Listeners
    from emulator.server.listening import ShouldAccept
    from emulator.server.service import Service
    from emulator.workers.channel import SocketChannel
    from emulator.workers.hub import Hub


@dataclass(frozen=True, slots=True)
class Server:
    """A service, its sockets, and what makes it reload scenarios and stop."""

    service: "Service"
    plain: socket.socket
    grace: float
    interception: "Interception | None" = None
    watched: tuple[str, ...] = ()
    """The scenarios that are reloaded when they change."""
    until_stdin_closes: bool = False

    def run(self, workers: int, on_answering: Callable[[], object]) -> None:
        """Serve in this many processes until a signal comes; `on_answering` is called once all answer. Raises StartError."""
        if workers == 1:
            self._run_alone(on_answering)
        else:
            self._run_workers(workers, on_answering)

    def _listeners(
        self, on_answering: Callable[[], object], should_accept: "ShouldAccept | None" = None
    ) -> "Listeners":
        from emulator.api.background import Listeners

        return Listeners(
            self.service, self.plain, on_answering, self.interception, grace=self.grace, should_accept=should_accept
        )

    def _run_alone(self, on_answering: Callable[[], object]) -> None:
        """Serve in this process."""
        from emulator.server.lifetime import stop_on_signals, stop_signals
        from emulator.server.listening import tune_garbage_collector

        listeners = self._listeners(on_answering)
        if self.until_stdin_closes:
            when_stdin_closes(listeners.stop)

        async def serve() -> None:
            watching = asyncio.create_task(self._watch()) if self.watched else None
            # Lets the watch start first, so that files may be changed as soon as the banner is printed.
            await asyncio.sleep(0)
            await listeners.serve()
            if watching is not None:
                watching.cancel()

        tune_garbage_collector()
        with (
            stop_on_signals(listeners.stop, self.grace, stop_signals()),
            asyncio.Runner(loop_factory=listeners.loop_factory) as runner,
        ):
            runner.run(serve())

    def _run_workers(self, workers: int, on_answering: Callable[[], object]) -> None:
        """Serve in worker processes. Raises StartError where processes cannot be forked, or if they keep dying."""
        if not hasattr(os, "fork"):
            raise StartError("--workers needs a system that can fork processes; use --workers 1")
        from emulator.server.listening import tune_garbage_collector
        from emulator.workers.hub import Hub
        from emulator.workers.supervisor import Supervisor

        service, settings = self.service, self.service.settings
        hub = Hub(workers, settings.journal_exchanges, settings.journal_bytes, service.clock.elapsed)
        # The supervisor reloads first, because a worker that replaces a dead one is forked from it.
        hub.before["reload"] = partial(reload_silently, service, self.watched)
        supervisor = Supervisor(
            hub,
            partial(self._run_worker, hub),
            count=workers,
            on_answering=on_answering,
            say=lambda text: click.echo(f"vertex-emulator: {text}", err=True),
            grace=self.grace,
        )
        if self.until_stdin_closes:
            watch_stdin(hub.watch, hub.ignore, supervisor.stop)
        tune_garbage_collector()
        supervisor.run()

    def _run_worker(self, hub: "Hub", channel: "SocketChannel") -> None:
        from emulator.workers.worker import work

        watch = partial(self._watch, reload_first=channel.is_replacement)
        is_watcher = self.watched and channel.worker == 0
        reload = partial(reload_silently, self.service, self.watched)
        work(
            self.service,
            channel,
            self._listeners,
            reload,
            reloads=hub.reloads,
            grace=self.grace,
            beside=watch if is_watcher else None,
        )

    async def _watch(self, *, reload_first: bool = False) -> None:
        async with asyncio.TaskGroup() as group:
            if reload_first:
                # Runs once the watch has started, so that no change is lost between the two.
                group.create_task(reload_scenarios(self.service, self.watched))
            await watch_scenarios(self.service, self.watched)


_PORT = click.IntRange(0, 65535)
_BANNERS = {"text": Banner.as_text, "json": Banner.as_json}


def _check_token(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
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
    callback=_check_token,
    help="A bearer that opens the control path to other machines too.",
)
@option("--tls", is_flag=True, help="Answer under TLS too, with a certificate made for this run.")
@option("--tls-port", default=8443, type=_PORT, help="Port for that; 0 takes a free one.")
@option(
    "--proxy", is_flag=True, help="Be the HTTPS proxy of unchanged programs too, and print the variables they need."
)
@option("--proxy-port", default=8081, type=_PORT, help="Port for that; 0 takes a free one.")
@proxy_options
@option(
    "--grace",
    default=5.0,
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="How long answers that are being sent may go on once the server is told to end.",
)
@option(
    "--request-timeout",
    default=60.0,
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="How long a client may take for a request's head, for its body, and until the next request.",
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
    type=click.Choice(list(_BANNERS)),
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
    credentials: CredentialKind,
    passed_hosts: tuple[str, ...],
    **options: Any,
) -> None:
    """Serve scenarios: files and folders, or the built-in default.

    Prints the base URL, a curl line to try and the environment variables for OpenAI clients; then, on stderr, a line for each
    request. Ctrl-C ends it.
    """
    if options["watch"] and not scenarios:
        raise click.UsageError("--watch needs scenarios to watch")
    ports = (tls_port, proxy_port if proxy else None) if tls or proxy else None
    client_options = ClientOptions(
        project=project, location=location, credentials=credentials, passed_hosts=passed_hosts
    )
    # Nothing that is loaded becomes garbage; `tune_collector` turns the collector on again.
    gc.disable()
    try:
        _serve(scenarios, ports=ports, client_options=client_options, **options)
    except EmulatorError as error:
        exit_with_error(error)
    finally:
        gc.enable()


def _serve(
    scenarios: tuple[str, ...],
    *,
    host: str,
    port: int,
    watch: bool,
    ports: tuple[int, int | None] | None,
    client_options: ClientOptions,
    grace: float,
    workers: int,
    quiet: bool,
    form: str,
    until_stdin_closes: bool,
    **settings: Any,
) -> None:
    from emulator.server.clock import SystemClock
    from emulator.server.lifetime import handle_stop_signals
    from emulator.server.listening import bind, url_of
    from emulator.server.service import Service
    from emulator.server.settings import Settings

    handle_stop_signals(_exit)
    if until_stdin_closes:
        check_stdin()
    settings |= {"project": client_options.project, "location": client_options.location}
    service = Service(read_rules(scenarios), Settings(**settings), clock=SystemClock())
    with ExitStack() as stack:
        plain = stack.enter_context(bind(host, port))
        if not quiet:
            log_requests(service, sys.stderr)
        interception = open_interception(stack, service, plain, ports, client_options) if ports else None
        banner = Banner(service, url_of(plain), client_options, interception, workers)
        server = Server(
            service,
            plain,
            grace,
            interception=interception.listeners if interception else None,
            watched=scenarios if watch else (),
            until_stdin_closes=until_stdin_closes,
        )
        server.run(workers, lambda: click.echo(_BANNERS[form](banner)))


def _exit(number: int, _frame: FrameType | None) -> None:
    """Raise SystemExit, so that temporary files are removed."""
    raise SystemExit(128 + number)
