"""The proxy: where it leads, what it refuses, and that it neither holds back nor keeps anything."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from emulator.intercept import proxy as proxy_module
from emulator.intercept.certificate_authority import CertificateAuthority
from emulator.intercept.proxy import Proxy

HOST = "us-central1-aiplatform.googleapis.com"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    """Run a coroutine on either event loop, with a timeout of a minute; it must leave no task behind."""

    async def bounded(work: Awaitable[None]) -> None:
        async with asyncio.timeout(5):
            await work
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not {task for task in others if not task.done()}

    def start(work: Awaitable[None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded(work))

    return start


def bind() -> socket.socket:
    """A listening socket."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen(256)
    return bound


class ProxySetup:
    """A proxy and a server behind it."""

    def __init__(self, proxy: Proxy, port: int) -> None:
        self.proxy = proxy
        self.port = port
        self.leaks: list[str] = []

    async def send(self, head: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the proxy and send bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(head.encode())
        return reader, writer

    async def ask(self, head: str) -> str:
        """Send bytes to the proxy, and return everything it answers."""
        reader, writer = await self.send(head)
        try:
            return (await reader.read()).decode()
        finally:
            await close(writer)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a tunnel."""
        reader, writer = await self.send(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
        return reader, writer

    async def wait_until_empty(self) -> None:
        """Wait until the proxy has removed every tunnel."""
        while self.proxy._tunnels:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)


@asynccontextmanager
async def running_proxy(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[ProxySetup]:
    """Run a proxy in front of a server."""
    handling: set[asyncio.Task[Any]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handling.add(task)
        await handler(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    async with server:
        leaks: list[str] = []
        proxy, bound = Proxy(server.sockets[0].getsockname(), leaks.append), bind()
        setup = ProxySetup(proxy, bound.getsockname()[1])
        setup.leaks = leaks
        async with proxy.listening(bound):
            yield setup
    await asyncio.gather(*handling, return_exceptions=True)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection and wait until it is closed."""
    writer.close()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send everything back, then whether the end was seen."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write(b"the end")
    await close(writer)


def test_frames_are_not_held_back(run: Any, tmp_path: Path) -> None:
    """Under TLS, each frame of a stream arrives before the server sends the next."""
    authority = CertificateAuthority()

    async def work() -> None:
        arrived = asyncio.Event()

        async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            for number in range(5):
                arrived.clear()
                writer.write(f"data: {number}\n\n".encode())
                await arrived.wait()
            await close(writer)

        async with running_proxy(stream, authority.server_context(tmp_path)) as setup:
            reader, writer = await setup.open()
            trusting = ssl.create_default_context(cadata=authority.certificate.decode())
            await writer.start_tls(trusting, server_hostname=HOST)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            for number in range(5):
                assert await reader.readuntil(b"\n\n") == f"data: {number}\n\n".encode()
                arrived.set()
            assert await reader.read() == b""
            await close(writer)
            await setup.wait_until_empty()

    run(work())


def test_one_direction_may_end_first(run: Any) -> None:
    """A client that has closed its side still gets the answer; large amounts arrive unchanged."""

    async def work() -> None:
        async with running_proxy(echo) as setup:
            reader, writer = await setup.open()
            said = bytes(range(256)) * 40_000
            writer.write(said)
            writer.write_eof()
            assert await reader.read() == said + b"the end"
            await close(writer)
            await setup.wait_until_empty()

    run(work())


def test_what_follows_the_head_at_once_is_passed_on(run: Any) -> None:
    """A client may send data without waiting for the answer to CONNECT."""

    async def work() -> None:
        async with running_proxy(echo) as setup:
            reader, writer = await setup.send(f"CONNECT {HOST}:443 HTTP/1.1\r\n\r\nhello ")
            writer.write_eof()
            assert await reader.read() == b"HTTP/1.1 200 Connection established\r\n\r\nhello the end"
            await close(writer)
            await setup.wait_until_empty()

    run(work())


def test_disconnects_leave_nothing(run: Any) -> None:
    """A client that disconnects, at any point and in any way, leaves neither connection nor task behind."""

    async def work() -> None:
        ended = asyncio.Queue[None]()

        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"x" * 1_000_000)
            await asyncio.gather(reader.read(), writer.drain(), return_exceptions=True)
            writer.transport.abort()
            ended.put_nowait(None)

        async with running_proxy(hold) as setup:
            for head in ("", "CONN", f"CONNECT {HOST}:443 HTTP/1.1\r\n\r\n"):
                _, writer = await setup.send(head)
                await close(writer)
            for _ in range(20):
                reader, writer = await setup.open()
                await reader.readexactly(10)
                writer.transport.abort()
                await ended.get()
            await setup.wait_until_empty()

    run(work())


def test_two_hundred_at_once(run: Any) -> None:
    """Two hundred tunnels are open concurrently."""

    async def work() -> None:
        async with running_proxy(echo) as setup:
            tunnels = await asyncio.gather(*(setup.open() for _ in range(200)))
            assert len(setup.proxy._tunnels) == 200
            for number, (_, writer) in enumerate(tunnels):
                writer.write(b"%03d" % number)
            for number, (reader, writer) in enumerate(tunnels):
                assert await reader.readexactly(3) == b"%03d" % number
                await close(writer)
            await setup.wait_until_empty()

    run(work())


def test_the_end_of_the_proxy_closes_tunnels(run: Any) -> None:
    """Open tunnels are closed when the proxy ends."""

    async def work() -> None:
        async with running_proxy(echo) as setup:
            reader, writer = await setup.open()
        (end,) = await asyncio.gather(reader.read(), return_exceptions=True)
        assert end == b"" or isinstance(end, ConnectionError)
        await close(writer)
        await setup.wait_until_empty()

    run(work())


@pytest.mark.parametrize(
    ("head", "leak"),
    [
        ("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", "example.com"),
        ("CONNECT googleapis.com.example.com:443 HTTP/1.1\r\n\r\n", "googleapis.com.example.com"),
        ("CONNECT evilgoogleapis.com:443 HTTP/1.1\r\n\r\n", "evilgoogleapis.com"),
        ("CONNECT 127.0.0.1:22 HTTP/1.1\r\n\r\n", "127.0.0.1"),
        ("CONNECT [::1]:443 HTTP/1.1\r\n\r\n", "::1"),
        ("GET http://example.com/ HTTP/1.1\r\n\r\n", "http://example.com"),
        ("POST http://storage.googleapis.com/ HTTP/1.1\r\n\r\nbody", "http://storage.googleapis.com"),
    ],
)
def test_other_hosts_are_refused(run: Any, head: str, leak: str) -> None:
    """Hosts that are not emulated are refused with 403 and a line of text, and reported."""

    async def work() -> None:
        async with running_proxy(echo) as setup:
            answer = await setup.ask(head)
            assert answer.startswith("HTTP/1.1 403 Forbidden\r\n")
            assert answer.endswith(
                "is refused: only HTTPS to *.googleapis.com and *.prediction.vertexai.goog stays on this machine\n"
            )
            assert setup.leaks == [leak]
            await setup.wait_until_empty()

    run(work())


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("CONNECT nowhere HTTP/1.1\r\n\r\n", 400),
        ("GET http://[ HTTP/1.1\r\n\r\n", 400),
        ("\x16\x03\x01 hello\r\n\r\n", 400),
        ("CONNECT a:1 HTTP/1.1\r\nX: " + "x" * 20_000, 431),
    ],
    ids=["path", "no port", "no host", "tls", "endless"],
)
def test_invalid_requests_are_refused(run: Any, head: str, status: int) -> None:
    """Anything that is not a request to a proxy gets 400, and is not reported as a leak."""

    async def work() -> None:
        async with running_proxy(echo) as setup:
            assert (await setup.ask(head)).startswith(f"HTTP/1.1 {status} ")
            assert setup.leaks == []
            await setup.wait_until_empty()

    run(work())


def test_slow_request_heads_time_out(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends no complete head in time is disconnected."""
    monkeypatch.setattr(proxy_module, "HEAD_TIMEOUT", 0.01)

    async def work() -> None:
        async with running_proxy(echo) as setup:
            reader, writer = await setup.send("CONNECT ")
            (end,) = await asyncio.gather(reader.read(), return_exceptions=True)
            assert end == b"" or isinstance(end, ConnectionError)
            await close(writer)
            await setup.wait_until_empty()

    run(work())


def test_a_server_that_is_gone(run: Any) -> None:
    """If the server cannot be reached, the client gets 502."""

    async def work() -> None:
        gone = bind()
        address = gone.getsockname()
        gone.close()
        proxy, bound = Proxy(address, lambda _: None), bind()
        setup = ProxySetup(proxy, bound.getsockname()[1])
        async with proxy.listening(bound):
            assert (await setup.ask(f"CONNECT {HOST}:443 HTTP/1.1\r\n\r\n")).startswith("HTTP/1.1 502 Bad Gateway\r\n")
            await setup.wait_until_empty()

    run(work())
