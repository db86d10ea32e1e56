"""Connections over real sockets: clients that offer HTTP/2, leave, send half of something, or do not read."""

import json
import logging
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from emulator.api.emulator import Emulator
from emulator.server.settings import Settings

PATIENCE = 30.0
"""Seconds of real time after which a test that hangs fails."""
SCENARIO = """
rules:
- {name: large, when: {last_user: large}, reply: {say: LARGE, chunks: whole}}
- {name: stall, when: {last_user: stall}, reply: [{say: a}, {stall: forever}]}
- {name: reset, when: {last_user: reset}, reply: [{say: LARGE, chunks: {size: 10000}}, {cut: reset}]}
- {name: slow, when: {last_user: slow}, reply: {say: [one, two]}, pace: {every_ms: 300}}
- reply: Hello.
""".replace("LARGE", "x" * 1_000_000)


@pytest.fixture(scope="module")
def vertex() -> Iterator[Emulator]:
    """An emulator whose clients have to be quick."""
    with Emulator(SCENARIO, settings=Settings(auth="off", request_timeout=1.0)) as running:
        yield running


def connect(vertex: Emulator) -> socket.socket:
    """A connection."""
    host, _, port = vertex.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), PATIENCE)


def ask(text: str, project: str = "p", *, stream: bool = False, headers: str = "") -> bytes:
    """A chat request as bytes."""
    body = json.dumps(
        {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": text}], "stream": stream}
    )
    path = f"/v1/projects/{project}/locations/us-central1/endpoints/openapi/chat/completions"
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def read_to_end(client: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    heard = b""
    while more := client.recv(65536):
        heard += more
    return heard


def read_until(client: socket.socket, mark: bytes) -> bytes:
    """What comes until something has."""
    heard = b""
    while mark not in heard:
        more = client.recv(65536)
        assert more, heard
        heard += more
    return heard


GARBAGE = b"\x16\x03garbage\r\n\r\n"


def test_a_refusal_waits_for_a_stream(vertex: Emulator) -> None:
    """Bytes that are no HTTP come while an answer is streamed."""
    with connect(vertex) as client:
        client.sendall(ask("slow", stream=True))
        heard = read_until(client, b'"one"')
        client.sendall(GARBAGE)
        heard += read_to_end(client)
    answer, _, refusal = heard.partition(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert refusal.startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (b"", []),
        (b"POST ", [b"408"]),
        (ask("hi")[:120], [b"408"]),
        (ask("hi")[:-5], [b"408"]),
        (ask("hi") + b"G", [b"200", b"408"]),
        (ask("hi"), [b"200"]),
    ],
    ids=["nothing", "a method", "some of a head", "some of a body", "a byte behind", "a request"],
)
def test_half_a_request_ends(vertex: Emulator, sent: bytes, statuses: list[bytes]) -> None:
    """After the time that the settings give."""
    with connect(vertex) as client:
        client.sendall(sent)
        heard = read_to_end(client)
    assert [part[:3] for part in heard.split(b"HTTP/1.1 ")[1:]] == statuses


@pytest.mark.parametrize(
    "start", [b"GET /", b"GET / HTTP/1.1\r\na: ", b"GET / HTTP/1.1\r\n"], ids=["URL", "value", "name"]
)
def test_a_refusal_reaches_who_is_still_sending(vertex: Emulator, start: bytes) -> None:
    """10 MB of one line: the connection is not reset before the answer has been read."""
    with connect(vertex) as client:
        with suppress(OSError):
            client.sendall(start)
            for _ in range(1000):
                client.sendall(b"x" * 10_000)
        heard = client.recv(65536)
    assert heard.startswith(b"HTTP/1.1 431 ")


def test_closed_connections_are_noticed_behind_a_stall(vertex: Emulator) -> None:
    """Whatever the client has sent before, more than anybody reads included."""
    for number in range(50):
        client = connect(vertex)
        client.sendall(ask("stall", "stalled", stream=True))
        read_until(client, b"data:")
        client.sendall(ask("hi", "stalled") * (1 if number % 2 else 1000))
        if number % 5 == 0:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    ended = vertex.session("stalled").journal.wait_for(50, timeout=PATIENCE)
    assert {one.ended for one in ended} == {"stalled"}


def test_answers_that_nobody_reads_hold_up_nobody(vertex: Emulator) -> None:
    """600 pipelined requests for answers of 1 MB: few are made, others are answered, and all are once the client reads."""
    session = vertex.session("unread")
    with connect(vertex) as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        greedy.settimeout(0.5)
        with suppress(TimeoutError):
            for _ in range(600):
                greedy.sendall(ask("large", "unread"))
        with connect(vertex) as other:
            other.sendall(ask("hi", "other"))
            assert read_until(other, b"Hello.").startswith(b"HTTP/1.1 200 ")
        assert len(session.journal) < 20


def test_clients_that_leave_before_a_reset(vertex: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is logged, whenever and however they leave."""
    for number in range(60):
        client = connect(vertex)
        client.sendall(ask("reset", "reset", stream=True))
        if number % 3:
            client.recv(200)
        if number % 2:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    vertex.session("reset").journal.wait_for(60, timeout=PATIENCE)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_clients_that_leave_within_a_body(vertex: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is logged, on the control path neither."""
    for path in ("/__emulator__/scenario", "/token", ask("hi").split()[1].decode()):
        with connect(vertex) as client:
            client.sendall(f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nsome".encode())
        with connect(vertex) as client:
            client.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nsome".encode())
    with connect(vertex) as client:
        client.sendall(ask("hi"))
        read_until(client, b"Hello.")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


JAVA = """
import java.net.URI;
import java.net.http.*;

public class Ask {
  public static void main(String[] args) throws Exception {
    HttpClient client = HttpClient.newHttpClient();
    for (int i = 0; i < 2; i++) {
      HttpRequest request = HttpRequest.newBuilder(URI.create(args[0] + "/chat/completions"))
          .header("Content-Type", "application/json")
          .POST(HttpRequest.BodyPublishers.ofString(args[1])).build();
      HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
      System.out.println(response.statusCode() + " " + response.version() + " " + response.body().contains("Hello."));
    }
  }
}
"""
BODY = json.dumps({"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "hi"}]})


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java")
def test_java(vertex: Emulator, tmp_path: Path) -> None:
    """Java's HttpClient offers HTTP/2 by an upgrade; it gets its answers by HTTP/1.1."""
    (tmp_path / "Ask.java").write_text(JAVA, "utf-8")
    command = ["java", str(tmp_path / "Ask.java"), vertex.session("java").base_url, BODY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines() == ["200 HTTP_1_1 true"] * 2, done.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("version", ["--http2", "--http1.1", "--http1.0"])
def test_curl(vertex: Emulator, version: str) -> None:
    """`curl --http2` offers it, too; two requests need one connection where HTTP has such."""
    one: list[Any] = [
        "-sS",
        version,
        "-d",
        BODY,
        "-w",
        "\n%{http_code} %{num_connects}\n",
        f"{vertex.session('curl').base_url}/chat/completions",
    ]
    done = subprocess.run(["curl", *one, "--next", *one], capture_output=True, text=True, timeout=PATIENCE, check=False)
    connects = [line for line in done.stdout.splitlines() if line.startswith("200 ")]
    assert connects == ["200 1", "200 1" if version == "--http1.0" else "200 0"], done.stderr
    assert done.stdout.count("Hello.") == 2
