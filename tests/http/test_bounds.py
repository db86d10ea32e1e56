"""What a client may send, how much and for how long: heads, times, pipelined requests, and what is no HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from emulator.http.connection import MAX_ANSWERS_PER_TURN, Connection, LargeAnswers, sweep
from emulator.http.heads import MAX_HEAD_BYTES, MAX_HEAD_LINES

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[..., Awaitable[None]]

GARBAGE = b"\x16\x03garbage\r\n\r\n"


class Wire:
    """A transport that keeps what is written to it, and holds up to `room` bytes before writers have to wait."""

    def __init__(self, room: float = float("inf")) -> None:
        self.written = b""
        self.unread = 0
        self.room = room
        self.is_paused = self.has_ended = self.is_closed = False
        self.protocol: asyncio.Protocol

    def get_extra_info(self, _name: str) -> None:
        """There is nothing to tell."""

    def write(self, data: bytes) -> None:
        """Keep what is written."""
        self.written += data
        self.unread += len(data)
        if self.unread > self.room:
            self.protocol.pause_writing()

    def writelines(self, data: list[bytes]) -> None:
        """Keep what is written."""
        self.write(b"".join(data))

    def read_all(self) -> None:
        """Read, as a client, all that was written."""
        self.unread = 0
        self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        """What was not read."""
        return self.unread

    def can_write_eof(self) -> bool:
        """It can be half closed."""
        return True

    def write_eof(self) -> None:
        """Half close it."""
        self.has_ended = True

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self.is_closed

    def close(self) -> None:
        """Close it."""
        self.has_ended = self.is_closed = True

    abort = close

    def pause_reading(self) -> None:
        """Note that no more is wanted."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """Note that more is."""
        self.is_paused = False


async def echo(scope: Any, receive: Receive, send: Send) -> None:
    """Answer with what was asked."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    told = b"%b %b %b" % (scope["method"].encode(), scope["raw_path"], body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(told))]})
    await send({"type": "http.response.body", "body": told})


def connect(app: Application = echo, wire: Wire | None = None, **more: Any) -> tuple[Connection, Wire]:
    """A connection without a socket."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none")
    config.load()
    connection = Connection(config, ServerState(), {}, before_writing=lambda: None, **more)
    wire = wire or Wire()
    wire.protocol = connection
    made: Any = wire
    connection.connection_made(made)
    return connection, wire


async def turn(times: int = 20) -> None:
    """Let the loop turn."""
    for _ in range(times):
        await asyncio.sleep(0)


def hear(*pieces: bytes, app: Application = echo) -> Wire:
    """The transport after these pieces were received."""

    async def work() -> Wire:
        connection, wire = connect(app)
        for piece in pieces:
            connection.data_received(piece)
            await turn(3)
        await turn()
        return wire

    return asyncio.run(work())


def cut(data: bytes, size: int) -> list[bytes]:
    """Data in pieces of a size."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def answer(told: bytes) -> bytes:
    """What `echo` answers."""
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(told), told)


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"


@pytest.mark.parametrize("size", [1, 7, 100_000], ids=str)
@pytest.mark.parametrize(
    "offer",
    [UPGRADE, b"Upgrade: websocket\r\nconnection: upgrade\r\n", b"upgrade: h2c\r\n"],
    ids=["h2c", "websocket", "unsaid"],
)
def test_an_offered_upgrade_is_ignored(offer: bytes, size: int) -> None:
    """Bodies of both kinds stay, and so does the connection; offers may follow each other."""
    sent = (
        b"POST /a HTTP/1.1\r\nHost: x\r\n" + offer + b"Content-Length: 3\r\n\r\nabc"
        b"POST /b HTTP/1.1\r\n" + offer + b"Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"
        b"GET /c HTTP/1.1\r\n" + offer + b"\r\n"
        b"GET /d HTTP/1.1\r\n\r\n"
    )
    wire = hear(*cut(sent, size))
    assert wire.written == answer(b"POST /a abc") + answer(b"POST /b def") + answer(b"GET /c ") + answer(b"GET /d ")
    assert not wire.has_ended


def test_an_application_sees_the_offer() -> None:
    """The headers are those that were sent."""
    seen = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        seen.extend(scope["headers"])
        await echo(scope, receive, send)

    hear(b"POST / HTTP/1.1\r\nHost: x\r\n" + UPGRADE + b"Content-Length: 3\r\n\r\nabc", app=app)
    assert [name for name, _ in seen] == [b"host", b"connection", b"upgrade", b"http2-settings", b"content-length"]


@pytest.mark.parametrize("size", [1000, 10_000_000], ids=str)
@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\na: " + b"b" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"b" * 200_000,
        b"GET /" + b"b" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 40_000,
        b"GET / HTTP/1.1\r\n" + b"a:\r\n" * (MAX_HEAD_LINES + 1) + b"\r\n",
        b"GET / HTTP/1.1\r\na: " + b"b" * MAX_HEAD_BYTES + b"\r\n\r\n",
        b"\r\n" * 100_000,
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: " + b"b" * 200_000,
    ],
    ids=["value", "name", "URL", "lines", "few lines too many", "a few bytes too many", "no line", "trailer"],
)
def test_heads_are_bounded(sent: bytes, size: int) -> None:
    """In bytes and in lines, however they come, trailers and what stands before a request included."""
    pieces = cut(sent, size)
    wire = hear(*pieces)
    assert wire.written.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert wire.written.endswith(b"The head of the request has more than 64 KB or 1,000 header lines.")
    assert wire.has_ended


@pytest.mark.parametrize("size", [999, 10_000_000], ids=str)
def test_heads_up_to_the_bounds_are_read(size: int) -> None:
    """Also behind a large body, of which the end and the head come in one piece; a body's chunks have no bound."""
    line = b"a: " + b"b" * (MAX_HEAD_BYTES - 100) + b"\r\n"
    body = b"z" * 100_000
    large = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    lines = b"a:\r\n" * MAX_HEAD_LINES
    chunks = (
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;some=extension\r\nz\r\n" * 5000 + b"0\r\n\r\n"
    )
    sent = large + b"GET /1 HTTP/1.1\r\n" + line + b"\r\n" + large + b"GET /2 HTTP/1.1\r\n" + lines + b"\r\n" + chunks
    wire = hear(*cut(sent, size))
    assert wire.written == answer(b"POST / " + body) + answer(b"GET /1 ") + answer(b"POST / " + body) + answer(
        b"GET /2 "
    ) + answer(b"POST / " + b"z" * 5000)


def test_trailers_reach_no_other_request() -> None:
    """Fields behind a body are left alone."""
    seen = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        seen.append(scope["headers"])
        await echo(scope, receive, send)

    hear(
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: x\r\n\r\nGET / HTTP/1.1\r\na: b\r\n\r\n",
        app=app,
    )
    assert seen == [((b"transfer-encoding", b"chunked"),), ((b"a", b"b"),)]


class Slow:
    """An application whose answers wait until they are allowed to end."""

    def __init__(self) -> None:
        self.end = asyncio.Event()

    async def __call__(self, _scope: Any, receive: Receive, send: Send) -> None:
        """Answer in two parts."""
        while (await receive())["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await self.end.wait()
        await send({"type": "http.response.body", "body": b"two"})


@pytest.mark.parametrize("comes", ["with it", "later"])
def test_what_is_no_http_waits_for_the_answers_before(comes: str) -> None:
    """Each is whole; then comes a 400, and the end."""
    request = b"GET / HTTP/1.1\r\n\r\n"

    async def work() -> Wire:
        app = Slow()
        connection, wire = connect(app)
        if comes == "with it":
            connection.data_received(request + request + GARBAGE)
        else:
            connection.data_received(request + request)
            connection.data_received(GARBAGE)
        connection.data_received(request)
        await turn()
        assert wire.written.endswith(b"\r\n\r\n3\r\none\r\n")
        app.end.set()
        await turn()
        return wire

    wire = asyncio.run(work())
    whole = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    assert wire.written.startswith(whole + whole + b"HTTP/1.1 400 Bad Request\r\n")
    assert wire.written.count(b"HTTP/1.1") == 3
    assert wire.has_ended


def test_a_body_that_cannot_be_read_is_refused_at_once() -> None:
    """The application is told that the client has left."""
    wire = hear(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n\r\n")
    assert wire.written.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert wire.written.count(b"HTTP/1.1") == 1
    assert wire.has_ended


def test_nothing_is_said_behind_the_last_answer() -> None:
    """What follows a request that closes the connection is not looked at."""
    wire = hear(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n" + GARBAGE)
    assert wire.written == b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nGET / "


TIMEOUT = 60.0


def wait(*sent: bytes, seconds: float, between: float = 1.0, app: Application = echo) -> Wire:
    """The transport of a connection that has received something each `between` seconds, and then waited for some seconds."""

    async def work() -> Wire:
        connection, wire = connect(app)
        now = 0.0
        sweep([connection], now, TIMEOUT)
        for one in sent:
            connection.data_received(one)
            await turn()
            sweep([connection], now, TIMEOUT)
            now += between
        now -= between
        for _ in range(int(seconds)):
            now += 1
            sweep([connection], now, TIMEOUT)
            await turn()
        ended = wire.has_ended
        connection.connection_lost(None)
        await turn()
        wire.has_ended = ended
        return wire

    return asyncio.run(work())


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
WHOLE = HEAD + b"123456789"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ([], b""),
        ([b"\r\n"], b""),
        ([b"P"], b"408"),
        ([b"POST "], b"408"),
        ([HEAD[:-2]], b"408"),
        ([HEAD], b"408"),
        ([HEAD, b"12345"], b"408"),
        ([WHOLE], b"200"),
        ([WHOLE, b"G"], b"200 408"),
        ([WHOLE, HEAD], b"200 408"),
        ([WHOLE + WHOLE], b"200 200"),
        ([WHOLE, WHOLE, b"\r\n"], b"200 200"),
    ],
    ids=[
        "nothing",
        "a line end",
        "a byte",
        "a method",
        "most of a head",
        "a head",
        "some of a body",
        "a request",
        "a byte behind",
        "a head behind",
        "two",
        "one by one",
    ],
)
def test_clients_have_time_but_not_for_ever(sent: list[bytes], told: bytes) -> None:
    """What is begun gets a 408, what is not is closed without a word, both after the same time and not before."""
    before, after = wait(*sent, seconds=TIMEOUT - 2), wait(*sent, seconds=TIMEOUT + 1)
    told_before = told.removesuffix(b"408").rstrip()
    for wire, statuses in ((before, told_before), (after, told)):
        assert b" ".join([line[:3] for line in wire.written.split(b"HTTP/1.1 ")[1:]]) == statuses
    assert (before.has_ended, after.has_ended) == (False, True)


def test_bytes_now_and_then_win_no_time() -> None:
    """Neither for a head nor for a body; a new request does."""
    assert wait(*[HEAD[place : place + 1] for place in range(35)], between=2, seconds=0).written.startswith(
        b"HTTP/1.1 408 "
    )
    large = HEAD.replace(b"9", b"99")
    assert wait(large, *[b"x"] * 35, between=2, seconds=0).written.startswith(b"HTTP/1.1 408 ")
    assert wait(*[WHOLE] * 35, between=2, seconds=0).written.count(b" 200 ") == 35


def test_answers_have_all_the_time() -> None:
    """What an application takes is not the client's."""

    async def work() -> None:
        app = Slow()
        connection, wire = connect(app)
        connection.data_received(b"GET / HTTP/1.1\r\n\r\nGET / HT")
        for now in range(1000):
            sweep([connection], float(now), TIMEOUT)
            await turn(1)
        assert not wire.has_ended
        app.end.set()
        await turn()
        for now in range(1000, 1062):
            sweep([connection], float(now), TIMEOUT)
            await turn(1)
        assert wire.written.count(b" 408 ") == 1
        assert wire.has_ended

    asyncio.run(work())


def test_a_connection_that_ends_waits_for_its_reader_only_as_long() -> None:
    """Unless the client goes on reading."""

    async def work(*, reads: bool) -> bool:
        connection, wire = connect(wire=Wire(room=10))
        connection.data_received(b"GET / HTTP/1.1\r\n\r\n" + GARBAGE)
        connection.resume_writing()
        closed = []
        wire.abort = wire.close = lambda: closed.append(True)  # type: ignore[method-assign]  # like a transport that has not written all
        for now in range(100):
            wire.unread -= reads
            sweep([connection], float(now), TIMEOUT)
            await turn(2)
        return bool(closed)

    assert asyncio.run(work(reads=False))
    assert not asyncio.run(work(reads=True))


def test_pipelined_answers_wait_for_room_one_by_one() -> None:
    """One large answer is made, the next when there is room; none is lost."""
    made = []

    async def app(scope: Any, _receive: Receive, send: Send) -> None:
        made.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100000")]})
        await send({"type": "http.response.body", "body": b"x" * 100_000})

    async def work() -> None:
        connection, wire = connect(app, Wire(room=65536))
        for _ in range(3):
            connection.data_received(
                b"".join(b"GET /%d HTTP/1.1\r\na: %b\r\n\r\n" % (number, b"b" * 10_000) for number in range(20))
            )
        await turn()
        assert len(made) == 1
        assert wire.is_paused
        for number in range(1, 60):
            assert len(made) == number
            wire.read_all()
            await turn(3)
        assert made == [f"/{number}" for number in range(20)] * 3
        assert len(wire.written) == 60 * len(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n") + 6_000_000
        wire.read_all()
        assert not wire.is_paused

    asyncio.run(work())


def test_large_answers_of_many_connections_leave_others_their_turn() -> None:
    """One is made in each turn of the loop, whoever asks; a newcomer need not wait for those that came before."""
    made: list[str] = []

    async def app(scope: Any, _receive: Receive, send: Send) -> None:
        made.append(scope["path"])
        size = 1 if scope["path"] == "/small" else 100_000
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": b"x" * size})

    async def work() -> None:
        shared = LargeAnswers()
        greedy = [connect(app, large_answers=shared)[0] for _ in range(10)]
        for number, connection in enumerate(greedy):
            connection.data_received(b"GET /%d HTTP/1.1\r\n\r\n" % number * 5)
        assert made == ["/0"]
        await turn(2)
        assert len(made) == 3
        other, _ = connect(app, large_answers=shared)
        other.data_received(b"GET /small HTTP/1.1\r\n\r\n")
        greedy[4].connection_lost(None)
        await turn(2)
        assert "/small" in made[3:6]
        await turn(9)
        # Each of the ten has had one but that whose client has left, before any of them has another.
        assert sorted(made[:10]) == sorted([*(f"/{number}" for number in range(10) if number != 4), "/small"])
        await turn(100)
        assert {path: made.count(path) for path in made} == {"/small": 1} | {f"/{n}": 5 for n in range(10) if n != 4}
        other.data_received(b"GET /small HTTP/1.1\r\n\r\n")
        assert made[-1] == "/small"

    asyncio.run(work())


def test_pipelined_requests_leave_others_their_turn() -> None:
    """After some answers of one connection, another's is made; few requests are parsed ahead."""
    order: list[str] = []
    scopes = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        order.append(scope["path"])
        scopes.append(scope)
        await echo(scope, receive, send)

    async def work() -> None:
        greedy, wire = connect(app)
        greedy.data_received(b"GET /greedy HTTP/1.1\r\n\r\n" * 10_000)
        assert len(order) == MAX_ANSWERS_PER_TURN
        assert len(greedy._cycles) < 1000
        other, _ = connect(app)
        other.data_received(b"GET /other HTTP/1.1\r\n\r\n")
        assert order[-1] == "/other"
        await turn(1000)
        assert len(order) == 10_001
        assert wire.written.count(b"GET /greedy") == 10_000

    asyncio.run(work())


@pytest.mark.parametrize(
    "start",
    [
        {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\r\nc: d")]},
        {"type": "http.response.start", "status": 200, "headers": [(b"a\x1b", b"b")]},
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"many")]},
        {"type": "http.response.start", "status": "200", "headers": []},
        {"type": "http.response.start", "headers": []},
        {"type": "http.response.start", "status": 200, "headers": 5},
        {"type": "http.response.body", "body": b"a"},
    ],
    ids=["value", "name", "length", "status", "no status", "headers", "no start"],
)
def test_a_head_that_cannot_be_written_is_a_mistake(start: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """It is answered as one of the emulator's own."""

    async def app(_scope: Any, _receive: Receive, send: Send) -> None:
        await send(start)

    wire = hear(b"GET / HTTP/1.1\r\n\r\n", app=app)
    assert wire.written.startswith(b"HTTP/1.1 418 ")
    assert b"emulator_mistake" in wire.written
    assert "Exception in ASGI application" in caplog.text
    assert wire.has_ended


def test_old_clients_get_no_chunks() -> None:
    """The body ends with the connection, whatever the application says; a length stays."""

    async def app(scope: Any, _receive: Receive, send: Send) -> None:
        headers = [(b"transfer-encoding", b"chunked")] if scope["path"] == "/chunked" else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"one ", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    for path in (b"/", b"/chunked"):
        for ask in (b"GET %b HTTP/1.0\r\n\r\n", b"GET %b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"):
            wire = hear(ask % path, app=app)
            assert wire.written == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\none two"
            assert wire.has_ended
    expecting = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na"
    assert hear(expecting).written == b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\nPOST / a"


@given(
    st.lists(
        st.sampled_from(
            [WHOLE, HEAD, GARBAGE, b"G", b"1", b"\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n"]
        ),
        max_size=8,
    )
)
def test_every_connection_ends(sent: list[bytes]) -> None:
    """Whatever was sent, the connection is closed, or half closed, some time after."""
    assert wait(*sent, seconds=2 * TIMEOUT + 2).has_ended
