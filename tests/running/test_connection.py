"""Connections: what they send is to the byte what uvicorn's own would send."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from emulator.running.connection import Connection
from emulator.running.heads import KnownHeads, write_head

OURS = partial(Connection, heads=KnownHeads(), before_writing=lambda: None)

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
    assert ours == theirs
    assert ours.startswith(b"HTTP/1.1 ") or path in {"/name", "/value"}


def test_heads_are_written_once() -> None:
    """The same status and headers make the same bytes; what HTTP does not allow is refused each time."""
    headers = ((b"a", b"b"),)
    assert write_head(200, headers, "POST", stays=True) is write_head(200, headers, "POST", stays=True)
    assert (
        write_head(200, headers, "POST", stays=False).rest
        == b"a: b\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    for _ in range(2):
        with pytest.raises(RuntimeError, match="HTTP does not allow the header"):
            write_head(200, ((b"a:", b"b"),), "POST", stays=True)
