"""The listeners of one service (plain HTTP, TLS, proxy) on one event loop, and the thread that runs them in the background."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Protocol

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
    from emulator.credentials.app import CredentialsApp  # noqa: PLC0415  # loaded when it is first asked
    from emulator.inspector.app import lead_browsers  # noqa: PLC0415  # as above

    return lead_browsers(CredentialsApp(service))


def _load_control(service: Service) -> ASGIApp:
    from emulator.inspector.app import build_control_with_page  # noqa: PLC0415  # loaded when it is first asked

    return build_control_with_page(service)


def lazy_control(service: Service) -> ASGIApp:
    """The application of a service's control path, with the page."""
    return _lazy(partial(_load_control, service))


class OtherApp(Protocol):
    """What answers instead of the service, such as a recorder; it is entered on the event loop before requests come."""

    async def __aenter__(self) -> object: ...
    async def __aexit__(self, *_: object) -> None: ...
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        ...


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
    on_pass: Callable[[str], object] = lambda _: None
    """Called with the name of every host that it lets through."""


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
        app: OtherApp | None = None,
    ) -> None:
        """`on_answering` is called once requests are answered; `app` answers them instead of the service."""
        self._app = app
        self._store = service.store
        self._bound = bound
        self._interception = interception
        build = partial(
            build_server,
            service,
            otherwise=_lazy(partial(_load_credentials, service)),
            control=lazy_control(service),
            grace=grace,
            app=app,
        )
        self._server = build(on_answering)
        self._tls_server = build(context=interception.context) if interception else None

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
            async with self._app or nullcontext():
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

                    one = self._interception
                    proxy = Proxy(reach(one.tls), one.on_leak, one.passed, one.on_pass)
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
