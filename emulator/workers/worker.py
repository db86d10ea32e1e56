"""What a worker process does: serve, with a link to what it shares with the others."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from emulator.api.background import Listeners
from emulator.server.lifetime import stop_on_signals
from emulator.server.listening import ShouldAccept
from emulator.server.service import Service
from emulator.store.replica import ReplicaStore
from emulator.workers.channel import SocketChannel


def work(
    service: Service,
    channel: SocketChannel,
    listen: Callable[[Callable[[], object], ShouldAccept], Listeners],
    reread: Callable[[], object],
    *,
    reloads: int,
    grace: float,
    beside: Callable[[], Coroutine[Any, Any, object]] | None = None,
) -> None:
    """Serve until SIGTERM, or until the supervisor is gone.

    `listen` makes the listeners, given what they call once they answer and what shares out connections; `reread` reads the server's scenarios again when another worker
    has found them changed, and `reloads` is how often that was so far; `grace` is how long running answers may go on, in seconds; `beside` runs while this one serves.
    """
    link = ReplicaStore(service.sessions, service.journal, channel, reread, reloads)
    service.store = link
    listeners = listen(lambda: channel.notify("answering", channel.worker), channel.should_accept)

    async def serve() -> None:
        channel.open(link.come, listeners.stop)
        task = asyncio.create_task(beside()) if beside is not None else None
        # One step, so that it has begun when the server says that it answers.
        await asyncio.sleep(0)
        await listeners.serve()
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    with (
        stop_on_signals(listeners.stop, grace, [signal.SIGTERM]),
        asyncio.Runner(loop_factory=listeners.loop_factory) as runner,
    ):
        runner.run(serve())
