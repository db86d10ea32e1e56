"""What recording adds to the first byte of a stream: `python -m benchmarks.recording`.

One worker of `serve` plays the real service; streams are asked for from it by turns directly and through `serve --record`. All requests differ.
"""

import json
import os
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measuring import describe_machine, make_table, median, median_difference
from benchmarks.serving import Server
from benchmarks.situations import MODEL, ONE_RULE, TOPIC
from benchmarks.subjects import ROOT
from benchmarks.subjects.emulator import ONE_WORKER, PATH

UNCOUNTED = 20
"""Requests before those that count."""


def main() -> None:
    """Measure and print a table."""
    parser = ArgumentParser(prog="python -m benchmarks.recording", description=__doc__)
    parser.add_argument("--requests", type=int, default=300, help="requests by each way (default 300)")
    parser.add_argument("--pause", type=int, default=20, help="milliseconds between two requests (default 20)")
    options = parser.parse_args()
    with (
        TemporaryDirectory() as folder,
        Server(ONE_WORKER, ONE_RULE, Path(folder, "upstream")) as upstream,
        _recording(upstream.port, Path(folder, "recording")) as port,
        socket.create_connection(("127.0.0.1", upstream.port)) as direct,
        socket.create_connection(("127.0.0.1", port)) as recorded,
    ):
        times: dict[str, list[float]] = {"directly": [], "recorded": []}
        for number in range(UNCOUNTED + options.requests):
            for name, connection in (("directly", direct), ("recorded", recorded)):
                # Whatever a client does with an answer; without it, a request meets the writing of the one before.
                time.sleep(options.pause / 1000)
                taken = _ask(connection, number)
                if number >= UNCOUNTED:
                    times[name].append(taken)
    added = sorted(more - less for more, less in zip(times["recorded"], times["directly"], strict=True))
    print(f"{describe_machine()}; {options.requests} streams by each way, in turns, {options.pause} ms between two.\n")
    rows = [[name, *_describe(values)] for name, values in times.items()]
    print(make_table(["first byte, ms", "median", "90 %", "99 %"], [*rows, ["added", *_describe(added)]]))
    print(f"\nThe median of the differences: {median_difference(times['recorded'], times['directly']) * 1000:.1f} ms.")


def _describe(values: list[float]) -> list[str]:
    ordered = sorted(values)
    ranked = (median(ordered), *(ordered[int(len(ordered) * share)] for share in (0.9, 0.99)))
    return [f"{value * 1000:.1f}" for value in ranked]


@contextmanager
def _recording(upstream: int, folder: Path) -> Iterator[int]:
    """Run a server that forwards and records; its port."""
    command = [sys.executable, "-m", "emulator", "serve", "--port", "0", "--record", str(folder), "--print", "json"]
    process = subprocess.Popen(
        [*command, "--upstream", f"http://127.0.0.1:{upstream}", "--quiet"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    try:
        yield int(json.loads(process.stdout.readline())["url"].rpartition(":")[2])
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def _ask(connection: socket.socket, number: int) -> float:
    """Seconds until the first byte of a stream, which is read to its end."""
    message = {"role": "user", "content": f"Tell me about {TOPIC}, {number} {time.time_ns()}"}
    body = json.dumps({"model": MODEL, "messages": [message], "stream": True}).encode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer any\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    started = time.perf_counter()
    connection.sendall(head.encode() + body)
    answer = connection.recv(65536)
    taken = time.perf_counter() - started
    while not answer.endswith(b"\r\n0\r\n\r\n"):
        answer += connection.recv(65536)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"an answer was {answer[:60]!r}")
    return taken


if __name__ == "__main__":
    main()
