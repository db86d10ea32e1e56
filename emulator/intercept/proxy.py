"""The CONNECT proxy that HTTPS_PROXY names: it tunnels to the emulator's own TLS port, and to hosts that are let through."""

import asyncio
import re
import socket
import urllib.request
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import SplitResult, unquote, urlsplit

from emulator.errors import StartError

DOMAINS = ("googleapis.com", "prediction.vertexai.goog")
"""Documented: Google's APIs, regional ones included, and the dedicated DNS names of deployed endpoints."""
GOOGLE_HOSTS = rf"(^|\.)({'|'.join(re.escape(domain) for domain in DOMAINS)})\.?$"
"""The same as an expression that JavaScript reads too."""


def is_emulated(host: str) -> bool:
    """Whether a host is one of Google's that the emulator answers for; case and a final dot do not matter."""
    name = host.rstrip(".").lower()
    return any(is_below(name, domain) for domain in DOMAINS)


def is_below(name: str, domain: str) -> bool:
    """Whether a name is a domain or stands below it."""
    return name == domain or name.endswith(f".{domain}")


MAX_HEAD_BYTES = 16 * 1024
"""The longest request head that is read."""
HEAD_TIMEOUT = 10.0
"""Seconds in which a client has to send it, or to read a refusal."""
CONNECT_TIMEOUT = 10.0
"""Seconds in which the server, or a host that is let through, has to accept a connection."""

_HEAD_END = b"\r\n\r\n"
_REQUEST = re.compile(r"([A-Z]+) ([!-~]+) HTTP/1\.[01]")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+):(\d{1,5})", re.ASCII)
_LARGEST_PORT = 65535
_HTTP_PORT = 80
_PROXY_PORT = 3128
"""The usual port of a proxy, where its URL has none."""
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class PassedHosts:
    """The hosts that are let through to the network, and the proxies on the way there."""

    patterns: tuple[str, ...] = ()
    """Names in lower case; `*.example.com` stands for all below a domain."""
    proxies: Mapping[str, str] = field(default_factory=dict)
    """The proxies by the scheme that they are for, and `no` for hosts without one: what `getproxies_environment` returns."""
    but: Callable[[str], bool] | None = None
    """If given, all hosts are let through but those of which it is true."""

    def __contains__(self, host: str) -> bool:
        """Whether a host is let through; case and a final dot do not matter."""
        name = host.rstrip(".").lower()
        if self.but is not None:
            return not self.but(name)
        return any(
            name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern for pattern in self.patterns
        )

    def find_proxy(self, host: str) -> SplitResult | None:
        """The URL of the proxy through which a host is reached; None if it is reached directly."""
        url = self.proxies.get("https")
        bypass: Callable[[str, dict[str, str]], bool] = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed does not have it
        if not url or bypass(host, dict(self.proxies)):
            return None
        return urlsplit(url if "://" in url else f"http://{url}")


def pass_hosts(patterns: tuple[str, ...]) -> PassedHosts:
    """Let hosts through, by way of the proxy that this process's environment names. Raises StartError if it is none for HTTP."""
    return PassedHosts(patterns, _find_proxies("--pass") if patterns else {})


def pass_all_but(taken: Callable[[str], bool]) -> PassedHosts:
    """Let all hosts through but some, by way of the proxy that the environment names. Raises StartError if it is none for HTTP."""
    return PassedHosts((), _find_proxies("record"), taken)


def _find_proxies(who: str) -> dict[str, str]:
    """The proxies that this process's environment names. Raises StartError if that of HTTPS is none for HTTP."""
    proxies = urllib.request.getproxies_environment()
    url = proxies.get("https", "")
    scheme, separator, _ = url.partition("://")
    if separator and scheme.lower() != "http":
        raise StartError(f"{who} leads through proxies of the scheme http only, and HTTPS_PROXY names one of {scheme}")
    return proxies


class Proxy:
    """Answers CONNECT to emulated hosts with a tunnel to `server`, to `passed` ones with one to the network; refuses and reports the rest.

    It copies bytes without reading them. `on_leak` is called with each refused host, prefixed with `http://` if the request was
    not a CONNECT, and `on_pass` with each that is let through.
    """

    def __init__(
        self,
        server: Address,
        on_leak: Callable[[str], object],
        passed: PassedHosts | None = None,
        on_pass: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.server = server
        self.on_leak = on_leak
        self.on_pass = on_pass
        self.passed = passed or PassedHosts()
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
        """Connect for a CONNECT to an emulated or passed host; refuse everything else."""
        found = _REQUEST.fullmatch(line)
        is_connect, target = found is not None and found[1] == "CONNECT", _parse_target(found[2]) if found else None
        if target is None:
            self._refuse(HTTPStatus.BAD_REQUEST, "this is a proxy; it takes CONNECT HOST:PORT")
            return
        host, port = target
        if is_connect and host in self._proxy.passed:
            self._proxy.on_pass(host)
            self._start_connecting(self._connect_to_network(host, port, rest))
        elif is_connect and is_emulated(host):
            self._start_connecting(self._connect(self._proxy.server, _ESTABLISHED, rest, "the emulator has stopped"))
        else:
            self._proxy.on_leak(host if is_connect else f"http://{host}")
            hosts = " and ".join(f"*.{domain}" for domain in DOMAINS)
            self._refuse(HTTPStatus.FORBIDDEN, f"{host} is refused: only HTTPS to {hosts} stays on this machine")

    def _start_connecting(self, work: Coroutine[Any, Any, None]) -> None:
        self._deadline.cancel()
        if self.client_end.open_transport is not None:
            self.client_end.open_transport.pause_reading()
        self._connecting = asyncio.get_running_loop().create_task(work)

    async def _connect_to_network(self, host: str, port: int, rest: bytes) -> None:
        """Connect to a host, or to the proxy on the way there, which then answers the client itself."""
        proxy = self._proxy.passed.find_proxy(host)
        if proxy is None:
            await self._connect((host, port), _ESTABLISHED, rest, f"cannot reach {host}:{port}")
            return
        address = proxy.hostname or "", proxy.port or _PROXY_PORT
        head = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        if proxy.username is not None:
            login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
            head += f"Proxy-Authorization: Basic {b64encode(login).decode()}\r\n"
        failure = f"cannot reach the proxy {address[0]}:{address[1]} that HTTPS_PROXY names"
        await self._connect(address, b"", f"{head}\r\n".encode() + rest, failure)

    async def _connect(self, address: Address, answer: bytes, rest: bytes, failure: str) -> None:
        """Connect, then send an answer to the client and the rest to the server; refuse with `failure` if it cannot be reached."""
        server_end = TunnelEnd(self)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await asyncio.get_running_loop().create_connection(lambda: server_end, *address)
        except OSError as error:  # a TimeoutError is one
            self._deadline = asyncio.get_running_loop().call_later(HEAD_TIMEOUT, self.abort)
            reason = error.strerror or f"no answer within {CONNECT_TIMEOUT:g} seconds"
            self._refuse(HTTPStatus.BAD_GATEWAY, f"{failure}: {reason.lower()}")
            return
        finally:
            self._connecting = None
        client, server = self.client_end.open_transport, server_end.open_transport
        self.client_end.other, server_end.other = server_end, self.client_end
        if client is None or server is None:
            self.abort()
            return
        client.write(answer)
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


def _parse_target(target: str) -> Address | None:
    """Host and port of `HOST:PORT` or, for a request to a plain HTTP proxy, of an absolute URL; None for anything else."""
    if authority := _AUTHORITY.fullmatch(target):
        return (authority[1].strip("[]"), int(authority[2])) if int(authority[2]) <= _LARGEST_PORT else None
    try:
        url = urlsplit(target if "://" in target else "")
        port = url.port or _HTTP_PORT
    except ValueError:
        return None
    return (url.hostname, port) if url.hostname else None
