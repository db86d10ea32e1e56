"""What an open page costs the server: `python -m benchmarks.page`.

One worker of `serve` is asked 1,000 times a second, all requests different, by turns with nobody looking, with a browser that has the list of
exchanges open, and with a reader of the event stream alone. The browser runs on the same machine and takes processors that others share.
"""

import asyncio
import json
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

from benchmarks.measuring import describe_machine, make_table, median
from benchmarks.serving import Server
from benchmarks.situations import MODEL, ONE_RULE, TOPIC
from benchmarks.subjects.emulator import ONE_WORKER, PATH

RATE = 1_000
"""Requests a second."""
CONNECTIONS = 16
TICKS = Path("/proc")


def main() -> None:
    """Measure and print a table."""
    parser = ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count; one more comes first (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a measurement (default 3)")
    parser.add_argument("--browser", default="/usr/bin/chromium", help="the browser's program")
    options = parser.parse_args()
    watchers = {
        "nobody": _nobody,
        "a browser": lambda port: _browser(port, options.browser),
        "the event stream": _reader,
    }
    rates: dict[str, list[float]] = {name: [] for name in watchers}
    costs: dict[str, list[float]] = {name: [] for name in watchers}
    # The load has a thread and a loop of its own, because Playwright has a loop in this one.
    with (
        TemporaryDirectory() as folder,
        Server(ONE_WORKER, ONE_RULE, Path(folder)) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        for number in range(options.rounds + 1):
            for name, watch in watchers.items():
                with watch(server.port):
                    rate, cost = pool.submit(_measure, server, options.seconds).result()
                if number:
                    rates[name].append(rate)
                    costs[name].append(cost)
    print(
        f"{describe_machine()}; {RATE:,} requests a second over {CONNECTIONS} connections, all different; "
        f"medians of {options.rounds} rounds of {options.seconds} s, by turns.\n"
    )
    rows = [
        [
            name,
            f"{median(rates[name]):,.0f}",
            f"{median(rates[name]) / median(rates['nobody']):.2f}",
            f"{median(costs[name]):.2f}",
        ]
        for name in watchers
    ]
    print(make_table(["looking", "answers per second", "times nobody", "the server's share of a processor"], rows))


def _measure(server: Server, seconds: int) -> tuple[float, float]:
    """Answers a second, and the share of a processor that the server took."""
    before, started = _processor_time(server), time.perf_counter()
    answered = asyncio.run(_load(server.port, seconds))
    elapsed = time.perf_counter() - started
    return answered / elapsed, (_processor_time(server) - before) / elapsed


def _processor_time(server: Server) -> float:
    """Seconds of processor time that the server's processes have taken."""
    fields = [(TICKS / str(pid) / "stat").read_text("utf-8").rpartition(")")[2].split() for pid in server.processes]
    return sum(int(one[11]) + int(one[12]) for one in fields) / 100


async def _load(port: int, seconds: int) -> int:
    """Send requests at the rate, each connection its share, and count the answers; one that is late delays the next."""
    tasks = [_ask_often(port, number, seconds) for number in range(CONNECTIONS)]
    return sum(await asyncio.gather(*tasks))


async def _ask_often(port: int, connection: int, seconds: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    every, started, answered = CONNECTIONS / RATE, time.perf_counter(), 0
    while (now := time.perf_counter() - started) < seconds:
        if (early := answered * every - now) > 0:
            await asyncio.sleep(early)
        message = {"role": "user", "content": f"Tell me about {TOPIC}, {connection} {time.time_ns()}"}
        body = json.dumps({"model": MODEL, "messages": [message]}).encode()
        head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer any\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"an answer was {answer[:40]!r}")
        # Plain answers come in chunks too, as from the service.
        await reader.readuntil(b"\r\n0\r\n\r\n")
        answered += 1
    writer.close()
    return answered


@contextmanager
def _nobody(_port: int) -> Iterator[None]:
    yield


@contextmanager
def _browser(port: int, program: str) -> Iterator[None]:
    """Have the list of exchanges open in a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/__emulator__/")
        page.locator(".live", has_text="live").wait_for()
        yield
        if not page.locator("a.row").count():
            raise SystemExit("the page has shown nothing")
        browser.close()


@contextmanager
def _reader(port: int) -> Iterator[None]:
    """Read the event stream, as many pages would."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/__emulator__/events")
    response = connection.getresponse()
    thread = threading.Thread(target=_read, args=(response,), daemon=True)
    thread.start()
    yield
    connection.close()


def _read(response: HTTPResponse) -> None:
    try:
        while response.read1(65536):
            pass
    except (OSError, ValueError, AttributeError):
        return


if __name__ == "__main__":
    main()
