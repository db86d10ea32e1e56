"""Starting a server, waiting until it answers, looking at its memory, stopping it."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Self

from benchmarks.asking import WrongAnswerError, ask, check
from benchmarks.situations import PLAIN, Rule
from benchmarks.subjects import ROOT, Subject, UnavailableError

PATIENCE = 30.0
"""Seconds until a server has to answer."""
KIB = 1024


class Server:
    """A server in a process of its own, which answers once it is entered: `with Server(...) as server`."""

    def __init__(self, subject: Subject, rules: Sequence[Rule], folder: Path, cpus: Sequence[int] = ()) -> None:
        """`cpus` are those that it may use, all of them if none is named."""
        self._subject = subject
        self._rules = rules
        self._folder = folder
        self._cpus = cpus
        self.port = find_port()
        self.started = 0.0
        """Seconds until the first answer."""

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        command = [*pin(self._cpus), *self._subject.command(self._rules, self._folder, self.port)]
        began = time.perf_counter()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        self.started = time.perf_counter() - began
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def processes(self) -> Sequence[int]:
        """The ids of all its processes."""
        return tuple(_family(self._process.pid))

    def memory(self, kind: str = "VmRSS") -> float:
        """What its processes hold, in MiB; `VmHWM` is the most they ever did."""
        return sum(read_memory(process, kind) for process in self.processes)

    def _wait(self) -> None:
        url, chunks = self._subject.url(PLAIN), self._subject.chunks(PLAIN)
        last = time.perf_counter() + PATIENCE
        while time.perf_counter() < last:
            if self._process.poll() is not None:
                raise UnavailableError(f"{self._subject.name} ended with status {self._process.returncode}")
            try:
                check(ask(self.port, url, PLAIN), PLAIN, chunks)
            except (OSError, HTTPException):
                time.sleep(0.002)
            except WrongAnswerError as error:
                raise UnavailableError(f"{self._subject.name}: {error}") from None
            else:
                return
        raise UnavailableError(f"{self._subject.name} does not answer")

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def find_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pin(cpus: Sequence[int]) -> list[str]:
    """What stands before a command that may use these processors only."""
    return ["taskset", "-c", ",".join(map(str, cpus))] if cpus else []


def read_memory(process: int, kind: str) -> float:
    """A line of a process's memory, in MiB, as Linux tells it."""
    for line in Path(f"/proc/{process}/status").read_text("utf-8").splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) / KIB
    return 0.0


def _family(process: int) -> Iterator[int]:
    """A process and all that came of it."""
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in children.read_text("utf-8").split():
            yield from _family(int(child))
