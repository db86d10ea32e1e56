"""Connections: what they send is to the byte what uvicorn's own would send, but for mistakes of the emulator's own."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from emulator.http.connection import Connection
from emulator.http.heads import write_head
from emulator.wire.headers import Headers, encode_headers

OURS = partial(Connection, before_writing=lambda: None)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PATIENCE = 10.0
"""Seconds of real time after which a test that hangs fails."""
DATE = (b"date", b"Thu, 01 Jan 2026 00:00:00 GMT")
ANSWERS: dict[str, tuple[int, list[tuple[bytes, bytes]], list[bytes]]] = {
    "/plain": (200, [(b"content-type", b"text/plain"), (b"vary", b"Origin"), (b"vary", b"Referer")], [b"Hello."]),
    "/pieces": (200, [(b"X-Mixed-Case", b"kept As It is")], [b"one", b"", b"two", b""]),
    "/length": (201, [(b"content-length", b"6")], [b"Hello."]),
    "/chunked": (200, [(b"content-length", b"9"), (b"Transfer-Encoding", b"Chunked")], [b"Hello."]),
    "/length-too": (200, [(b"transfer-encoding", b"chunked"), (b"content-length", b"9")], [b"Hello."]),
    "/close": (418, [(b"Connection", b"x, Close")], [b"Hello."]),
    "/open": (418, [(b"connection", b"keep-alive")], [b"Hello."]),
    "/nothing": (204, [], [b""]),
    "/unchanged": (304, [(b"etag", b"1")], [b""]),
    "/short": (200, [(b"content-length", b"9")], [b"Hello."]),
    "/name": (200, [(b"a b", b"c")], [b"Hello."]),
    "/value": (200, [(b"a", b"b\r\nc: d")], [b"Hello."]),
    "/silent": (200, [], []),
}
REQUESTS = {
    "1.1": "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "1.0": "GET {} HTTP/1.0\r\n\r\n",
    "1.0 that would stay": "GET {} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "HEAD": "HEAD {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "two": "GET {0} HTTP/1.1\r\nHost: x\r\n\r\nPOST {0} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
    "expecting": "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\nabc",
    "upgrading": "GET {} HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n",
    "garbage": "GET {} HTTP/1.1\r\nHost x\r\n\r\n",
}


async def answer(scope: Any, receive: Receive, send: Send) -> None:
    """Answer as the path says."""
    while (await receive()).get("more_body"):
        pass
    status, headers, pieces = ANSWERS[scope["path"]]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for piece in pieces[:-1]:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    if pieces:
        await send({"type": "http.response.body", "body": pieces[-1]})


async def hear(protocol: Callable[..., asyncio.Protocol], sent: bytes) -> bytes:
    """All that a connection of this kind sends back until it ends."""
    config = uvicorn.Config(answer, access_log=False, lifespan="off", log_config=None, ws="none")
    config.load()
    state = ServerState()
    state.default_headers = [DATE]
    client, server = socket.socketpair()
    await asyncio.get_running_loop().connect_accepted_socket(
        lambda: protocol(config=config, server_state=state, app_state={}), server
    )
    reader, writer = await asyncio.open_connection(sock=client)
    writer.write(sent)
    heard = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return heard


@pytest.mark.parametrize("path", ANSWERS)
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_the_same_is_sent_as_by_uvicorn(request_: str, path: str) -> None:
    """For all ways in which a request can come and an answer be made, mistakes of the application included."""
    sent = request_.format(path).encode()
    ours, theirs = (asyncio.run(hear(protocol, sent)) for protocol in (OURS, HttpToolsProtocol))
    if "HTTP/1.0" in request_:
        theirs = join_chunks(theirs)
    if path in {"/name", "/value"} and request_ is not REQUESTS["garbage"]:
        # A head that cannot be written: uvicorn closes the connection without a word.
        assert theirs.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n") == b""
        assert ours.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").startswith(b"HTTP/1.1 418 ")
        assert b"emulator_mistake" in ours or request_.startswith("HEAD")
    else:
        assert ours == theirs
        assert ours.startswith(b"HTTP/1.1 ")


def join_chunks(answer: bytes) -> bytes:
    """An answer without chunks, as HTTP/1.0 has it; uvicorn sends chunks there, too."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return answer
    lines = [line for line in lines if not line.lower().startswith((b"transfer-encoding:", b"content-length:"))]
    pieces = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        pieces.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return b"\r\n".join([*lines, b"", b"".join(pieces)])


async def echo(scope: Any, receive: Receive, send: Send) -> None:
    """Answer with all that was asked, however it came."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    told = [scope["method"], scope["path"], scope["query_string"], scope["headers"], body]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": repr(told).encode()})


class Wire:
    """A transport that keeps what is written to it."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self.written: list[bytes] = []
        self.is_closed = self.is_half_closed = self.is_paused = False
        self._protocol = protocol

    def get_extra_info(self, _name: str) -> None:
        """There is nothing to tell."""

    def write(self, data: bytes) -> None:
        """Keep what is written."""
        self.written.append(data)

    def writelines(self, data: list[bytes]) -> None:
        """Keep what is written."""
        self.written += data

    def can_write_eof(self) -> bool:
        """It can be half closed."""
        return True

    def write_eof(self) -> None:
        """Half close it."""
        self.is_half_closed = True

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def abort(self) -> None:
        """Close it."""
        self.is_closed = True

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self.is_closed

    def close(self) -> None:
        """Close it."""
        self.is_closed = True

    def pause_reading(self) -> None:
        """Note that no more is wanted."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """Note that more is."""
        self.is_paused = False


def connect(
    app: Callable[..., Awaitable[None]],
    loop: Any = None,
    before_writing: Callable[[Wire], object] = lambda _wire: None,
) -> tuple[Connection, Wire]:
    """A connection without a socket."""
    config = uvicorn.Config(app, access_log=False, lifespan="off", log_config=None, proxy_headers=False, ws="none")
    config.load()
    connection = Connection(
        config=config,
        server_state=ServerState(),
        app_state={},
        _loop=loop,
        before_writing=lambda: before_writing(wire),
    )
    wire = Wire(connection)
    made: Any = wire
    connection.connection_made(made)
    return connection, wire


async def turn_until(holds: Callable[[], object]) -> None:
    """Let the loop turn until something holds, a thousand times at most."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0)
    raise TimeoutError


BODIES = {
    "none": b"",
    "abc": b"abc",
    "xyz": b"xyz",
    "line breaks": b"\r\n\r\n",
    "a request": b"POST / HTTP/1.1\r\n\r\n",
    "long": b"z" * 70_000,
}


def write_request(path: str, name: str, header: str, *, in_chunks: bool) -> bytes:
    """A request as it is sent, with one of `BODIES`."""
    body = BODIES[name]
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-One: {header}\r\n"
    if in_chunks:
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


@given(
    requests=st.lists(
        st.builds(
            write_request,
            st.sampled_from(["/a", "/a%20b?c=d", "/"]),
            st.sampled_from([*BODIES]),
            st.sampled_from(["1", "2"]),
            in_chunks=st.sampled_from([False, False, False, True]),
        ),
        min_size=1,
        max_size=6,
    ),
    cuts=st.lists(st.integers(0, 400), max_size=4),
)
def test_however_requests_are_cut_they_are_answered_as_if_each_came_alone(
    requests: list[bytes], cuts: list[int]
) -> None:
    """Where one piece of data ends and the next begins plays no part, nor do the requests before."""

    async def work() -> None:
        alone = []
        for request in requests:
            connection, wire = connect(echo)
            connection.data_received(request)
            alone.append(b"".join(wire.written))
        twice = [request for request in requests for _ in range(2)]
        for pieces, answers in (
            (requests, alone),
            (twice, [answer for answer in alone for _ in range(2)]),
            (cut(b"".join(requests), cuts), alone),
        ):
            connection, wire = connect(echo)
            for piece in pieces:
                connection.data_received(piece)
                # Bodies that are not whole are waited for by tasks.
                for _ in range(3):
                    await asyncio.sleep(0)
            # Between long requests that came together, others have their turns.
            for _ in range(100 * len(answers)):
                await asyncio.sleep(0)
            assert b"".join(wire.written) == b"".join(answers)

    asyncio.run(work())


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Data in pieces."""
    pieces = []
    for place in places:
        pieces.append(data[:place])
        data = data[place:]
    return [piece for piece in (*pieces, data) if piece]


def test_what_belongs_together_leaves_at_once_and_others_are_told_before() -> None:
    """Head and body in one write; what follows in a later step goes out by itself; the connection's end comes last."""

    async def app(_scope: Any, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"two", "more_body": True})
        await send({"type": "http.response.body", "body": b"three"})

    async def work() -> None:
        connection, wire = connect(app, before_writing=lambda wire: wire.written.append(b"kept"))
        connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
        assert wire.written == [b"kept", HEAD + b"3\r\none\r\n"]
        await turn_until(lambda: wire.is_closed)
        assert wire.written[2:] == [b"kept", b"3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"]

    asyncio.run(work())


HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"


def test_bodies_wait_below_until_they_are_asked_for() -> None:
    """An application that does not ask for a large body stops it from coming; one that asks gets all of it."""
    asked = asyncio.Event()

    async def app(_scope: Any, receive: Receive, send: Send) -> None:
        await asked.wait()
        await echo(_scope, receive, send)

    async def work() -> None:
        connection, wire = connect(app)
        connection.data_received(b"POST / HTTP/1.1\r\nContent-Length: 140000\r\n\r\n" + b"z" * 70_000)
        assert wire.is_paused
        asked.set()
        await turn_until(lambda: not wire.is_paused)
        connection.data_received(b"z" * 70_000)
        await turn_until(lambda: wire.written)
        assert b"z" * 140_000 in b"".join(wire.written)

    asyncio.run(work())


def test_answers_wait_until_there_is_room() -> None:
    """What a client does not read is not piled up; one that leaves meanwhile sets the application free."""

    async def app(_scope: Any, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"more", "more_body": True})

    async def work(*, leaves: bool) -> int:
        connection, wire = connect(app)
        connection.pause_writing()
        connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
        assert wire.written == []
        if leaves:
            connection.connection_lost(None)
        else:
            connection.resume_writing()
        for _ in range(5):
            await asyncio.sleep(0)
        return b"".join(wire.written).count(b"more")

    assert asyncio.run(work(leaves=False)) == 3
    assert asyncio.run(work(leaves=True)) == 0


@pytest.mark.parametrize("mistake", [ValueError("oops"), None], ids=["raises", "says nothing"])
def test_mistakes_of_the_application_are_the_emulators(mistake: Exception | None) -> None:
    """They get the emulator's own status, never a 500 that could be Google's, and the connection ends."""

    async def app(_scope: Any, _receive: Receive, _send: Send) -> None:
        if mistake is not None:
            raise mistake

    async def work() -> None:
        connection, wire = connect(app)
        connection.data_received(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        (answer,) = wire.written
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 418 ")
        assert b"connection: close" in head
        assert b'"message":"emulator: a mistake of the emulator\'s own' in body
        assert wire.is_closed

    asyncio.run(work())


def test_heads_are_written_as_http_allows() -> None:
    """With the connection's end where it ends; a header that HTTP does not allow is refused."""
    headers = ((b"A", b"b"),)
    assert write_head(200, headers, "POST", keep_alive=True).lines == b"a: b\r\ntransfer-encoding: chunked\r\n\r\n"
    assert (
        write_head(200, headers, "POST", keep_alive=False).lines
        == b"a: b\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    with pytest.raises(RuntimeError, match="HTTP does not allow the header"):
        write_head(200, ((b"a:", b"b"),), "POST", keep_alive=True)


@pytest.mark.parametrize("method", ["POST", "HEAD"])
@pytest.mark.parametrize(
    "headers",
    [
        (("content-type", "text/plain"),),
        (("content-type", "text/plain"), ("Server", "mine"), ("x-own", "1")),
        (("x-own", "1"), ("content-length", "3")),
        (("connection", "close"),),
    ],
    ids=str,
)
@pytest.mark.parametrize("status", [200, 401, 204, 599])
def test_encoded_headers_make_the_head_that_plain_ones_make(headers: Headers, method: str, status: int) -> None:
    """The lines that were made with them are the lines of the same headers without."""
    encoded = encode_headers(headers, status)
    for keep_alive in (True, False):
        assert write_head(status, encoded, method, keep_alive=keep_alive) == write_head(
            status, tuple(encoded), method, keep_alive=keep_alive
        )
