"""Serving in the foreground: in this process, or in several below it."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import click

from emulator.cli.parent import watch_stdin, when_stdin_closes
from emulator.errors import StartError
from emulator.values import dataclass

if TYPE_CHECKING:
    from emulator.running import Interception, Listeners
    from emulator.running.accepting import IsNext
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
        from emulator.running import Listeners  # noqa: PLC0415  # --help is quicker so

        return Listeners(self.service, self.plain, on_answering, self.interception, grace=self.grace, is_next=is_next)


def serve_alone(serving: Serving, greet: Callable[[], object]) -> None:
    """Serve in this process until a signal comes."""
    from emulator.running.memory import tune_collector  # noqa: PLC0415  # as above

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
    from emulator.cli.watching import read_again, watch_scenarios  # noqa: PLC0415  # as above

    async with asyncio.TaskGroup() as group:
        if first_read:
            # It comes to its turn when the watch has begun, so no change falls between the two.
            group.create_task(read_again(serving.service, serving.watched))
        await watch_scenarios(serving.service, serving.watched)


def serve_together(serving: Serving, workers: int, greet: Callable[[], object]) -> None:
    """Serve in several processes until a signal comes. Raises StartError where processes cannot be forked, or do not live."""
    if not hasattr(os, "fork"):
        raise StartError("--workers needs a system that can fork processes; use --workers 1")
    from emulator.cli.watching import follow  # noqa: PLC0415  # as above
    from emulator.running.memory import tune_collector  # noqa: PLC0415  # as above
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
    from emulator.cli.watching import follow  # noqa: PLC0415  # as above
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
