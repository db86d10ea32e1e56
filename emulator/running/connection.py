"""A client's connection, as uvicorn serves it, with what it has to do for each answer done once for all that have the same head."""

import asyncio
import re
import socket
import struct
from collections.abc import Callable, Coroutine
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Literal, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from emulator.running.corking import Corked
from emulator.server.app import CONNECTION

_FLUSH = 0.001
"""Seconds between two looks at whether everything was written."""
_WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
_NO_NAME = re.compile(rb'[\x00-\x1f\x7f()<>@,;:\[\]={} \t\\"]')
_NO_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

Headers = tuple[tuple[bytes, bytes], ...]


class Head(NamedTuple):
    """The head of an answer as it is written; the server's own headers come between its two parts."""

    status: bytes
    rest: bytes
    chunked: bool | None
    """Whether the body goes out in chunks; None where nothing says how long it is."""
    length: int
    """The bytes that a body has that does not."""
    stays: bool
    """Whether the connection stays open."""


@lru_cache(maxsize=1024)
def write_head(status: int, headers: Headers, method: str, *, stays: bool) -> Head:
    """Write the head of an answer. Raises RuntimeError for a header that HTTP does not allow."""
    chunked: bool | None = None
    length, says_close = 0, False
    lines = []
    for name, value in ((name.lower(), value) for name, value in headers):
        if _NO_NAME.search(name) or _NO_VALUE.search(value):
            raise RuntimeError(f"HTTP does not allow the header {name!r}: {value!r}")
        if name == b"content-length" and chunked is None:
            chunked, length = False, int(value)
        elif name == b"transfer-encoding" and value.lower() == b"chunked":
            chunked, length = True, 0
        elif name == b"connection":
            says_close = says_close or b"close" in [token.strip().lower() for token in value.split(b",")]
        lines.append(b"%b: %b\r\n" % (name, value))
    stays = stays and not says_close
    if not stays and not says_close:
        lines.append(b"connection: close\r\n")
    if chunked is None and method != "HEAD" and status not in _WITHOUT_BODY:
        chunked = True
        lines.append(b"transfer-encoding: chunked\r\n")
    return Head(STATUS_LINE[status], b"".join((*lines, b"\r\n")), chunked, length, stays)


class Cycle(RequestResponseCycle):
    """A request and its answer. Uvicorn's own would check and write the same headers anew for each answer, most of what sending costs."""

    def send(self, message: Any) -> Coroutine[Any, Any, None]:
        """Send the head of the answer, or some of its body."""
        return super().send(message) if self.response_started else self._begin(message)

    async def _begin(self, message: Any) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] != "http.response.start":
            raise RuntimeError(f"an answer begins with http.response.start, not {message['type']}")
        self.response_started = True
        self.waiting_for_100_continue = False
        headers, method = tuple(message.get("headers", ())), self.scope["method"]
        head = write_head(message["status"], headers, method, stays=self.keep_alive)
        self.chunked_encoding, self.expected_content_length, self.keep_alive = head[2:]
        own = [b"%b: %b\r\n" % header for header in self.default_headers]
        self.transport.write(b"".join((head.status, *own, head.rest)))


class Connection(HttpToolsProtocol):
    """A connection of a client that can be dropped in the middle of an answer."""

    def __init__(self, *args: Any, before_writing: Callable[[], object], **options: Any) -> None:
        """`before_writing` is called before anything leaves; the rest is uvicorn's."""
        super().__init__(*args, **options)
        self._before_writing = before_writing

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin with a connection."""
        super().connection_made(Corked(transport, self._before_writing))  # type: ignore[arg-type]  # all of a transport that is used

    is_cut = False
    """Whether the server has ended it, because it stops."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything, so that nothing waits for the garbage collector."""
        super().connection_lost(exc)
        if self.scope is not None:
            self.scope.pop("extensions", None)
        self.cycle = None  # type: ignore[assignment]  # as it is before the first request

    def cut(self) -> None:
        """End the connection at once, because the server stops."""
        self.is_cut = True
        self.transport.abort()

    def on_message_begin(self) -> None:
        """Give the application the way to itself."""
        super().on_message_begin()
        self.scope["extensions"] = {CONNECTION: self}  # type: ignore[dict-item]  # ours is an object, not a mapping

    def on_headers_complete(self) -> None:
        """Begin with the answer."""
        super().on_headers_complete()
        self.cycle.__class__ = Cycle  # uvicorn makes them itself, and asks nobody of which class

    async def drop(self, how: Literal["close", "reset"]) -> None:
        """End the connection once what was written has left: in order, or by a reset (RST)."""
        transport = self.transport
        if how == "close":
            transport.close()
            return
        # A transport tells nobody when its buffer is empty.
        while transport.get_write_buffer_size() and not transport.is_closing():  # noqa: ASYNC110  # as said above
            await asyncio.sleep(_FLUSH)
        below = transport.get_extra_info("socket")
        if below is not None:
            # Closed with nothing to linger for, a connection is reset.
            below.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
