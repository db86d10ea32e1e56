"""Servers of several processes that share a real Redis, over real sockets."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from emulator.store.private_redis import find_redis_server

ROOT = Path(__file__).parents[2]


class RedisServer:
    """A Redis server at a Unix socket that can be stopped and started again, empty."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "redis.sock"
        self.url = f"unix://{self.path}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and return when it answers."""
        command = [
            find_redis_server(),
            "--port",
            "0",
            "--unixsocket",
            str(self.path),
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL)
        while not self.path.exists():
            assert self._process.poll() is None
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.path.unlink(missing_ok=True)

    def pause(self) -> None:
        """Let it answer no more, with its connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it answer again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class Client:
    """A client that keeps its connection, so that it always asks the same process."""

    def __init__(self, port: int) -> None:
        self.connection = HTTPConnection("127.0.0.1", port, timeout=30)

    def begin(self, text: str) -> HTTPResponse:
        """The stream of a chat request, not read yet."""
        self._send(text, "p", stream=True)
        return self.connection.getresponse()

    def ask(self, text: str, project: str = "p", **more: Any) -> tuple[int, str]:
        """Status and body of a chat request."""
        self._send(text, project, **more)
        response = self.connection.getresponse()
        return response.status, response.read().decode()

    def _send(self, text: str, project: str, **more: Any) -> None:
        body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": text}], **more}
        path = f"/v1/projects/{project}/locations/global/endpoints/openapi/chat/completions"
        self.connection.request("POST", path, json.dumps(body), {"authorization": "Bearer any"})

    def say(self, text: str, project: str = "p") -> str:
        """What is answered; the status where it is no answer."""
        status, body = self.ask(text, project)
        return str(json.loads(body)["choices"][0]["message"]["content"]) if status == 200 else str(status)

    def control(self, path: str, method: str = "GET", body: str | None = None) -> Any:
        """What the control path says."""
        self.connection.request(method, f"/__emulator__/{path}", body)
        response = self.connection.getresponse()
        text = response.read()
        assert response.status < 300, text
        return json.loads(text) if text else None


class RunningServer:
    """A running `serve`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr is not None else ""
        self.greeting = json.loads(line)
        self.port = int(self.greeting["url"].rpartition(":")[2])
        self._clients: list[Client] = []

    def connect(self) -> Client:
        """A connection of its own."""
        client = Client(self.port)
        self._clients.append(client)
        return client

    def connect_each(self) -> list[Client]:
        """One connection to each of the workers."""
        found: dict[int, Client] = {}
        for _ in range(200):
            client = self.connect()
            assert client.say("hello", "unrelated")
            own = client.connection.sock.getsockname()[1]
            worker = next((pid for pid in self.workers() if own in _peer_ports(pid, self.port)), None)
            if worker is not None:
                found.setdefault(worker, client)
            if len(found) == max(1, len(self.workers())):
                break
        return list(found.values())

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text("utf-8").split()
        commands = {int(pid): Path(f"/proc/{pid}/comm").read_text("utf-8") for pid in children}
        return [pid for pid, command in commands.items() if not command.startswith(("redis", "valkey"))]

    def read_error(self, text: str) -> str:
        """Read what is said on standard error up to a line that holds a text."""
        assert self.process.stderr is not None
        return next(line for line in self.process.stderr if text in line)

    def end(self) -> None:
        """Let go of everything."""
        for client in self._clients:
            client.connection.close()
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        self.process.wait()


def _peer_ports(pid: int, port: int) -> set[int]:
    """The ports of clients whose connections a process holds."""
    lines = Path(f"/proc/{pid}/net/tcp").read_text("utf-8").splitlines()[1:]
    fields = [line.split() for line in lines]
    ports = {
        field[9]: int(field[2].rpartition(":")[2], 16)
        for field in fields
        if field[1].endswith(f":{port:04X}") and field[3] == "01"
    }
    links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    return {ports[link[8:-1]] for link in links if link.startswith("socket:[") and link[8:-1] in ports}


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A Redis server of the test's own."""
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        yield server
        server.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Starts `vertex-emulator serve` with arguments and a scenario."""
    with ExitStack() as stack:

        def start(*arguments: str, scenario: str) -> RunningServer:
            (tmp_path / "s.yaml").write_text(scenario, "utf-8")
            command = [
                sys.executable,
                "-m",
                "emulator",
                "serve",
                "--port",
                "0",
                "--print",
                "json",
                *arguments,
                "s.yaml",
            ]
            process = subprocess.Popen(
                command,
                cwd=tmp_path,
                env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            stack.callback(process.kill)
            server = RunningServer(process)
            stack.callback(server.end)
            return server

        yield start
