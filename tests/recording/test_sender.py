"""Whole answers within bounds, whatever the upstream does; over real sockets."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from emulator.recording.recording import RecordedRequest
from emulator.recording.sender import Sender

REQUEST = RecordedRequest("POST", "aiplatform.googleapis.com", "/v1/x", "a=b", (("authorization", "Bearer t"),), b"{}")
Serve = Callable[[bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that answers every request with some bytes and closes the connection; without any it never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def start(answer: bytes) -> str:
        def run() -> None:
            try:
                while True:
                    client, _ = listener.accept()
                    kept.append(client)
                    client.recv(65536)
                    if answer:
                        client.sendall(answer)
                        # Not closed: what has not been read of a request would turn that into a reset.
                        client.shutdown(socket.SHUT_WR)
            except OSError:
                return

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for client in kept:
        client.close()


@pytest.mark.parametrize(
    ("answer", "status", "end", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 200, "complete", b"{}"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", 200, "cut", b"{}"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\nzz", 200, "cut", b"{}"),
        (b"HTTP/1.1 503 No\r\n\r\nbusy", 503, "complete", b"busy"),
    ],
)
def test_answers(serve: Serve, answer: bytes, status: int, end: str, body: bytes) -> None:
    """What came, and how it ended."""
    with Sender(serve(answer)) as sender:
        found = sender.send(REQUEST)
    assert (found.status, found.end, found.body) == (status, end, body)


@pytest.mark.parametrize("answer", [b"garbage\r\n\r\n", b"\xff" * 100, b"HTTP/1.1 200 OK\r\n"])
def test_what_is_no_answer(serve: Serve, answer: bytes) -> None:
    """The status is 0, and the body says why."""
    with Sender(serve(answer)) as sender:
        found = sender.send(REQUEST)
    assert found.status == 0
    assert b"ended the connection without an answer" in found.body


def test_answers_that_do_not_come(serve: Serve) -> None:
    """The time is bounded."""
    with Sender(serve(b""), timeout=0.2) as sender:
        found = sender.send(REQUEST)
    assert (found.status, found.body) == (0, b"no whole answer within 0.2 seconds")


def test_nobody_listens() -> None:
    """The reason is told."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Sender(f"http://127.0.0.1:{port}") as sender:
        assert sender.send(REQUEST).body.decode().startswith(f"cannot reach http://127.0.0.1:{port}: ")
