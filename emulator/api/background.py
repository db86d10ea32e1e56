"""The listeners of one service (plain HTTP, TLS, proxy) on one event loop, and the thread that runs them in the background."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from emulator.http.sending import Receive, Scope, Send
from emulator.server.app import ASGIApp
from emulator.server.listening import GRACE, build_server, reach
from emulator.server.service import Service

if TYPE_CHECKING:
    from emulator.intercept.proxy import PassedHosts


def _lazy(load: Callable[[], ASGIApp]) -> ASGIApp:
    """An application that is loaded when it is first asked: the server starts quicker without it."""
    load = cache(load)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await load()(scope, receive, send)

    return app


def _load_credentials(service: Service) -> ASGIApp:
    from emulator.credentials.app import CredentialsApp  # noqa: PLC0415
    from emulator.inspector.app import lead_browsers  # noqa: PLC0415

    return lead_browsers(CredentialsApp(service))


def _load_control(service: Service) -> ASGIApp:
    from emulator.inspector.app import build_control_with_page  # noqa: PLC0415

    return build_control_with_page(service)


@dataclass(frozen=True, slots=True)
class Interception:
    """The listeners for programs written for the real service: TLS and, optionally, the proxy that tunnels to it."""

    context: ssl.SSLContext
    tls: socket.socket
    proxy: socket.socket | None
    on_leak: Callable[[str], object]
    """Called with the name of every host that the proxy refuses."""
    passed: "PassedHosts | None" = None
    """The hosts that the proxy lets through to the network."""


class Listeners:
    """The listeners of one service on one event loop: plain HTTP and, optionally, TLS and the proxy."""

    def __init__(
        self,
        service: Service,
        bound: socket.socket,
        on_answering: Callable[[], object],
        interception: Interception | None = None,
        *,
        grace: float = GRACE,
    ) -> None:
        """`on_answering` is called once requests are answered."""
        self._store = service.store
        self._bound = bound
        self._interception = interception
        credentials, control = _lazy(partial(_load_credentials, service)), _lazy(partial(_load_control, service))
        self._server = build_server(service, on_answering, otherwise=credentials, control=control, grace=grace)
        self._tls_server = (
            build_server(service, otherwise=credentials, control=control, context=interception.context, grace=grace)
            if interception
            else None
        )

    def stop(self) -> None:
        """Stop once running answers have ended; on a second call, at once. Signal handlers and other threads may call it."""
        self._server.stop()
        if self._tls_server is not None:
            self._tls_server.stop()

    @property
    def loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop] | None:
        """The factory of the event loop that uvicorn prefers."""
        return self._server.config.get_loop_factory()

    async def serve(self) -> None:
        """Serve on the running event loop until stopped. Raises StartError if the store cannot be reached."""
        await self._store.open()
        try:
            await self._serve()
        finally:
            await self._store.close()

    async def _serve(self) -> None:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            if self._interception is not None and self._tls_server is not None:
                # Both sockets are listening already, so early connections are queued.
                group.create_task(self._tls_server.serve(sockets=[self._interception.tls]))
                if self._interception.proxy is not None:
                    from emulator.intercept.proxy import Proxy  # noqa: PLC0415  # a plain server starts quicker so

                    proxy = Proxy(reach(self._interception.tls), self._interception.on_leak, self._interception.passed)
                    await stack.enter_async_context(proxy.listening(self._interception.proxy))
            await self._server.serve(sockets=[self._bound])


class BackgroundServer:
    """Runs listeners on a thread of its own."""

    def __init__(self, make_listeners: Callable[[Callable[[], object]], Listeners]) -> None:
        """`make_listeners` gets the callback that the listeners call once they answer."""
        self._answering = threading.Event()
        self._listeners = make_listeners(self._answering.set)
        self._thread = threading.Thread(target=self._run, name="vertex-emulator", daemon=True)
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Start, and return once requests are answered. Raises the exception that prevented it."""
        self._thread.start()
        self._answering.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Stop and wait until the thread has ended."""
        self._listeners.stop()
        self._thread.join()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._listeners.loop_factory) as runner:
                runner.run(self._listeners.serve())
        except BaseException as error:  # noqa: BLE001  # raised again by `start`
            self._failure = error
        finally:
            self._answering.set()
