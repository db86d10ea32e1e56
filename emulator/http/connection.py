"""A client's connection: bytes become requests, which the application answers one after the other.

Why not uvicorn's own protocol: faults need the connection below HTTP (a reset, a cut in the middle of a chunk), and uvicorn's makes a
task, an event and a timer for each request and a write for each part of the answer, which costs a quarter of the speed where requests
differ. Uvicorn stays the server; this implements its protocol interface. It runs the application at once, as far as it goes without
waiting, and writes what belongs together in one system call.
"""

import asyncio
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Literal

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from emulator.http.heads import read_head
from emulator.http.request_cycle import CONNECTION_KEY, Message, RequestCycle
from emulator.http.write_buffer import WriteBuffer


def run_to_first_wait(work: Coroutine[Any, Any, object]) -> Coroutine[Any, Any, object] | None:
    """Run a coroutine until it waits for the first time, and return what a task can go on with; None if it is done.

    A task costs more than most answers do to make. Until then `asyncio.current_task()` is None: what needs one has to run in a
    task of its own. From Python 3.12 on asyncio has eager tasks for this.
    """
    try:
        first = work.send(None)
    except StopIteration:
        return None
    return _go_on(_Rest(work, first))


async def _go_on(rest: "_Rest") -> object:
    return await rest


class _Rest:
    """What is left of a coroutine that waits for something."""

    def __init__(self, work: Coroutine[Any, Any, object], awaited: Any) -> None:
        self._work = work
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, object]:
        work, awaited = self._work, self._awaited
        while True:
            failure: BaseException | None = None
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001  # it is for the coroutine
                failure = error
            try:
                awaited = work.send(None) if failure is None else work.throw(failure)
            except StopIteration as done:
                return done.value


_FLUSH_INTERVAL = 0.001
"""Seconds between two looks at whether everything was written."""
_MOST_UNREAD = 65536
"""Bytes of a body that may wait for the application; then no more is received."""
_INVALID = "Invalid HTTP request received."
_log = logging.getLogger("uvicorn.error")


class Connection(asyncio.Protocol):
    """A connection of a client, as uvicorn's server makes it."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # noqa: ARG002  # without a lifespan there is none
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        before_writing: Callable[[], object],
    ) -> None:
        """`before_writing` is called before anything leaves; the rest is what uvicorn gives."""
        self._app = config.loaded_app
        self._state = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._before_writing = before_writing
        self._keep_alive_seconds = config.timeout_keep_alive
        self._keep_alive_timer: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None
        self._parser = httptools.HttpRequestParser(self)
        # A request behind one that closes the connection is left alone, not an error.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._cycles: deque[RequestCycle] = deque()
        """The request that is being answered, and those received behind it."""
        self._receiving: RequestCycle | None = None
        """The last request, whose body may not be there yet."""
        self._task: asyncio.Task[object] | None = None
        """What goes on with an answer that had to wait."""
        self._server_headers: tuple[object, bytes] = None, b""
        self.is_cut = False
        """Whether the server has ended it, because it stops."""

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new connection."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # as loops make it for sockets
        self._buffer = WriteBuffer(self._transport, self._loop, self._before_writing)
        self._state.connections.add(self)  # type: ignore[arg-type]  # uvicorn lists its own only
        self._scope: Message = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "server": _address(transport.get_extra_info("sockname")),
            "client": _address(transport.get_extra_info("peername")),
            "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
            "root_path": "",
            "extensions": {CONNECTION_KEY: self},
        }

    def connection_lost(self, _exc: Exception | None) -> None:
        """Let go of everything, so that nothing waits for the garbage collector."""
        self._state.connections.discard(self)
        for cycle in self._cycles:
            cycle.is_disconnected = True
            cycle.notify()
        self._cycles.clear()
        self._receiving = None
        self._buffer.is_closed = True
        self._buffer.resume_writing()
        if self._keep_alive_timer is not None:
            self._keep_alive_timer.cancel()
        self._parser = self._scope = None  # type: ignore[assignment]  # nothing comes any more

    def data_received(self, data: bytes) -> None:
        """Parse what was received, and answer the requests that are there."""
        self._idle_since = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # To whatever it is: answered as if the client had not asked.
            pass
        except httptools.HttpParserError:
            _log.warning(_INVALID)
            self._buffer.write(b"HTTP/1.1 400 Bad Request\r\n", self._server_lines(), _bad_request())
            self._buffer.close()
        if self._task is None:
            self._answer()

    def pause_writing(self) -> None:
        """Let answers wait until the transport has room."""
        self._buffer.pause_writing()

    def resume_writing(self) -> None:
        """Let them go on."""
        self._buffer.resume_writing()

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        """Take some of the URL."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Queue the request, whose body comes next."""
        parser = self._parser
        version, keep_alive = parser.get_http_version(), parser.should_keep_alive()
        head = read_head(parser.get_method(), self._url, version, tuple(self._headers), keep_alive=keep_alive)
        self._receiving = RequestCycle(self._buffer, {**self._scope, **head.scope}, head, self._server_lines())
        self._cycles.append(self._receiving)
        if len(self._cycles) > 1:
            self._buffer.pause_reading()

    def on_body(self, body: bytes) -> None:
        """Take some of the body."""
        cycle = self._receiving
        if cycle is not None and not cycle.is_complete:
            cycle.feed(body)
            if len(cycle.body) > _MOST_UNREAD:
                self._buffer.pause_reading()

    def on_message_complete(self) -> None:
        """Note that the request is there to its end."""
        cycle = self._receiving
        if cycle is not None and not cycle.is_complete:
            cycle.is_received = True
            cycle.notify()

    # Called by answers.

    async def drop(self, how: Literal["close", "reset"]) -> None:
        """End the connection once what was written has left: in order, or by a reset (RST)."""
        if how == "close":
            self._buffer.close()
            return
        transport = self._transport
        # A transport tells nobody when its buffer is empty.
        while self._buffer.has_unsent and not transport.is_closing():  # noqa: ASYNC110  # as said above
            await asyncio.sleep(_FLUSH_INTERVAL)
        below = transport.get_extra_info("socket")
        if below is not None:
            # A socket that does not linger is closed by a reset.
            below.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    # Called by the server.

    def shutdown(self) -> None:
        """End the connection with the answer that is being sent, at once if there is none."""
        if self._cycles and not self._cycles[0].is_complete:
            self._cycles[0].keep_alive = False
        else:
            self._transport.close()

    def cut(self) -> None:
        """End the connection at once, because the server stops."""
        self.is_cut = True
        self._transport.abort()

    def _answer(self) -> None:
        """Answer what was received, one request after the other, until one has to wait."""
        self._buffer.hold()
        while self._cycles and self._task is None:
            rest = run_to_first_wait(self._cycles[0].run(self._app))
            if rest is None:
                self._finish()
            else:
                self._task = self._loop.create_task(rest)
                self._state.tasks.add(self._task)  # type: ignore[arg-type]  # what it returns is not looked at
                self._task.add_done_callback(self._resume)
        self._buffer.flush()

    def _resume(self, task: "asyncio.Task[object]") -> None:
        """Go on behind an answer that had to wait."""
        self._state.tasks.discard(task)
        self._task = None
        self._finish()
        self._answer()

    def _finish(self) -> None:
        """Finish the current request; start the keep-alive timer if none is queued."""
        if not self._cycles:
            return
        self._cycles.popleft()
        if self._buffer.is_closed:
            self._cycles.clear()
            return
        self._buffer.resume_reading()
        if not self._cycles:
            self._idle_since = self._loop.time()
            if self._keep_alive_timer is None:
                self._keep_alive_timer = self._loop.call_later(self._keep_alive_seconds, self._close_if_idle)

    def _close_if_idle(self) -> None:
        """Close the connection if nothing was received for long enough; one timer serves all of its requests."""
        self._keep_alive_timer = None
        if self._idle_since is None:
            return
        left = self._idle_since + self._keep_alive_seconds - self._loop.time()
        if left > 0:
            self._keep_alive_timer = self._loop.call_later(left, self._close_if_idle)
        else:
            self._transport.close()

    def _server_lines(self) -> bytes:
        """The server's own headers, as they are written into every head."""
        headers = self._state.default_headers
        if headers is not self._server_headers[0]:
            # Uvicorn makes new ones every second.
            self._server_headers = headers, b"".join([b"%b: %b\r\n" % header for header in headers])
        return self._server_headers[1]


def _address(given: Any) -> tuple[str, int] | None:
    """An end of a connection; None where it is no address of the internet."""
    return (str(given[0]), int(given[1])) if isinstance(given, tuple) else None


def _bad_request() -> bytes:
    return b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (
        len(_INVALID),
        _INVALID.encode(),
    )
