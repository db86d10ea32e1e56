"""Crowds of clients that do not do their part: memory stays flat and others are answered.

The numbers are small here; `CROWD=full pytest -s tests/http/test_crowds.py` tries 10,000 abandoned streams, 2,000 idle connections and 200
clients that never read, and prints what it has measured.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

IS_FULL = os.environ.get("CROWD") == "full"
STREAMS, IDLE, UNREAD = (10_000, 2_000, 200) if IS_FULL else (300, 200, 20)
PATIENCE = 60.0
"""Seconds of real time after which a test that hangs fails."""
MIB = 1024 * 1024
ANSWER_BYTES = 1_000_000
SCENARIO = f"""
rules:
- {{name: stream, when: {{last_user: stream}}, reply: [{{say: a}}, {{pause: 600000}}, {{say: b}}]}}
- {{name: large, when: {{last_user: large}}, reply: {{say: "{"x" * ANSWER_BYTES}", chunks: whole}}}}
- reply: Hello.
"""

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc"),
    pytest.mark.timeout(1200),
]


class Server(NamedTuple):
    """A running server."""

    pid: int
    port: int

    def connect(self) -> socket.socket:
        """A connection."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    @property
    def memory(self) -> float:
        """Resident memory in MiB."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MIB

    @property
    def descriptors(self) -> int:
        """Open file descriptors."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def answer_time(self) -> float:
        """Seconds until another client has its answer."""
        started = time.perf_counter()
        with self.connect() as client:
            client.sendall(ask("hi"))
            heard = b""
            while b"Hello." not in heard:
                heard += client.recv(65536)
        return time.perf_counter() - started


def ask(text: str, *, stream: bool = False) -> bytes:
    """A chat request as bytes."""
    body = json.dumps(
        {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": text}], "stream": stream}
    )
    path = "/v1/projects/p/locations/us-central1/endpoints/openapi/chat/completions"
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """`serve` with the scenario."""
    (tmp_path / "crowd.yaml").write_text(SCENARIO, "utf-8")
    command = [sys.executable, "-m", "emulator", "serve", "crowd.yaml", "--port", "0", "--quiet", "--print", "json"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r'"url": ?"http://127.0.0.1:(\d+)"', process.stdout.readline())
        assert found is not None
        try:
            yield Server(process.pid, int(found[1]))
        finally:
            process.terminate()


def wait_for_descriptors(server: Server, count: int) -> float:
    """Seconds until no more than these descriptors are open."""
    started = time.perf_counter()
    while server.descriptors > count:
        assert time.perf_counter() - started < PATIENCE, f"{server.descriptors} descriptors are open"
        server.answer_time()
    return time.perf_counter() - started


def abandon(server: Server, count: int) -> None:
    """Begin streams and leave them, a hundred at a time."""
    for start in range(0, count, 100):
        clients = [server.connect() for _ in range(min(100, count - start))]
        for client in clients:
            client.sendall(ask("stream", stream=True))
        for client in clients:
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        for client in clients:
            client.close()


def test_abandoned_streams(server: Server) -> None:
    """Clients leave in the middle of streams that would take ten minutes; all that they held is given back."""
    before = server.descriptors
    # As many as the journal keeps, so that it grows no more.
    abandon(server, 1100 if IS_FULL else STREAMS)
    first = server.memory
    abandon(server, STREAMS)
    seconds, last, answered = wait_for_descriptors(server, before), server.memory, server.answer_time()
    print(  # noqa: T201  # it shows what it measured
        f"\n{STREAMS:,} abandoned streams: {first:.0f} -> {last:.0f} MiB, freed in {seconds:.1f} s, answer in {answered * 1000:.0f} ms"
    )
    assert last - first < 10
    assert answered < 5


def test_idle_connections(server: Server) -> None:
    """Half of them have asked something before, and wait; others are answered."""
    before, first = server.descriptors, server.memory
    clients = [server.connect() for _ in range(IDLE)]
    for client in clients[::2]:
        client.sendall(ask("hi"))
    for client in clients[::2]:
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
    answered, last = server.answer_time(), server.memory
    for client in clients:
        client.close()
    wait_for_descriptors(server, before)
    print(f"\n{IDLE:,} idle connections: {first:.0f} -> {last:.0f} MiB, answer in {answered * 1000:.0f} ms")  # noqa: T201  # it shows what it measured
    assert last - first < 10 + IDLE * 0.03
    assert answered < 5


def test_clients_that_never_read(server: Server) -> None:
    """Each sends 600 requests for 1 MB; one answer of each is in memory, and the journal's. Others who come next need no more."""
    before, first = server.descriptors, server.memory
    requests = ask("large") * 600
    memories = []
    for _ in range(3):
        clients = []
        for _ in range(UNREAD):
            client = server.connect()
            client.settimeout(0.01)
            with suppress(TimeoutError):
                client.sendall(requests)
            clients.append(client)
        answered = server.answer_time()
        slowest = max(server.answer_time() for _ in range(20))
        memories.append(server.memory)
        for client in clients:
            client.close()
        seconds = wait_for_descriptors(server, before)
        print(  # noqa: T201  # it shows what it measured
            f"\n{UNREAD} clients that never read: {first:.0f} -> {memories[-1]:.0f} MiB, answer in {answered * 1000:.0f} ms,"
            f" then at most {slowest * 1000:.0f} ms; freed in {seconds:.1f} s"
        )
        assert slowest < 5
    assert memories[0] - first < 80 + UNREAD * 4 * ANSWER_BYTES / MIB
    assert memories[-1] - memories[0] < 20 + UNREAD * 0.5
