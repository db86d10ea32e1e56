"""The proxy that HTTPS_PROXY names: it leads to the emulator's own TLS side, and nowhere else."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import cast
from urllib.parse import urlsplit

DOMAINS = ("googleapis.com", "prediction.vertexai.goog")
"""Documented: Google's APIs, regional ones among them, and the dedicated DNS names of endpoints of one's own."""


def is_emulated(host: str) -> bool:
    """Whether a host is one of Google's that the emulator answers for."""
    name = host.rstrip(".").lower()
    return any(name == domain or name.endswith(f".{domain}") for domain in DOMAINS)


HEAD_BYTES = 16 * 1024
"""The longest request head that is read."""
HEAD_SECONDS = 10.0
"""How long a client may take to send it, or to take a refusal."""

_HEAD_END = b"\r\n\r\n"
_REQUEST = re.compile(r"([A-Z]+) ([!-~]+) HTTP/1\.[01]")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+):\d{1,5}", re.ASCII)
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

Address = tuple[str, int]


class Proxy:
    """Answers CONNECT for the hosts that are emulated by connecting to `server`; refuses all others and reports them.

    It copies bytes and never looks inside. `on_leak` gets the name of each host that was refused, behind
    `http://` if it was asked for without TLS.
    """

    def __init__(self, server: Address, on_leak: Callable[[str], object]) -> None:
        self.server = server
        self.on_leak = on_leak
        self._tunnels: set[Tunnel] = set()

    @asynccontextmanager
    async def listening(self, bound: socket.socket) -> AsyncIterator[None]:
        """Serve a listening socket; at the end, close it and every tunnel."""
        listener = await asyncio.get_running_loop().create_server(self._open, sock=bound)
        try:
            yield
        finally:
            listener.close()
            for tunnel in tuple(self._tunnels):
                tunnel.abort()

    def _open(self) -> asyncio.Protocol:
        tunnel = Tunnel(self)
        self._tunnels.add(tunnel)
        return tunnel.near

    def forget(self, tunnel: "Tunnel") -> None:
        """Let go of a tunnel that has ended."""
        self._tunnels.discard(tunnel)


class End(asyncio.Protocol):
    """One end of a tunnel: what comes in goes out at the other end, its end too, and no faster than that can take it."""

    def __init__(self, tunnel: "Tunnel") -> None:
        self.tunnel = tunnel
        self.other: End | None = None
        self.transport: asyncio.Transport | None = None
        self.has_ended = False

    @property
    def open_transport(self) -> asyncio.Transport | None:
        """Its connection, unless that is closed or about to be."""
        return None if self.transport is None or self.transport.is_closing() else self.transport

    @property
    def _outlet(self) -> asyncio.Transport | None:
        return self.other.open_transport if self.other is not None else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready to send."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, or collect the request head as long as there is nobody to pass them to."""
        if self.other is None:
            self.tunnel.read_head(data)
        elif outlet := self._outlet:
            outlet.write(data)

    def eof_received(self) -> bool:
        """Pass the end on; the other direction stays open until it ends too."""
        self.has_ended = True
        if outlet := self._outlet:
            outlet.write_eof()
        return self.other is not None and not self.other.has_ended

    def pause_writing(self) -> None:
        """Take nothing more in at the other end: this one is full."""
        if outlet := self._outlet:
            outlet.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if outlet := self._outlet:
            outlet.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """Close the other end, once it has sent what it has."""
        if outlet := self._outlet:
            outlet.close()
        self.transport = None
        self.tunnel.end()


class Tunnel:
    """One client's connection: a request head, then a refusal or a copy of the server's connection."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.near = End(self)
        self._head = b""
        self._is_decided = False
        self._connecting: asyncio.Task[None] | None = None
        self._deadline = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.abort)

    def read_head(self, data: bytes) -> None:
        """Take a piece of the request and decide when its head is complete; what follows a refusal is thrown away."""
        if self._is_decided:
            return
        self._head += data
        head, end, rest = self._head.partition(_HEAD_END)
        if len(head) > HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request head is too long")
        elif end:
            self._is_decided = True
            self._decide(head.partition(b"\r\n")[0].decode("latin-1"), rest)

    def _decide(self, line: str, rest: bytes) -> None:
        """What becomes of a request: only CONNECT to a host that is emulated is served."""
        found = _REQUEST.fullmatch(line)
        is_connect, host = found is not None and found[1] == "CONNECT", _host_of(found[2]) if found else None
        if host is None:
            self._refuse(HTTPStatus.BAD_REQUEST, "this is a proxy; it takes CONNECT HOST:PORT")
        elif is_connect and is_emulated(host):
            if self.near.open_transport is not None:
                self.near.open_transport.pause_reading()
            self._connecting = asyncio.get_running_loop().create_task(self._connect(rest))
        else:
            self._proxy.on_leak(host if is_connect else f"http://{host}")
            hosts = " and ".join(f"*.{domain}" for domain in DOMAINS)
            self._refuse(HTTPStatus.FORBIDDEN, f"{host} is refused: only HTTPS to {hosts} stays on this machine")

    async def _connect(self, rest: bytes) -> None:
        far = End(self)
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, *self._proxy.server)
        except OSError:
            self._refuse(HTTPStatus.BAD_GATEWAY, "the emulator has stopped")
            return
        finally:
            self._connecting = None
        self._deadline.cancel()
        client, server = self.near.open_transport, far.open_transport
        self.near.other, far.other = far, self.near
        if client is None or server is None:
            self.abort()
            return
        client.write(_ESTABLISHED)
        server.write(rest)
        client.resume_reading()

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Answer in a line of text; the connection stays half open, so that the client can read it in peace."""
        self._is_decided = True
        client = self.near.open_transport
        if client is not None:
            text = f"vertex-emulator: {reason}\n".encode()
            kind = (
                f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
            )
            client.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n{kind}".encode() + text)
            client.write_eof()
            client.resume_reading()

    def end(self) -> None:
        """Let go of what waits."""
        self._deadline.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        self._proxy.forget(self)

    def abort(self) -> None:
        """Close both ends at once."""
        for end in (self.near, self.near.other):
            if end is not None and end.transport is not None:
                end.transport.abort()


def _host_of(target: str) -> str | None:
    """The host of `HOST:PORT` or, as in a request to a plain HTTP proxy, of an absolute URL; None for anything else."""
    if authority := _AUTHORITY.fullmatch(target):
        return authority[1].strip("[]")
    try:
        return urlsplit(target).hostname if "://" in target else None
    except ValueError:
        return None
