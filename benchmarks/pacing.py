"""How late paced chunks are when a thousand streams run at once, and what clients that leave cost.

`python -m benchmarks.pacing` runs one worker of `serve`, and the clients in a process of their own.
"""

import argparse
import asyncio
import gc
import json
import multiprocessing
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import uvloop

from benchmarks.measuring import describe_machine, make_table

EVERY = 0.1
CHUNKS = 40
SPREAD = 1.0
"""Seconds over which the streams begin."""
SCENARIO = f"""
rules:
  - name: paced
    pace: {{first_token_ms: {EVERY * 1000:g}, every_ms: {EVERY * 1000:g}}}
    reply: {{say: {json.dumps([f"word {number} " for number in range(CHUNKS)])}}}
"""


def ask(url: str) -> bytes:
    """A request for a stream, as bytes."""
    host, path = urlsplit(url).netloc, urlsplit(url).path
    message = {"role": "user", "content": "Hello"}
    body = json.dumps({"model": "google/gemini-2.5-flash", "messages": [message], "stream": True}).encode()
    head = f"POST {path}/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def read_stream(address: tuple[str, int], request: bytes, begin: float) -> list[float]:
    """How late each chunk of one stream was, in seconds."""
    await asyncio.sleep(begin)
    reader, writer = await asyncio.open_connection(*address)
    started = time.perf_counter()
    writer.write(request)
    late: list[float] = []
    async for line in reader:
        if line.startswith(b'data: {"choices'):
            late.append(time.perf_counter() - started - EVERY * (len(late) + 1))
        elif line.startswith(b"data: [DONE]"):
            break
    writer.close()
    return late


async def sleep_often(begin: float) -> list[float]:
    """How late the machine's own timers are with the same number of waits and nothing to do."""
    await asyncio.sleep(begin)
    started = time.perf_counter()
    late: list[float] = []
    for number in range(CHUNKS):
        await asyncio.sleep(started + EVERY * (number + 1) - time.perf_counter())
        late.append(time.perf_counter() - started - EVERY * (number + 1))
    return late


async def leave_early(address: tuple[str, int], request: bytes, count: int, run_synchronously: int) -> None:
    """Let so many clients leave behind their first chunk, one half in order and one half by a reset."""
    limit = asyncio.Semaphore(run_synchronously)

    async def leave(number: int) -> None:
        async with limit:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(request)
            await reader.readline()
            if number % 2:
                below = writer.get_extra_info("socket")
                below.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()

    await asyncio.gather(*(leave(number) for number in range(count)))


def lateness_of_streams(address: tuple[str, int], request: bytes, count: int) -> list[float]:
    """The lateness of all chunks of so many streams at once, sorted."""
    return _together(lambda begin: read_stream(address, request, begin), count)


def lateness_of_timers(count: int) -> list[float]:
    """The lateness of as many timers, sorted."""
    return _together(sleep_often, count)


def _together(make: Callable[[float], Coroutine[None, None, list[float]]], count: int) -> list[float]:
    # The pauses of a collector here would be taken for the server's.
    gc.disable()

    async def run() -> list[float]:
        found = await asyncio.gather(*(make(SPREAD * number / count) for number in range(count)))
        return sorted(late for one in found for late in one)

    return uvloop.run(run())


def leave_all(address: tuple[str, int], request: bytes, count: int) -> None:
    """Let so many clients leave, two hundred at a time."""
    uvloop.run(leave_early(address, request, count, 200))


@dataclass(frozen=True)
class Server:
    """A running `serve`."""

    pid: int
    address: tuple[str, int]
    request: bytes

    def memory(self) -> float:
        """Its memory now, in MB."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1])
        return pages * resource.getpagesize() / 1e6

    def count_connections(self) -> int:
        """How many files it has open, connections among them."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())


@contextmanager
def serve() -> Iterator[Server]:
    """Run one worker."""
    options = ["--port", "0", "--print", "json", "--quiet", "--auth", "off", "--grace", "0", "--until-stdin-closes"]
    with TemporaryDirectory() as folder:
        path = Path(folder, "paced.yaml")
        path.write_text(SCENARIO, "utf-8")
        command = [sys.executable, "-m", "emulator", "serve", str(path), *options]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            if process.stdin is None or process.stdout is None:
                raise RuntimeError("the server has no pipes")
            said = json.loads(process.stdout.readline())
            url = urlsplit(said["url"])
            yield Server(process.pid, (url.hostname or "", url.port or 0), ask(said["base_url"]))
            process.stdin.close()


def measure_lateness(server: Server, clients: ProcessPoolExecutor, count: int) -> str:
    """The table of lateness: our streams beside bare timers."""
    found = {
        f"{count} streams of {CHUNKS} chunks, one every {EVERY * 1000:g} ms": clients.submit(
            lateness_of_streams, server.address, server.request, count
        ).result(),
        f"{count} bare timers as often, nothing else to do": clients.submit(lateness_of_timers, count).result(),
    }
    rows = [
        [name, *(f"{late[min(int(len(late) * part), len(late) - 1)] * 1000:.1f} ms" for part in (0.5, 0.99, 0.999, 1))]
        for name, late in found.items()
    ]
    return make_table(["lateness", "median", "99 %", "99.9 %", "worst"], rows)


def measure_leaving(server: Server, clients: ProcessPoolExecutor, count: int) -> str:
    """The table of memory while clients leave."""
    rows, idle = [], server.count_connections()
    for part in range(6):
        if part:
            clients.submit(leave_all, server.address, server.request, count // 5).result()
        started = time.perf_counter()
        while server.count_connections() > idle:
            time.sleep(0.001)
        freed = time.perf_counter() - started
        rows.append([f"{part * count // 5}", f"{server.memory():.1f} MB", f"{freed * 1000:.0f} ms"])
    return make_table(["clients that have left", "memory", "until the last one is freed"], rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--leaving", type=int, default=10_000)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as clients, serve() as server:
        # What is imported with the first answer is no lateness of streams.
        clients.submit(lateness_of_streams, server.address, server.request, 2).result()
        print(describe_machine(), measure_lateness(server, clients, options.streams), sep="\n\n", end="\n\n")
        print(measure_leaving(server, clients, options.leaving))


if __name__ == "__main__":
    main()
