"""What listens: in the foreground for `serve`, on a thread of its own for tests and programs."""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial

from uvicorn.config import Config
from uvicorn.server import Server as UvicornServer

from emulator.errors import StartError
from emulator.running.accepting import Acceptor, IsNext
from emulator.running.connection import Connection
from emulator.running.heads import KnownHeads
from emulator.server.app import App, ASGIApp, Scope
from emulator.server.playing import Receive, Send
from emulator.server.service import Service

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
        self, config: Config, on_answering: Callable[[], object], grace: float, is_next: IsNext | None = None
    ) -> None:
        """Told to stop, it lets running answers end for `grace` seconds; `is_next` is there if other processes listen too."""
        super().__init__(config)
        self._is_next = is_next
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


def _credentials_of(service: Service) -> ASGIApp:
    @cache
    def find() -> ASGIApp:
        from emulator.credentials.app import CredentialsApp  # noqa: PLC0415  # the server starts quicker without it

        return CredentialsApp(service)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await find()(scope, receive, send)

    return answer


def build_server(
    service: Service,
    on_answering: Callable[[], object] = lambda: None,
    context: ssl.SSLContext | None = None,
    grace: float = GRACE,
    is_next: IsNext | None = None,
) -> Server:
    """A uvicorn server for the service, under TLS if there is a context; what it logs of itself are only errors.

    Told to stop, it lets running answers end for `grace` seconds; `is_next` is there if other processes listen too.
    """
    config = Config(
        App(service, _credentials_of(service)),
        access_log=False,
        date_header=True,
        http=partial(Connection, heads=KnownHeads(), before_writing=service.store.flush),  # type: ignore[arg-type]  # called as a class is
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
    return Server(config, on_answering, grace, is_next)


@dataclass(frozen=True, slots=True)
class Interception:
    """What programs reach that are not told about the emulator: its TLS side and, if there is one, the proxy that leads there."""

    context: ssl.SSLContext
    tls: socket.socket
    proxy: socket.socket | None
    on_leak: Callable[[str], object]
    """Gets the name of every host that the proxy refuses."""


class Listeners:
    """All that listens for one service, on one event loop: the plain server, its TLS twin, the proxy."""

    def __init__(
        self,
        service: Service,
        bound: socket.socket,
        on_answering: Callable[[], object],
        interception: Interception | None = None,
        *,
        grace: float = GRACE,
        is_next: IsNext | None = None,
    ) -> None:
        """`is_next` is there if other processes listen at the plain socket too."""
        self._bound = bound
        self._interception = interception
        self._server = build_server(service, on_answering, grace=grace, is_next=is_next)
        self._twin = build_server(service, context=interception.context, grace=grace) if interception else None

    def stop(self) -> None:
        """End as soon as requests in hand are answered; called again, at once. For signal handlers and other threads too."""
        self._server.stop()
        if self._twin is not None:
            self._twin.stop()

    @property
    def loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop] | None:
        """What makes the loop that suits them."""
        return self._server.config.get_loop_factory()

    async def serve(self) -> None:
        """Serve until stopped, on the loop that runs."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            if self._interception is not None and self._twin is not None:
                # Both sockets listen already, so nobody who comes early is turned away.
                group.create_task(self._twin.serve(sockets=[self._interception.tls]))
                if self._interception.proxy is not None:
                    from emulator.intercept.proxy import Proxy  # noqa: PLC0415  # a plain server starts quicker so

                    proxy = Proxy(reach(self._interception.tls), self._interception.on_leak)
                    await stack.enter_async_context(proxy.listening(self._interception.proxy))
            await self._server.serve(sockets=[self._bound])


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


class Background:
    """Listeners on a thread of their own."""

    def __init__(self, make: Callable[[Callable[[], object]], Listeners]) -> None:
        """`make` is given what the listeners call once they answer."""
        self._answering = threading.Event()
        self._listeners = make(self._answering.set)
        self._thread = threading.Thread(target=self._run, name="vertex-emulator", daemon=True)
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Start and return once requests are answered. Raises whatever kept the server from starting."""
        self._thread.start()
        self._answering.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Stop and wait until the thread is done."""
        self._listeners.stop()
        self._thread.join()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._listeners.loop_factory) as runner:
                runner.run(self._listeners.serve())
        except BaseException as error:  # noqa: BLE001  # raised again on the thread that started this one
            self._failure = error
        finally:
            self._answering.set()


def base_url(url: str, project: str, location: str, endpoint: str = "openapi") -> str:
    """The base URL of an endpoint of the server at a URL."""
    return f"{url}/v1/projects/{project}/locations/{location}/endpoints/{endpoint}"
