"""Connections read requests and frame answers as uvicorn with h11 does, for the same bytes, however they are cut.

Where both differ on purpose, `DIFFERENCES` says how and why.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import hypothesis
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from emulator.http.connection import Connection

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Wire:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.written = b""
        self.has_ended = False

    def get_extra_info(self, _name: str) -> None:
        """There is nothing to tell."""

    def write(self, data: bytes) -> None:
        """Keep what is written."""
        self.written += data

    def can_write_eof(self) -> bool:
        """It can be half closed."""
        return True

    def close(self) -> None:
        """Close it."""
        self.has_ended = True

    write_eof = close

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self.has_ended

    def pause_reading(self) -> None:
        """What is sent all the same is taken."""

    resume_reading = pause_reading


class Answer(NamedTuple):
    """An answer as it was framed."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    """With the marks of its chunks."""


class Heard(NamedTuple):
    """What became of some bytes."""

    requests: list[Any]
    answers: list[Answer]
    has_ended: bool


def hear(protocol: Callable[..., asyncio.Protocol], pieces: list[bytes]) -> Heard:
    """What a connection makes of these bytes: the requests that the application saw whole, and what was sent back."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        # h11 takes the spaces behind a value away, and makes the transfer coding lower case; llhttp leaves both, which no reader minds.
        seen_headers = [(name, value.rstrip(b" \t")) for name, value in scope["headers"]]
        seen_headers = [
            (name, value.lower() if name == b"transfer-encoding" else value) for name, value in seen_headers
        ]
        fields = ("method", "path", "raw_path", "query_string", "http_version", "scheme", "root_path")
        seen.append([*(scope[field] for field in fields), seen_headers, body])
        headers = [(b"content-length", b"6")] if scope["path"] == "/length" else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    async def work() -> tuple[bytes, bool]:
        config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none", proxy_headers=False, access_log=False)
        config.load()
        connection: Any = protocol(config=config, server_state=ServerState(), app_state={})
        wire = Wire()
        connection.connection_made(wire)
        for piece in pieces:
            if wire.has_ended:
                break
            connection.data_received(piece)
            for _ in range(8):
                await asyncio.sleep(0)
        for _ in range(30):
            await asyncio.sleep(0)
        result = wire.written, wire.has_ended
        connection.connection_lost(None)
        await asyncio.sleep(0)
        return result

    written, has_ended = asyncio.run(work())
    return Heard(seen, read_answers(written, [one[0] for one in seen]), has_ended)


def read_answers(data: bytes, methods: list[str]) -> list[Answer]:
    """The answers to requests of these methods; `100 Continue`, which h11 leaves out once the body is there, is left out."""
    answers: list[Answer] = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        status = int(first.split(b" ")[1])
        if status == 100:
            continue
        headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
        method = methods[len(answers)] if len(answers) < len(methods) else "GET"
        if method == "HEAD":
            length = 0
            # h11 says how a body would have been framed; that is optional, and uvicorn with httptools does not.
            headers.pop(b"transfer-encoding", None)
        elif b"transfer-encoding" in headers:
            length = data.index(b"0\r\n\r\n") + 5
        else:
            length = int(headers.get(b"content-length", len(data)))
        # A refusal has a length from us, and may have chunks from uvicorn.
        framed = (
            Answer(status, (), b"") if status == 400 else Answer(status, tuple(sorted(headers.items())), data[:length])
        )
        answers.append(framed)
        data = data[length:]
    return answers


def ours(*pieces: bytes) -> Heard:
    """What our connection makes of these bytes."""

    def make(**given: Any) -> asyncio.Protocol:
        return Connection(**given, before_writing=lambda: None)

    return hear(make, [*pieces])


def theirs(*pieces: bytes) -> Heard:
    """What uvicorn's connection, with h11, makes of them."""
    return hear(H11Protocol, [*pieces])


METHODS = [b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"DELETE", b"PATCH"]
TARGETS = [b"/", b"/a?b=c", b"/%41%20b?%41", b"/length", b"/a//b/../c", b"/?", b"/a;b,c=d:e@f", b"/a?b?c=/"]
LINES = [
    b"A: b",
    b"A:b",
    b"a:  b \t",
    b"Accept: text/html, */*;q=0.1",
    b"X-Empty:",
    b"X-Latin: \xe9\xff",
    b'X-Odd!#$%&\'*+-.^_`|~: "quoted" (comment)',
    b"Cookie: a=b",
    b"Cookie: c=d",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: x, Close",
    b"Connection: Upgrade\r\nUpgrade: websocket",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
    b"Expect: 100-continue",
]
BODIES = [
    b"\r\n",
    b"Content-Length: 0\r\n\r\n",
    b"Content-Length: 3\r\n\r\nabc",
    b"content-length: 0003\r\n\r\n\r\n\r",
    b"Content-Length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n002\r\nbc\r\n0\r\n\r\n",
    b"Transfer-Encoding: Chunked\r\n\r\nA;name=value\r\n0123456789\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
]
BROKEN = [
    b"\x16\x03garbage\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\na b: c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n: c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
    b"GET / HTTP/x\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3x\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffffff\r\nabcd\r\n0\r\n\r\n",
]
CUT_OFF = [
    b"",
    b"P",
    b"GET / HT",
    b"GET / HTTP/1.1\r\nHost: x\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab",
]


def write_request(method: bytes, target: bytes, version: bytes, lines: list[bytes], body: bytes) -> bytes:
    """A request as it is sent; those without a body have none, and old ones have no chunks."""
    if method in {b"GET", b"HEAD", b"OPTIONS", b"DELETE"} or (version == b"1.0" and b"chunked" in body.lower()):
        body = b"\r\n"
    return b"%b %b HTTP/%b\r\n%b%b" % (
        method,
        target,
        version,
        b"".join([line + b"\r\n" for line in [b"Host: x", *lines]]),
        body,
    )


REQUEST = st.builds(
    write_request,
    st.sampled_from(METHODS),
    st.sampled_from(TARGETS),
    st.sampled_from([b"1.1"] * 6 + [b"1.0"]),
    st.lists(st.sampled_from(LINES), max_size=4).filter(
        lambda lines: sum(line.startswith(b"Connection") for line in lines) < 2
    ),
    st.sampled_from(BODIES),
)
STREAM = st.builds(
    lambda requests, end: b"".join(requests) + end,
    st.lists(REQUEST, max_size=5),
    st.one_of(st.sampled_from(CUT_OFF), st.sampled_from(BROKEN)),
)


@pytest.mark.slow
@pytest.mark.timeout(900)
@hypothesis.settings(max_examples=3 * hypothesis.settings().max_examples)
@given(sent=STREAM, cuts=st.lists(st.integers(1, 60), max_size=8))
def test_the_same_bytes_come_to_the_same(sent: bytes, cuts: list[int]) -> None:
    """The application sees the same requests, and the client the same answers in the same frames."""
    pieces, rest = [], sent
    for size in cuts:
        pieces.append(rest[:size])
        rest = rest[size:]
    pieces = [piece for piece in (*pieces, rest) if piece]
    assert ours(*pieces) == theirs(*pieces)
    assert ours(*pieces) == ours(*[sent[at : at + 1] for at in range(len(sent))])


DIFFERENCES: dict[str, tuple[str, bytes, list[int], list[int]]] = {
    "no host": ("hand-written requests need none; nothing is looked up by it", b"GET / HTTP/1.1\r\n\r\n", [200], [400]),
    "two hosts": ("as above", b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", [200], [400]),
    "empty lines before": (
        "RFC 9112, 2.2: a server should leave out at least one",
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        [200],
        [400],
    ),
    "two spaces": ("llhttp is lenient here, and it does no harm", b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", [200], [400]),
    "HTTP/0.9": ("as above; the answer ends with the connection", b"GET /\r\n\r\n", [200], [400]),
    "bare LF": (
        "RFC 9112, 2.2 leaves it to the server; who is strict cannot be made to disagree with a proxy about a request's end",
        b"GET / HTTP/1.1\nHost: x\n\n",
        [400],
        [200],
    ),
    "folded line": (
        "RFC 9112, 5.2: refuse it or join it",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
        [400],
        [200],
    ),
    "control character": (
        "RFC 9110, 5.5 allows none in a value",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n",
        [400],
        [200],
    ),
    "length and chunks": (
        "RFC 9112, 6.3: such a request may be an attack, and may be refused",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        [400],
        [200],
    ),
    "length twice": (
        "RFC 9110, 8.6: refuse it or take one of them",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        [400],
        [200],
    ),
    "two transfer codings": (
        "the body is chunked, which is all that the connection has to know",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        [200],
        [400],
    ),
    "space behind a chunk's size": (
        "RFC 9112, 7.1 has none there",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
        [400],
        [200],
    ),
    "no path": ("a target begins with a slash or a scheme", b"GET a HTTP/1.1\r\nHost: x\r\n\r\n", [400], [200]),
    "CONNECT": (
        "this port is no proxy, and the bytes behind are no HTTP",
        b"CONNECT a:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        [400],
        [200],
    ),
    "unknown method": ("llhttp knows the registered ones", b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", [400], [200]),
    "method in lower case": ("methods are case-sensitive", b"get / HTTP/1.1\r\nHost: x\r\n\r\n", [400], [200]),
    "HTTP/1.2": ("there is no such version", b"GET / HTTP/1.2\r\nHost: x\r\n\r\n", [400], [200]),
    "HTTP/2 by prior knowledge": ("HTTP/2 is not spoken", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400], [200, 400]),
    "a head of 70 KB": (
        "the bound has a status of its own",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: %b\r\n\r\n" % (b"b" * 70_000),
        [431],
        [200],
    ),
}
"""Name: why, what is sent, and the statuses that we answer and that uvicorn with h11 answers."""


@pytest.mark.parametrize("name", DIFFERENCES)
def test_wanted_differences(name: str) -> None:
    """Each is there, or it need not be listed."""
    _why, sent, our_statuses, their_statuses = DIFFERENCES[name]
    assert [answer.status for answer in ours(sent).answers] == our_statuses
    assert [answer.status for answer in theirs(sent).answers] == their_statuses
