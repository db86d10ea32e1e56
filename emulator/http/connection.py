"""A client's connection: what it sends becomes requests, which the application answers one after the other."""

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

from emulator.http.heads import HeadCache, RequestHead, read_head
from emulator.http.request_cycle import CONNECTION_KEY, Message, RequestCycle
from emulator.http.write_buffer import WriteBuffer


def run_to_first_wait(work: Coroutine[Any, Any, object]) -> Coroutine[Any, Any, object] | None:
    """Run a coroutine until it waits for the first time, and return what a task can go on with; None if it is done.

    A task costs more than most answers do to make. Until then nothing may ask which task is running, for there is none: what
    does so has to be a task of its own. From Python 3.12 on asyncio has eager tasks for this.
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


_FLUSH = 0.001
"""Seconds between two looks at whether everything was written."""
_MOST_UNREAD = 65536
"""Bytes of a body that may wait for the application; then no more is read."""
_INVALID = "Invalid HTTP request received."
_log = logging.getLogger("uvicorn.error")


class Connection(asyncio.Protocol):
    """A connection of a client, as uvicorn's server makes it.

    Uvicorn's own would make a task, an event and a timer for each request, and a write for each part of the answer, which is most of
    what a plain answer costs. This one runs the application at once, as far as it goes without waiting, and writes what belongs
    together in one go.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # noqa: ARG002  # without a lifespan there is none
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        heads: HeadCache,
        before_writing: Callable[[], object],
    ) -> None:
        """`heads` are those that the server knows, `before_writing` is called before anything leaves; the rest is what uvicorn gives."""
        self._app = config.loaded_app
        self._state = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._heads = heads
        self._before_writing = before_writing
        self._patience = config.timeout_keep_alive
        self._alarm: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None
        self._parser = httptools.HttpRequestParser(self)
        # A request behind one that closes the connection is left alone, not an error.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head: RequestHead
        """The last head that the parser has read."""
        self._begun = 0
        """How many requests the parser has begun to read in the data it was given last."""
        self._is_between = True
        """Whether what comes next is the beginning of a request."""
        self._cycles: deque[RequestCycle] = deque()
        """The request that is answered, and those that came behind it."""
        self._coming: RequestCycle | None = None
        """The last request, whose body may not be there yet."""
        self._task: asyncio.Task[object] | None = None
        """What goes on with an answer that had to wait."""
        self._own: tuple[object, bytes] = None, b""
        self.is_cut = False
        """Whether the server has ended it, because it stops."""

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with a connection."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # as loops make it for sockets
        self._way = WriteBuffer(self._transport, self._loop, self._before_writing)
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
            cycle.is_gone = True
            cycle.notify()
        self._cycles.clear()
        self._coming = None
        self._way.ends = True
        self._way.free()
        if self._alarm is not None:
            self._alarm.cancel()
        self._parser = self._scope = None  # type: ignore[assignment]  # nothing comes any more

    def data_received(self, data: bytes) -> None:
        """Read what has come, and answer."""
        self._idle_since = None
        known = self._heads.find(data) if self._is_between and not self._way.ends else None
        if known is not None:
            head, body = known
            self._begin(head)
            if body:
                self.on_body(body)
            self.on_message_complete()
        else:
            self._parse(data)
        if self._task is None:
            self._answer()

    def _parse(self, data: bytes) -> None:
        """Have the parser read; it never sees requests whose head is known, so it is always between two of them."""
        was_between, self._begun = self._is_between, 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # To whatever it is: answered as if the client had not asked.
            return
        except httptools.HttpParserError:
            _log.warning(_INVALID)
            self._way.write(b"HTTP/1.1 400 Bad Request\r\n", self._own_lines(), _refusal())
            self._way.close()
            return
        if was_between and self._is_between and self._begun == 1 and self._head.stays:
            self._heads.learn(data, self._head)

    def pause_writing(self) -> None:
        """Have answers wait until there is room."""
        self._way.fill()

    def resume_writing(self) -> None:
        """Let them go on."""
        self._way.free()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Begin with a request."""
        self._is_between = False
        self._begun += 1
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        """Read some of the URL."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read a header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Have a request, whose body comes next."""
        parser = self._parser
        version, stays = parser.get_http_version(), parser.should_keep_alive()
        self._head = read_head(parser.get_method(), self._url, version, tuple(self._headers), stays=stays)
        self._begin(self._head)

    def on_body(self, body: bytes) -> None:
        """Read some of the body."""
        cycle = self._coming
        if cycle is not None and not cycle.is_complete:
            cycle.feed(body)
            if len(cycle.body) > _MOST_UNREAD:
                self._way.pause_reading()

    def on_message_complete(self) -> None:
        """Have the whole request."""
        self._is_between = True
        cycle = self._coming
        if cycle is not None and not cycle.is_complete:
            cycle.is_whole = True
            cycle.notify()

    # What answers call.

    async def drop(self, how: Literal["close", "reset"]) -> None:
        """End the connection once what was written has left: in order, or by a reset (RST)."""
        if how == "close":
            self._way.close()
            return
        transport = self._transport
        # A transport tells nobody when its buffer is empty.
        while self._way.has_unsent and not transport.is_closing():  # noqa: ASYNC110  # as said above
            await asyncio.sleep(_FLUSH)
        below = transport.get_extra_info("socket")
        if below is not None:
            # Closed with nothing to linger for, a connection is reset.
            below.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    # What the server calls.

    def shutdown(self) -> None:
        """End the connection with the answer that is being sent, at once if there is none."""
        if self._cycles and not self._cycles[0].is_complete:
            self._cycles[0].stays = False
        else:
            self._transport.close()

    def cut(self) -> None:
        """End the connection at once, because the server stops."""
        self.is_cut = True
        self._transport.abort()

    # Among themselves.

    def _begin(self, head: RequestHead) -> None:
        self._coming = RequestCycle(self._way, {**self._scope, **head.scope}, head, self._own_lines())
        self._cycles.append(self._coming)
        if len(self._cycles) > 1:
            self._way.pause_reading()

    def _answer(self) -> None:
        """Answer what has come, one request after the other, until one has to wait."""
        self._way.hold()
        while self._cycles and self._task is None:
            rest = run_to_first_wait(self._cycles[0].run(self._app))
            if rest is None:
                self._leave()
            else:
                self._task = self._loop.create_task(rest)
                self._state.tasks.add(self._task)  # type: ignore[arg-type]  # what it returns is not looked at
                self._task.add_done_callback(self._go_on)
        self._way.flush()

    def _go_on(self, task: "asyncio.Task[object]") -> None:
        """Go on behind an answer that had to wait."""
        self._state.tasks.discard(task)
        self._task = None
        self._leave()
        self._answer()

    def _leave(self) -> None:
        """Be done with a request; a connection on which none follows is closed after a while."""
        if not self._cycles:
            return
        self._cycles.popleft()
        if self._way.ends:
            self._cycles.clear()
            return
        self._way.resume_reading()
        if not self._cycles:
            self._idle_since = self._loop.time()
            if self._alarm is None:
                self._alarm = self._loop.call_later(self._patience, self._look)

    def _look(self) -> None:
        """Close the connection if nothing came for long enough; one alarm serves all of its requests."""
        self._alarm = None
        if self._idle_since is None:
            return
        left = self._idle_since + self._patience - self._loop.time()
        if left > 0:
            self._alarm = self._loop.call_later(left, self._look)
        else:
            self._transport.close()

    def _own_lines(self) -> bytes:
        """The server's own headers, as they are written into every head."""
        headers = self._state.default_headers
        if headers is not self._own[0]:
            # Uvicorn makes new ones every second.
            self._own = headers, b"".join([b"%b: %b\r\n" % header for header in headers])
        return self._own[1]


def _address(given: Any) -> tuple[str, int] | None:
    """An end of a connection; None where it is no address of the internet."""
    return (str(given[0]), int(given[1])) if isinstance(given, tuple) else None


def _refusal() -> bytes:
    return b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (
        len(_INVALID),
        _INVALID.encode(),
    )
