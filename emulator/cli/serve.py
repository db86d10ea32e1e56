"""`vertex-emulator serve`: in this process, or in several worker processes."""

import asyncio
import gc
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
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
    recording_options,
    scenarios_argument,
    settings_options,
)
from emulator.cli.output import count, exit_with_error, log_requests, print_line
from emulator.cli.parent_watch import check_stdin, stdin_reader, when_stdin_closes
from emulator.cli.watch import read_rules, reload_scenarios, reload_silently, watch_scenarios
from emulator.errors import EmulatorError, StartError
from emulator.redaction import clean_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emulator.api.background import Interception, Listeners, OtherApp
    from emulator.server.log import LogFormat
    from emulator.server.service import Service
    from emulator.store.exchange import Exchange


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
    app: "OtherApp | None" = None
    """What answers instead of the service."""

    def run(self, on_answering: Callable[[], object]) -> None:
        """Serve in this process until a signal comes; `on_answering` is called once requests are answered. Raises StartError."""
        from emulator.server.lifetime import stop_signals

        listeners = self._listeners(self.plain, on_answering)
        if self.until_stdin_closes:
            when_stdin_closes(listeners.stop)
        self._serve(listeners, stop_signals(), watch=bool(self.watched))

    def run_workers(self, number_of_workers: int, url: str, namespace: str, on_answering: Callable[[], object]) -> None:
        """Serve in worker processes that share the store at a URL. Raises StartError if they keep dying."""
        from emulator.cli.workers import ANSWERING, Supervisor
        from emulator.server.listening import open_shared

        def work(number: int, notify: Callable[[bytes], object], is_replacement: bool) -> None:
            def reread() -> None:
                reload_silently(self.service, self.watched)
                notify(b"reload")

            use_redis(self.service, url, namespace, reread)
            own = open_shared(self.plain.family, self.plain.getsockname())
            listeners = self._listeners(own, partial(notify, ANSWERING))
            is_watcher = bool(self.watched) and number == 0
            self._serve(listeners, [signal.SIGTERM], watch=is_watcher, reload_first=is_watcher and is_replacement)

        # The supervisor has the last good scenarios too, because a worker that replaces a dead one is forked from it.
        supervisor = Supervisor(
            work,
            count=number_of_workers,
            on_answering=on_answering,
            on_message=lambda _: reload_silently(self.service, self.watched),
            report=print_line,
            grace=self.grace,
        )
        watched = []
        if self.until_stdin_closes:
            watched = [(sys.stdin.fileno(), stdin_reader(supervisor.stop))]
        supervisor.run(watched)

    def _listeners(self, bound: socket.socket, on_answering: Callable[[], object]) -> "Listeners":
        from emulator.api.background import Listeners

        return Listeners(self.service, bound, on_answering, self.interception, grace=self.grace, app=self.app)

    def _serve(
        self, listeners: "Listeners", numbers: "Sequence[signal.Signals]", *, watch: bool, reload_first: bool = False
    ) -> None:
        from emulator.server.lifetime import stop_on_signals
        from emulator.server.listening import tune_interpreter

        async def serve() -> None:
            watching = asyncio.create_task(self._watch(reload_first=reload_first)) if watch else None
            # Lets the watch start first, so that files may be changed as soon as the banner is printed.
            await asyncio.sleep(0)
            try:
                await listeners.serve()
            finally:
                if watching is not None:
                    watching.cancel()

        tune_interpreter()
        with (
            stop_on_signals(self._say_and_stop(listeners), self.grace, numbers),
            asyncio.Runner(loop_factory=listeners.loop_factory) as runner,
        ):
            runner.run(serve())

    def _say_and_stop(self, listeners: "Listeners") -> Callable[[], object]:
        """What a signal calls: the first time it says which answers are waited for."""
        is_first = True

        def stop() -> None:
            nonlocal is_first
            was_first, is_first = is_first, False
            listeners.stop()
            if was_first and self.grace:
                report_waiting(list(self.service.open_streams.values()), self.grace)

        return stop

    async def _watch(self, *, reload_first: bool) -> None:
        async with asyncio.TaskGroup() as group:
            if reload_first:
                # Runs once the watch has started, so that no change is lost between the two.
                group.create_task(reload_scenarios(self.service, self.watched))
            await watch_scenarios(self.service, self.watched)


_MAX_NAMED = 3
"""Answers that are named when the server waits for them."""


def report_waiting(streams: "Sequence[Exchange]", grace: float) -> None:
    """Say which answers are still being sent, and that a second signal ends them."""
    if not streams:
        return
    named = [f"#{one.number} {one.session} {_name(one)}" for one in streams[:_MAX_NAMED]]
    if len(streams) > _MAX_NAMED:
        named.append(f"and {len(streams) - _MAX_NAMED} more")
    waits = f"waiting up to {grace:g} s for {count(len(streams), 'answer')} to end"
    text = clean_line(f"{waits} ({', '.join(named)}); Ctrl-C again ends at once")
    # Not by a buffer: a signal may come while something is written there, which then cannot be entered again.
    with suppress(OSError):
        os.write(2, f"vertex-emulator: {text}\n".encode("utf-8", "replace"))


def _name(exchange: "Exchange") -> str:
    chosen = exchange.outcome.chosen
    return f'"{chosen.rule.name}"' if chosen else exchange.result


def check_store(url: str | None) -> None:
    """Raise StartError if redis-py is not installed, or if a store's URL cannot be read."""
    from importlib.util import find_spec

    if find_spec("redis") is None:
        extra = "workers" if url is None else "redis"
        raise StartError(
            f"--workers and --store need the Redis client, which is not installed: pip install 'vertex-openai-emulator[{extra}]'"
        )
    if url is not None:
        from emulator.store.redis_servers import find_servers

        find_servers(url)


def use_redis(service: "Service", url: str, namespace: str, reread: Callable[[], object]) -> None:
    """Keep the state of a service on a Redis server; `reread` is called when another process has read changed scenarios."""
    from emulator.store.redis import RedisStore

    service.store = RedisStore(
        url,
        service.sessions,
        service.journal,
        namespace=namespace,
        reread=reread,
        report=print_line,
        read_counters=service.metrics.read,
    )


async def _try(service: "Service") -> None:
    """Connect to the store and disconnect. Raises StartError."""
    await service.store.open()
    await service.store.close()


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
    help="How many processes answer; they share sessions, quotas and the journal, in a Redis server of their own unless --store names one.",
)
@option(
    "--store",
    metavar="URL",
    help="Redis server that several servers share: redis://HOST:PORT/0, rediss://, unix://, redis+sentinel://, redis+cluster://.",
)
@option(
    "--store-namespace",
    default="vertex-emulator",
    help="What the keys of the store begin with; servers with the same one share their state.",
)
@option(
    "--record",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Answer nothing, but forward all requests to Google's hosts or --upstream, and record Vertex AI's exchanges in this folder.",
)
@recording_options
@option("--quiet", is_flag=True, help="Do not log requests.")
@option(
    "--log-format",
    default="text",
    type=click.Choice(["text", "json"]),
    help="What a request is logged as: a line for people, with colours on terminals unless NO_COLOR is set, or one of JSON.",
)
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
    request. Ctrl-C ends it, once the answers that are being sent have ended or --grace is over; a second one ends it at once.
    """
    if options["watch"] and not scenarios:
        raise click.UsageError("--watch needs scenarios to watch")
    check_recording(scenarios, options, proxy=proxy)
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


def check_recording(scenarios: tuple[str, ...], options: Mapping[str, Any], *, proxy: bool) -> None:
    """Raise UsageError for options of `--record` without it, and for what it has no use for."""
    if options["record"] is None:
        for name, given in (("--upstream", options["upstream"]), ("--redact", options["patterns"])):
            if given:
                raise click.UsageError(f"{name} needs --record DIR, where the exchanges with the upstream are kept")
    elif scenarios:
        raise click.UsageError(
            "--record forwards all requests, so that no scenario would be asked; leave SCENARIOS out"
        )
    elif proxy:
        raise click.UsageError(
            "--record has no proxy; unchanged programs are recorded by `vertex-emulator record -- COMMAND...`"
        )
    elif options["workers"] > 1 or options["store"] is not None:
        raise click.UsageError("--record works in one process; leave --workers and --store out")


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
    store: str | None,
    store_namespace: str,
    record: Path | None,
    upstream: str | None,
    patterns: tuple[re.Pattern[str], ...],
    quiet: bool,
    log_format: "LogFormat",
    form: str,
    until_stdin_closes: bool,
    **settings: Any,
) -> None:
    from emulator.server.clock import SystemClock
    from emulator.server.lifetime import handle_stop_signals, kill_with_parent
    from emulator.server.listening import bind, url_of
    from emulator.server.service import Service
    from emulator.server.settings import Settings

    handle_stop_signals(_exit)
    if until_stdin_closes:
        check_stdin()
    settings |= {"project": client_options.project, "location": client_options.location}
    service = Service(read_rules(scenarios), Settings(**settings), clock=SystemClock())
    if workers > 1:
        from emulator.cli.workers import check_workers

        check_workers()
    if workers > 1 or store is not None:
        check_store(store)
    with ExitStack() as stack:
        plain = stack.enter_context(bind(host, port, shared=workers > 1))
        if not quiet:
            log_requests(service, sys.stderr, log_format)
        interception = open_interception(stack, service, plain, ports, client_options) if ports else None
        app = None
        if record is not None:
            from emulator.api.background import lazy_control
            from emulator.cli.record import open_recording, refuse_loop

            refuse_loop(upstream, plain.getsockname())
            recorder, app = open_recording(
                record, upstream, patterns, service.clock, verbose=not quiet, control=lazy_control(service)
            )
            stack.callback(lambda: print_line(recorder.summary()))
            stack.callback(recorder.close)
        banner = Banner(service, url_of(plain), client_options, interception, workers, record, upstream or "")
        server = Server(
            service,
            plain,
            grace,
            interception=interception.listeners if interception else None,
            watched=scenarios if watch else (),
            until_stdin_closes=until_stdin_closes,
            app=app,
        )

        def print_banner() -> None:
            click.echo(_BANNERS[form](banner))

        if workers == 1:
            if store is not None:
                use_redis(service, store, store_namespace, partial(reload_silently, service, scenarios))
            server.run(print_banner)
            return
        if store is not None:
            # Once, because each worker would say the same.
            use_redis(service, store, store_namespace, lambda: None)
            asyncio.run(_try(service))
        else:
            from emulator.store.private_redis import private_redis

            store = stack.enter_context(private_redis(kill_with_parent))
        server.run_workers(workers, store, store_namespace, print_banner)


def _exit(number: int, _frame: FrameType | None) -> None:
    """Raise SystemExit, so that temporary files are removed."""
    raise SystemExit(128 + number)
