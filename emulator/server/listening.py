"""What listens: in the foreground for `serve`, on a thread of its own for tests and programs."""

import asyncio
import gc
import logging
import socket
import ssl
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager, suppress
from functools import partial

from uvicorn.config import Config
from uvicorn.server import Server as UvicornServer

from emulator.errors import StartError
from emulator.http.connection import Connection
from emulator.server.app import App, ASGIApp
from emulator.server.service import Service


def tune_garbage_collector() -> None:
    """Leave what was loaded alone, and look for cycles rarely: answers make hardly any, and a look holds up every stream.

    With a thousand streams the default settings make pauses of 20 to 80 ms (benchmarks/pacing.py). Not for processes of others.
    """
    # The little garbage of loading is kept with the rest: finding it would take as long as reading a scenario.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


_ASIDE = 0.002
"""Seconds for which a process with more connections than others leaves the next one to them."""

ShouldAccept = Callable[[int], bool]
"""Whether a process that has so many connections is to take the next one."""


class Acceptor:
    """Takes one connection at a time, so that all processes get as many: the system would give most to whoever wakes first."""

    def __init__(
        self,
        listening: socket.socket,
        make: Callable[[], asyncio.Protocol],
        connections: Sized,
        should_accept: ShouldAccept,
    ) -> None:
        """`make` makes the protocol of a connection; `connections` are those that there are."""
        self._listening = listening
        self._make = make
        self._connections = connections
        self._is_next = should_accept
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[object]] = set()
        self._aside: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._loop.add_reader(listening, self._wake)

    def close(self) -> None:
        """Take no more."""
        if self._aside is not None:
            self._aside.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()

    def _wake(self) -> None:
        if self._is_next(len(self._connections) + len(self._beginning)):
            self._take()
        else:
            self._step_aside()

    def _step_aside(self) -> None:
        self._loop.remove_reader(self._listening)
        self._aside = self._loop.call_later(_ASIDE, self._return)

    def _return(self) -> None:
        """Take what nobody else has taken meanwhile."""
        self._loop.add_reader(self._listening, self._wake)
        self._take()

    def _take(self) -> None:
        try:
            sock, _ = self._listening.accept()
        except BlockingIOError:
            # Others have been quicker.
            return
        except OSError:
            # For want of descriptors, for example: it can be taken later, and until then the loop must not turn in vain.
            self._step_aside()
            return
        task = self._loop.create_task(self._begin(sock))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _begin(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        # Gone already, if it cannot be.
        with suppress(OSError):
            # As loops do for connections that they accept themselves: a chunk does not wait for the next one.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._make, sock)


GRACE = 5
"""Seconds that answers which are being sent may go on once the server is told to stop."""
_LOOK = 0.05
"""Seconds between two looks at whether to wait any longer."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises StartError in one clear sentence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(2048)
    except (OSError, OverflowError) as error:
        bound.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StartError(
            f"cannot listen on {host}:{port}: {reason.lower()}; choose another port, or --port 0 for a free one"
        ) from None
    bound.set_inheritable(True)
    return bound


class Server(UvicornServer):
    """A uvicorn server that says when it answers, stops at once, and leaves signals to whoever runs it."""

    def __init__(
        self,
        config: Config,
        on_answering: Callable[[], object],
        grace: float,
        should_accept: ShouldAccept | None = None,
    ) -> None:
        """Told to stop, it lets running answers end for `grace` seconds; `is_next` is there if other processes listen too."""
        super().__init__(config)
        self._is_next = should_accept
        self._grace = grace
        self._on_answering = on_answering
        self._wake: Callable[[], object] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then say so."""
        if self._is_next is None:
            await super().startup(sockets=sockets)
        else:
            await super().startup(sockets=[])
            config, state = self.config, self.server_state
            protocol: Callable[..., asyncio.Protocol] = config.http_protocol_class
            make = partial(protocol, config=config, server_state=state, app_state={})
            acceptors = [Acceptor(one, make, state.connections, self._is_next) for one in sockets or ()]
            self.servers = acceptors  # type: ignore[assignment]  # they are only closed
        self._on_answering()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone: they concern all that listens, not one server."""
        yield

    async def main_loop(self) -> None:
        """Do what is to be done ten times a second until told to stop; uvicorn's own loop sleeps through that."""
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(stopped.set)
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % 864_000
            tick = loop.call_later(0.1, stopped.set)
            await stopped.wait()
            stopped.clear()
            tick.cancel()
        self._wake = lambda: None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, let answers that are being sent end for a while, then cut them; uvicorn would wait for nobody, too."""
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        connections, tasks = self.server_state.connections, self.server_state.tasks
        for connection in list(connections):
            connection.shutdown()
        until = asyncio.get_running_loop().time() + self._grace
        while tasks and not self.force_exit and asyncio.get_running_loop().time() < until:
            await asyncio.wait(list(tasks), timeout=_LOOK)
        for connection in list(connections):
            if isinstance(connection, Connection):
                connection.cut()
        if tasks:
            await asyncio.wait(list(tasks), timeout=GRACE)

    def stop(self) -> None:
        """End as soon as requests in hand are answered, or the grace is over; called again, at once. For other threads too."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._wake()


def build_server(
    service: Service,
    on_answering: Callable[[], object] = lambda: None,
    *,
    otherwise: ASGIApp | None = None,
    context: ssl.SSLContext | None = None,
    grace: float = GRACE,
    should_accept: ShouldAccept | None = None,
) -> Server:
    """A uvicorn server for the service, under TLS if there is a context; what it logs of itself are only errors.

    Told to stop, it lets running answers end for `grace` seconds; `is_next` is there if other processes listen too.
    """
    config = Config(
        App(service, otherwise),
        access_log=False,
        date_header=True,
        http=partial(Connection, before_writing=service.store.flush),  # type: ignore[arg-type]  # called as a class is
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        ws="none",
    )
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    # Given only now, because loading would want the certificate and its key in files.
    config.load()
    config.ssl = context
    return Server(config, on_answering, grace, should_accept)


def reach(bound: socket.socket) -> tuple[str, int]:
    """Where a listening socket can be reached from this machine."""
    host, port = bound.getsockname()[:2]
    return ("127.0.0.1" if host in {"0.0.0.0", "::"} else host, port)  # noqa: S104  # compared, not bound


def address_of(bound: socket.socket) -> str:
    """The same as it stands in URLs."""
    host, port = reach(bound)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_of(bound: socket.socket, scheme: str = "http") -> str:
    """The URL of a listening socket."""
    return f"{scheme}://{address_of(bound)}"


def base_url(url: str, project: str, location: str, endpoint: str = "openapi") -> str:
    """The base URL of an endpoint of the server at a URL."""
    return f"{url}/v1/projects/{project}/locations/{location}/endpoints/{endpoint}"
