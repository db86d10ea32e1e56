"""A client's connection: bytes become requests, which the application answers one after the other.

Why not uvicorn's own protocol: faults need the connection below HTTP (a reset, a cut in the middle of a chunk), and uvicorn's makes a
task, an event and a timer for each request and a write for each part of the answer, which costs a quarter of the speed where requests
differ. Uvicorn stays the server; this implements its protocol interface. It runs the application at once, as far as it goes without
waiting, and writes what belongs together in one system call.
"""

import asyncio
import logging
import select
import socket
import struct
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from emulator.http.heads import (
    MAX_HEAD_BYTES,
    MAX_HEAD_LINES,
    HeadTooLargeError,
    RequestHeaders,
    check_head,
    read_head,
    write_refusal,
    write_request_head,
)
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


MAX_UNREAD_BYTES = 65536
"""Bytes of a body that may wait for the application; then no more is received."""
MAX_UNPARSED_BYTES = 262_144
"""Bytes that are received behind a request that is being answered; as long as more can come, it is noticed when the client leaves."""
MAX_ANSWERS_PER_TURN = 32
"""Pipelined requests that are answered before other connections get their turn."""
_PIECE = 16384
"""Bytes that are parsed at a time, so that a connection never has many parsed requests waiting."""
_HANGUP = getattr(select, "POLLRDHUP", 0)
"""What `poll` reports of a client that has closed its end; other systems than Linux report only resets."""
_IGNORED: deque[tuple[bytes, bytes]] = deque(maxlen=0)
"""Takes fields and keeps none."""
_log = logging.getLogger("uvicorn.error")


class Refusal(NamedTuple):
    """What a client is told whose request cannot be received; then the connection ends."""

    status: int
    text: str


INVALID = Refusal(400, "Invalid HTTP request received.")
HEAD_TIMEOUT = Refusal(408, "The head of the request did not come in time.")
BODY_TIMEOUT = Refusal(408, "The body of the request did not come in time.")

Phase = tuple[Literal["answering", "body", "head", "idle", "closing"], int]
"""What a connection waits for, with a number that changes when it waits for the next of its kind."""


class LargeAnswers:
    """Lets the connections of a server make one large answer in each turn of the event loop, all together.

    Connections that have made none yet come first, the newest and the oldest of them by turns, so that a client that asks for
    something small need not wait for many others that ask for much, and no one waits for ever.
    """

    def __init__(self) -> None:
        self._first: deque[Connection] = deque()
        self._others: deque[Connection] = deque()
        self._is_made = False
        self._is_newest_next = True

    def admit(self, connection: "Connection") -> bool:
        """Whether a connection may answer now; if not, its `go_on` is called in a later turn."""
        if not self._is_made and (not connection.makes_large or not self._first):
            return True
        (self._others if connection.makes_large else self._first).append(connection)
        return False

    def note(self, loop: asyncio.AbstractEventLoop) -> None:
        """A large answer has been made."""
        if not self._is_made:
            self._is_made = True
            loop.call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._is_made = False
        while not self._is_made and (self._first or self._others):
            if self._first:
                connection = self._first.pop() if self._is_newest_next else self._first.popleft()
                self._is_newest_next = not self._is_newest_next
            else:
                connection = self._others.popleft()
            connection.go_on()


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
        large_answers: LargeAnswers | None = None,
    ) -> None:
        """`before_writing` is called before anything leaves; the server's connections share `large_answers`; uvicorn gives the rest."""
        self._app = config.loaded_app
        self._state = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._before_writing = before_writing
        self._large_answers = large_answers or LargeAnswers()
        self._is_queued = False
        """Whether `large_answers` will let it go on."""
        self.makes_large = False
        """Whether its last answer was large."""
        self._parser = self._make_parser()
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] | deque[tuple[bytes, bytes]] = []
        self._upgrading: RequestHeaders | None = None
        """The headers of a request that offers an upgrade, while its head is parsed again without the offer."""
        self._unparsed = bytearray()
        """What was received behind requests that are not answered yet."""
        self._heads_begun = 0
        self._is_in_head = False
        self._head_began_in_piece = False
        self._has_progressed = False
        """Whether the piece that is parsed has completed a head or brought some of a body."""
        self._unfinished_bytes = 0
        """Bytes parsed since that was so."""
        self._refusal: Refusal | None = None
        """Why nothing more is parsed; sent behind the answers to the requests before."""
        self._cycles: deque[RequestCycle] = deque()
        """The request that is being answered, and those received behind it."""
        self._receiving: RequestCycle | None = None
        """The last request, whose body may not be there yet."""
        self._task: asyncio.Task[object] | None = None
        """What goes on with an answer that had to wait."""
        self._server_headers: tuple[object, bytes] = None, b""
        self._phase: Phase | None = None
        """The phase that the last `close_if_overdue` has seen."""
        self._phase_since = 0.0
        self.is_cut = False
        """Whether the server has ended it, because it stops."""
        self.is_stopping = False
        """Whether the server stops; answers that have no end of their own end then."""

    def _make_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # A request behind one that closes the connection is left alone, not an error.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

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
            cycle.disconnect()
        self._cycles.clear()
        self._receiving = None
        self._unparsed.clear()
        self._buffer.is_closed = True
        self._buffer.resume_writing()
        self._parser = self._scope = None  # type: ignore[assignment]  # nothing comes any more

    def data_received(self, data: bytes) -> None:
        """Parse what was received, and answer the requests that are there."""
        if self._refusal is not None or self._buffer.is_closed:
            return
        if self._cycles or self._unparsed or len(data) > _PIECE:
            self._unparsed += data
            self._parse_unparsed()
        else:
            self._parse(data)
        if self._task is None:
            self._answer()

    def pause_writing(self) -> None:
        """Let answers wait until the transport has room."""
        self._buffer.pause_writing()

    def resume_writing(self) -> None:
        """Let them go on."""
        self._buffer.resume_writing()
        if self._cycles and self._task is None:
            self._answer()

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url = b""
        self._headers = []
        self._heads_begun += 1
        self._is_in_head = self._head_began_in_piece = True

    def on_url(self, url: bytes) -> None:
        """Take some of the URL."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Queue the request, whose body comes next."""
        parser, headers = self._parser, tuple(self._headers)
        # Fields behind a body (trailers) are left alone.
        self._headers = _IGNORED
        self._is_in_head, self._has_progressed = False, True
        if not self._head_began_in_piece or len(headers) > MAX_HEAD_LINES:
            check_head(self._url, headers)
        version, keep_alive = parser.get_http_version(), parser.should_keep_alive()
        method = parser.get_method()
        if parser.should_upgrade() and method != b"CONNECT":
            self._upgrading, self._receiving = headers, None
            return
        if self._upgrading is not None:
            headers, self._upgrading = self._upgrading, None
        head = read_head(method, self._url, version, headers, keep_alive=keep_alive)
        self._receiving = RequestCycle(self._buffer, {**self._scope, **head.scope}, head, self._server_lines())
        self._cycles.append(self._receiving)

    def on_body(self, body: bytes) -> None:
        """Take some of the body."""
        self._has_progressed = True
        cycle = self._receiving
        if cycle is not None and not cycle.is_complete:
            cycle.feed(body)
            if cycle.unread_bytes > MAX_UNREAD_BYTES:
                self._buffer.pause_reading()

    def on_message_complete(self) -> None:
        """Note that the request is there to its end."""
        cycle = self._receiving
        if cycle is not None:
            cycle.is_received = True
            if not cycle.is_complete:
                cycle.notify()

    # Called by answers.

    async def drop(self, how: Literal["close", "reset"]) -> None:
        """End the connection once what was written has left: in order, or by a reset (RST)."""
        if how == "close":
            self._buffer.close()
            return
        await self._buffer.empty()
        transport = self._transport
        if transport.is_closing():
            return
        below = transport.get_extra_info("socket")
        if below is not None:
            # A socket that does not linger is closed by a reset. An OSError means that the client has left.
            with suppress(OSError, ValueError):
                below.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    # Called by the server.

    def shutdown(self) -> None:
        """End the connection with the answer that is being sent, at once if there is none."""
        self.is_stopping = True
        if self._cycles and not self._cycles[0].is_complete:
            self._cycles[0].keep_alive = False
        else:
            self._transport.close()

    def cut(self) -> None:
        """End the connection at once, because the server stops."""
        self.is_cut = True
        self._transport.abort()

    def close_if_overdue(self, now: float, timeout: float) -> None:
        """End the connection if it has waited for its client for `timeout` seconds; `now` is any clock's, called every second or so.

        A request that is overdue gets 408, as from nginx and Apache. A connection without one is closed without a word, because a
        408 there would be taken for the answer to the next request. Whoever does not read an answer is waited for, but not
        when the connection ends with it.
        """
        phase = self._find_phase()
        if phase != self._phase or phase[0] == "answering":
            self._phase, self._phase_since = phase, now
        elif now - self._phase_since >= timeout:
            match phase[0]:
                case "head":
                    self._refuse(HEAD_TIMEOUT)
                case "body":
                    self._refuse(BODY_TIMEOUT)
                case "idle":
                    self._buffer.close()
                case _:
                    self._transport.abort()

    def _find_phase(self) -> Phase:
        if self._buffer.is_closing():
            return "closing", self._transport.get_write_buffer_size()
        if self._buffer.is_reading_paused or (self._cycles and self._cycles[0].is_received):
            return "answering", 0
        if self._receiving is not None and not self._receiving.is_received:
            return "body", self._heads_begun
        return "head" if self._is_in_head else "idle", self._heads_begun

    @property
    def paused_socket(self) -> int | None:
        """The file descriptor of the connection if nothing is read from it for now, so that nobody notices when the client closes it."""
        if not self._buffer.is_reading_paused or self._transport.is_closing():
            return None
        below = self._transport.get_extra_info("socket")
        return None if below is None else below.fileno()

    def abort(self) -> None:
        """End the connection at once, because its client has gone."""
        self._transport.abort()

    def _parse_unparsed(self) -> None:
        """Parse piece by piece until a whole request is there to be answered; receive no more if much is left."""
        while self._unparsed and self._refusal is None and not (self._cycles and self._cycles[-1].is_received):
            piece = bytes(self._unparsed[:_PIECE])
            del self._unparsed[:_PIECE]
            self._parse(piece)
        if self._refusal is not None or self._buffer.is_closed:
            self._unparsed.clear()
        elif len(self._unparsed) > MAX_UNPARSED_BYTES:
            self._buffer.pause_reading()

    def _parse(self, data: bytes) -> None:
        """Parse a piece of at most `_PIECE` bytes."""
        if self._refusal is not None:
            return
        self._has_progressed = self._head_began_in_piece = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            if self._upgrading is None:
                # CONNECT, whose body is not HTTP.
                self._refuse(INVALID)
            else:
                rest = data[error.args[0] :]
                self._parse(self._ignore_upgrade(self._upgrading))
                self._parse(rest)
            return
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(Refusal(431, str(cause)) if isinstance(cause, HeadTooLargeError) else INVALID)
            return
        if self._has_progressed:
            self._unfinished_bytes = 0
        else:
            self._unfinished_bytes += len(data)
            if self._unfinished_bytes > MAX_HEAD_BYTES:
                self._refuse(Refusal(431, str(HeadTooLargeError())))

    def _ignore_upgrade(self, headers: RequestHeaders) -> bytes:
        """Take a new parser, and return the head that it has to parse instead: the same without its offer of an upgrade.

        The old one takes the body for bytes of the other protocol. Java's HttpClient and `curl --http2` offer `h2c` on plain HTTP.
        """
        old, self._parser = self._parser, self._make_parser()
        others = [pair for pair in headers if pair[0] != b"upgrade"]
        return write_request_head(old.get_method(), self._url, old.get_http_version(), others)

    def _refuse(self, refusal: Refusal) -> None:
        """Receive no more requests; answer those that are there, then say why and end the connection."""
        if self._refusal is not None:
            return
        _log.warning(refusal.text)
        self._refusal = refusal
        self._unparsed.clear()
        cycle = self._receiving
        if cycle is not None and not cycle.is_received:
            if cycle.is_complete:
                # It was answered before its body was there; nothing else waits for an answer.
                self._buffer.close(half=True)
                return
            cycle.disconnect()
        self._buffer.resume_reading()
        if not self._cycles:
            self._send_refusal(refusal)

    def _send_refusal(self, refusal: Refusal) -> None:
        self._buffer.write(write_refusal(refusal.status, self._server_lines(), refusal.text))
        # Closed for reading, too, it would be reset while the client still sends, and the refusal be lost.
        self._buffer.close(half=True)

    def _answer(self) -> None:
        """Answer what was received, one request after the other, until one has to wait."""
        buffer, left = self._buffer, MAX_ANSWERS_PER_TURN
        if not self._cycles or buffer.is_full or self._is_queued:
            return
        if not self._large_answers.admit(self):
            self._is_queued = True
            return
        buffer.hold()
        while self._cycles and self._task is None and not buffer.is_full:
            if not left:
                self._loop.call_soon(self.go_on)
                break
            left -= 1
            rest = run_to_first_wait(self._cycles[0].run(self._app))
            if rest is None:
                self._finish()
                self.makes_large = buffer.has_large
                if buffer.has_large:
                    # It took time to make, and there may be no room for another.
                    buffer.flush()
                    buffer.hold()
                    left = 0
                    self._large_answers.note(self._loop)
            else:
                self._task = self._loop.create_task(rest)
                self._state.tasks.add(self._task)  # type: ignore[arg-type]  # what it returns is not looked at
                self._task.add_done_callback(self._resume)
        buffer.flush()

    def go_on(self) -> None:
        """Answer what is there, in a turn of the event loop that has room for it."""
        self._is_queued = False
        if self._task is None:
            self._answer()

    def _resume(self, task: "asyncio.Task[object]") -> None:
        """Go on behind an answer that had to wait."""
        self._state.tasks.discard(task)
        self._task = None
        self._finish()
        self._answer()

    def _finish(self) -> None:
        """Finish the current request, and parse what was received behind it."""
        if not self._cycles:
            return
        self._cycles.popleft()
        if self._buffer.is_closed:
            self._cycles.clear()
            return
        if not self._cycles:
            self._buffer.resume_reading()
            if self._unparsed:
                self._parse_unparsed()
            elif self._refusal is not None:
                self._send_refusal(self._refusal)

    def _server_lines(self) -> bytes:
        """The server's own headers, as they are written into every head."""
        headers = self._state.default_headers
        if headers is not self._server_headers[0]:
            # Uvicorn makes new ones every second.
            self._server_headers = headers, b"".join([b"%b: %b\r\n" % header for header in headers])
        return self._server_headers[1]


def sweep(connections: Iterable[Connection], now: float, timeout: float) -> None:
    """End connections whose clients are overdue by `timeout` seconds, or gone while nothing is read from them."""
    paused: dict[int, Connection] = {}
    for connection in connections:
        connection.close_if_overdue(now, timeout)
        number = connection.paused_socket
        if number is not None and number >= 0:
            paused[number] = connection
    if paused and hasattr(select, "poll"):
        poll = select.poll()
        for number in paused:
            poll.register(number, _HANGUP)
        for number, _ in poll.poll(0):
            paused[number].abort()


def _address(given: Any) -> tuple[str, int] | None:
    """An end of a connection; None where it is no address of the internet."""
    return (str(given[0]), int(given[1])) if isinstance(given, tuple) else None
