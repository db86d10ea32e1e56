"""Listening sockets and the uvicorn server: binding, accepting connections, and graceful shutdown."""

import asyncio
import gc
import logging
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from uvicorn.config import Config
from uvicorn.server import Server as UvicornServer

from emulator.errors import StartError
from emulator.http.connection import Connection, LargeAnswers, sweep
from emulator.server.app import App, ASGIApp
from emulator.server.service import Service


def tune_interpreter() -> None:
    """Exclude loaded objects from garbage collection and collect rarely: answers create few cycles, and a collection delays every stream.

    With a thousand streams the default settings make pauses of 20 to 80 ms (benchmarks/pacing.py). Beside a thread that works, the event
    loop has its turns after 1 ms instead of 5, and a request needs several. Call it only in the emulator's own processes, because the
    settings are process-wide.
    """
    # Freezes without collecting first: a collection would take as long as loading a scenario.
    gc.freeze()
    # Of the many objects of a scenario that is read, so many are looked at in one go that it takes 50 ms and not 150.
    gc.set_threshold(25_000, 4, 500)
    gc.enable()
    sys.setswitchinterval(0.001)


_BACKLOG = 2048
GRACE = 5
"""Seconds that running answers may continue once the server is told to stop."""
CUT_TIMEOUT = 1
"""Seconds that answers get to end once their connections are cut."""
_CANCEL_AFTER = 0.3
"""Seconds of these after which they are cancelled."""
_TICKS_BETWEEN_SWEEPS = 10
"""Tenths of a second between two looks for connections whose clients are overdue or gone."""
_POLL_INTERVAL = 0.05
"""Seconds between two checks whether shutdown is complete."""


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Create a listening socket; port 0 takes a free one. Raises StartError if the address cannot be bound.

    With `shared` it does not listen, and others of this program can be opened at its address (`open_shared`), which share the connections.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        if shared:
            # Only an address that nobody else has may be shared.
            address = bound.getsockname()
            bound.close()
            return open_shared(family, address, listen=False)
        bound.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        bound.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StartError(
            f"cannot listen on {host}:{port}: {reason.lower()}; choose another port, or --port 0 for a free one"
        ) from None
    bound.set_inheritable(True)
    return bound


def open_shared(family: int, address: Any, *, listen: bool = True) -> socket.socket:
    """Open one of several sockets at an address; the kernel spreads connections over those that listen (`SO_REUSEPORT`)."""
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    opened.bind(address)
    if listen:
        opened.listen(_BACKLOG)
    return opened


class Server(UvicornServer):
    """A uvicorn server that reports when it is ready, stops immediately when told to, and does not handle signals."""

    def __init__(
        self,
        config: Config,
        on_answering: Callable[[], object],
        grace: float,
        request_timeout: float,
    ) -> None:
        """`grace`, in seconds, is for running answers after `stop`, `request_timeout` for clients to send what is waited for."""
        super().__init__(config)
        self._request_timeout = request_timeout
        self._grace = grace
        self._on_answering = on_answering
        self._wake: Callable[[], object] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then call `on_answering`."""
        await super().startup(sockets=sockets)
        self._on_answering()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers: a signal concerns all listeners, not one server."""
        yield

    async def main_loop(self) -> None:
        """Run uvicorn's tick ten times a second until told to stop; unlike uvicorn's loop, wake immediately on `stop`."""
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(stopped.set)
        counter = 0
        while not await self.on_tick(counter):
            if not counter % _TICKS_BETWEEN_SWEEPS:
                sweep(list(self.server_state.connections), loop.time(), self._request_timeout)  # type: ignore[arg-type]  # ours
            counter = (counter + 1) % 864_000
            tick = loop.call_later(0.1, stopped.set)
            await stopped.wait()
            stopped.clear()
            tick.cancel()
        self._wake = lambda: None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, give running answers `grace` seconds, then close their connections."""
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        connections, tasks = self.server_state.connections, self.server_state.tasks
        for connection in list(connections):
            connection.shutdown()
        until = asyncio.get_running_loop().time() + self._grace
        while tasks and not self.force_exit and asyncio.get_running_loop().time() < until:
            await asyncio.wait(list(tasks), timeout=_POLL_INTERVAL)
        for connection in list(connections):
            if isinstance(connection, Connection):
                connection.cut()
        if tasks:
            await asyncio.wait(list(tasks), timeout=_CANCEL_AFTER)
        for task in tasks:
            # It waits for work in a thread, which may take longer.
            task.cancel()
        if tasks:
            await asyncio.wait(list(tasks), timeout=CUT_TIMEOUT - _CANCEL_AFTER)

    def stop(self) -> None:
        """Stop once running answers end or the grace is over; called again, stop immediately. Thread-safe."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._wake()


def build_server(
    service: Service,
    on_answering: Callable[[], object] = lambda: None,
    *,
    otherwise: ASGIApp | None = None,
    control: ASGIApp | None = None,
    context: ssl.SSLContext | None = None,
    grace: float = GRACE,
    app: ASGIApp | None = None,
) -> Server:
    """Build a uvicorn server for the service, with TLS if `context` is given; it logs only errors.

    `otherwise` answers paths that are not the service's, `control` the control path, `app` everything, with nothing added to its answers;
    see `Server` for the other parameters.
    """
    config = Config(
        app or App(service, otherwise, control),
        access_log=False,
        date_header=app is None,
        http=partial(Connection, before_writing=service.store.flush, large_answers=LargeAnswers()),  # type: ignore[arg-type]  # a partial of the class
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        ws="none",
    )
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    # Set after `load`, which would require certificate and key as files.
    config.load()
    config.ssl = context
    return Server(config, on_answering, grace, service.settings.request_timeout)


def reach(bound: socket.socket) -> tuple[str, int]:
    """Host and port at which this machine can reach a listening socket."""
    host, port = bound.getsockname()[:2]
    return ("127.0.0.1" if host in {"0.0.0.0", "::"} else host, port)  # noqa: S104  # compared, not bound


def address_of(bound: socket.socket) -> str:
    """Host and port of a listening socket as written in URLs."""
    host, port = reach(bound)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_of(bound: socket.socket, scheme: str = "http") -> str:
    """The URL of a listening socket."""
    return f"{scheme}://{address_of(bound)}"


def base_url(url: str, project: str, location: str, endpoint: str = "openapi") -> str:
    """The base URL of an endpoint on the server at `url`."""
    return f"{url}/v1/projects/{project}/locations/{location}/endpoints/{endpoint}"
