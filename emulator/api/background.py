"""TODO."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache

from emulator.http.sending import Receive, Send
from emulator.server.app import ASGIApp, Scope
from emulator.server.listening import GRACE, IsNext, build_server, reach
from emulator.server.service import Service


def _credentials_of(service: Service) -> ASGIApp:
    @cache
    def find() -> ASGIApp:
        from emulator.credentials.app import CredentialsApp  # noqa: PLC0415  # the server starts quicker without it

        return CredentialsApp(service)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await find()(scope, receive, send)

    return answer


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
        self._server = build_server(
            service, on_answering, otherwise=_credentials_of(service), grace=grace, is_next=is_next
        )
        self._twin = (
            build_server(service, otherwise=_credentials_of(service), context=interception.context, grace=grace)
            if interception
            else None
        )

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
