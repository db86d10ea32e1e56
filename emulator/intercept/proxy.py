"""The CONNECT proxy that HTTPS_PROXY names: it tunnels to the emulator's own TLS port, and nowhere else."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import cast
from urllib.parse import urlsplit

DOMAINS = ("googleapis.com", "prediction.vertexai.goog")
"""Documented: Google's APIs, regional ones included, and the dedicated DNS names of deployed endpoints."""


def is_emulated(host: str) -> bool:
    """Whether a host is one of Google's that the emulator answers for; case and a final dot do not matter."""
    name = host.rstrip(".").lower()
    return any(name == domain or name.endswith(f".{domain}") for domain in DOMAINS)


MAX_HEAD_BYTES = 16 * 1024
"""The longest request head that is read."""
HEAD_TIMEOUT = 10.0
"""Seconds in which a client has to send it, or to read a refusal."""

_HEAD_END = b"\r\n\r\n"
_REQUEST = re.compile(r"([A-Z]+) ([!-~]+) HTTP/1\.[01]")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+):\d{1,5}", re.ASCII)
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

Address = tuple[str, int]


class Proxy:
    """Answers CONNECT to emulated hosts with a tunnel to `server`; refuses all other hosts and reports them.

    It copies bytes without reading them. `on_leak` is called with each refused host, prefixed with `http://` if the request was
    not a CONNECT.
    """

    def __init__(self, server: Address, on_leak: Callable[[str], object]) -> None:
        self.server = server
        self.on_leak = on_leak
        self._tunnels: set[Tunnel] = set()

    @asynccontextmanager
    async def listening(self, bound: socket.socket) -> AsyncIterator[None]:
        """Accept connections of a listening socket; on exit, close it and abort every tunnel."""
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
        return tunnel.client_end

    def remove(self, tunnel: "Tunnel") -> None:
        """Remove a tunnel that has ended."""
        self._tunnels.discard(tunnel)


class TunnelEnd(asyncio.Protocol):
    """One end of a tunnel: forwards bytes and end of file to the other end, with back-pressure."""

    def __init__(self, tunnel: "Tunnel") -> None:
        self.tunnel = tunnel
        self.other: TunnelEnd | None = None
        self.transport: asyncio.Transport | None = None
        self.has_ended = False

    @property
    def open_transport(self) -> asyncio.Transport | None:
        """The transport, unless it is closed or closing."""
        return None if self.transport is None or self.transport.is_closing() else self.transport

    @property
    def _other_transport(self) -> asyncio.Transport | None:
        return self.other.open_transport if self.other is not None else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Forward bytes to the other end, or to the tunnel's request head while there is no other end."""
        if self.other is None:
            self.tunnel.receive_head(data)
        elif outlet := self._other_transport:
            outlet.write(data)

    def eof_received(self) -> bool:
        """Forward the end of file; the other direction stays open until it ends too."""
        self.has_ended = True
        if outlet := self._other_transport:
            outlet.write_eof()
        return self.other is not None and not self.other.has_ended

    def pause_writing(self) -> None:
        """Stop reading at the other end while this one's write buffer is full."""
        if outlet := self._other_transport:
            outlet.pause_reading()

    def resume_writing(self) -> None:
        """Read again at the other end."""
        if outlet := self._other_transport:
            outlet.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """Close the other end once its write buffer is empty."""
        if outlet := self._other_transport:
            outlet.close()
        self.transport = None
        self.tunnel.end()


class Tunnel:
    """One client's connection: a request head, then a refusal or a tunnel to the server."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.client_end = TunnelEnd(self)
        self._head = b""
        self._has_answered = False
        self._connecting: asyncio.Task[None] | None = None
        self._deadline = asyncio.get_running_loop().call_later(HEAD_TIMEOUT, self.abort)

    def receive_head(self, data: bytes) -> None:
        """Collect the request head and act on it once it is complete; bytes after a refusal are discarded."""
        if self._has_answered:
            return
        self._head += data
        head, end, rest = self._head.partition(_HEAD_END)
        if len(head) > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request head is too long")
        elif end:
            self._has_answered = True
            self._handle_request(head.partition(b"\r\n")[0].decode("latin-1"), rest)

    def _handle_request(self, line: str, rest: bytes) -> None:
        """Connect for a CONNECT to an emulated host; refuse everything else."""
        found = _REQUEST.fullmatch(line)
        is_connect, host = found is not None and found[1] == "CONNECT", _parse_host(found[2]) if found else None
        if host is None:
            self._refuse(HTTPStatus.BAD_REQUEST, "this is a proxy; it takes CONNECT HOST:PORT")
        elif is_connect and is_emulated(host):
            if self.client_end.open_transport is not None:
                self.client_end.open_transport.pause_reading()
            self._connecting = asyncio.get_running_loop().create_task(self._connect(rest))
        else:
            self._proxy.on_leak(host if is_connect else f"http://{host}")
            hosts = " and ".join(f"*.{domain}" for domain in DOMAINS)
            self._refuse(HTTPStatus.FORBIDDEN, f"{host} is refused: only HTTPS to {hosts} stays on this machine")

    async def _connect(self, rest: bytes) -> None:
        server_end = TunnelEnd(self)
        try:
            await asyncio.get_running_loop().create_connection(lambda: server_end, *self._proxy.server)
        except OSError:
            self._refuse(HTTPStatus.BAD_GATEWAY, "the emulator has stopped")
            return
        finally:
            self._connecting = None
        self._deadline.cancel()
        client, server = self.client_end.open_transport, server_end.open_transport
        self.client_end.other, server_end.other = server_end, self.client_end
        if client is None or server is None:
            self.abort()
            return
        client.write(_ESTABLISHED)
        server.write(rest)
        client.resume_reading()

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Answer with one line of text and close only our side, so that the client can read it."""
        self._has_answered = True
        client = self.client_end.open_transport
        if client is not None:
            text = f"vertex-emulator: {reason}\n".encode()
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\n"
                f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
            )
            client.write(head.encode() + text)
            client.write_eof()
            client.resume_reading()

    def end(self) -> None:
        """Cancel what is pending and remove the tunnel from the proxy."""
        self._deadline.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        self._proxy.remove(self)

    def abort(self) -> None:
        """Close both ends at once, dropping their write buffers."""
        for end in (self.client_end, self.client_end.other):
            if end is not None and end.transport is not None:
                end.transport.abort()


def _parse_host(target: str) -> str | None:
    """The host of `HOST:PORT` or, for a request to a plain HTTP proxy, of an absolute URL; None for anything else."""
    if authority := _AUTHORITY.fullmatch(target):
        return authority[1].strip("[]")
    try:
        return urlsplit(target).hostname if "://" in target else None
    except ValueError:
        return None
