"""The server under attack: a process of its own, whose answers, error output, memory and patience with others are watched."""

import http.client
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ANSWER_TIMEOUT = 20.0
"""Seconds after which a request that has no answer counts as hung."""
MEMORY_LIMIT = 700
"""MiB that the server may take: the journal's 64, what the largest requests of a run need for a moment, and what Python does not give back."""


class FlawError(AssertionError):
    """What the server must never do, with the case that makes it do so."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Target:
    """A running server and a connection to it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, errors: Path) -> None:
        self.process = process
        self.port = port
        self._errors = errors
        self._connection: http.client.HTTPConnection | None = None
        self.slowest_health = 0.0
        """Seconds that the slowest health check took while others attacked."""

    def send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one request over a connection that is kept. Raises FlawError when there is no answer."""
        for attempt in (1, 2):
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_TIMEOUT)
            try:
                self._connection.request(method, path, body, dict(headers))
                response = self._connection.getresponse()
                return Answer(response.status, dict(response.headers), response.read())
            except TimeoutError as error:
                self._connection = None
                raise FlawError(f"no answer within {ANSWER_TIMEOUT:g} seconds") from error
            except (http.client.HTTPException, OSError) as error:
                self._connection.close()
                self._connection = None
                # The server may have closed a connection that was kept; a new one has to work.
                if attempt == 2:
                    raise FlawError(f"the connection ended without an answer: {error!r}") from error
        raise AssertionError

    def send_bytes(self, pieces: list[bytes]) -> bytes:
        """Send bytes over a connection of their own, end, and return all that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_TIMEOUT) as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                # The server has answered and closed already.
                pass
            received = bytearray()
            try:
                while data := connection.recv(65536):
                    received += data
            except TimeoutError as error:
                raise FlawError(f"the connection was still open after {ANSWER_TIMEOUT:g} seconds") from error
            except ConnectionError:
                pass
            return bytes(received)

    def close(self) -> None:
        """Close the connection that is kept."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def memory(self) -> float:
        """MiB that the process takes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("utf-8")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    def check(self) -> None:
        """Raise FlawError if the server has ended, has written to stderr, or takes too much memory."""
        if self.process.poll() is not None:
            raise FlawError(f"the server ended with status {self.process.returncode}: {self._said()}")
        if said := self._said():
            raise FlawError(f"it wrote to stderr: {said}")
        if (memory := self.memory()) > MEMORY_LIMIT:
            raise FlawError(f"it takes {memory:.0f} MiB")

    def _said(self) -> str:
        return self._errors.read_text("utf-8", "replace")[-4000:]


@contextmanager
def running_server(*options: str) -> Iterator[Target]:
    """Run `serve` with options while a second client asks for its health all the time."""
    with tempfile.TemporaryDirectory() as folder:
        errors = Path(folder) / "stderr"
        command = [sys.executable, "-m", "emulator", "serve", "--port", "0", "--quiet", "--print", "json", *options]
        with (
            errors.open("wb") as stderr,
            subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={"PYTHONPATH": str(ROOT), "PATH": ""},
            ) as process,
        ):
            try:
                assert process.stdout is not None
                started = json.loads(process.stdout.readline() or b"{}")
                target = Target(process, int(started["url"].rpartition(":")[2]), errors)
                done = threading.Event()
                watcher = threading.Thread(target=_watch_health, args=(target, done))
                watcher.start()
                try:
                    yield target
                finally:
                    done.set()
                    watcher.join()
                    target.close()
            finally:
                process.kill()


def _watch_health(target: Target, done: threading.Event) -> None:
    while not done.wait(0.05):
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=ANSWER_TIMEOUT)
        start = time.monotonic()
        try:
            connection.request("GET", "/__emulator__/health")
            connection.getresponse().read()
        except OSError:
            pass
        finally:
            connection.close()
        target.slowest_health = max(target.slowest_health, time.monotonic() - start)
