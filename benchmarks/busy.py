"""How long one client's request holds up the others: `python -m benchmarks.busy`.

While one client sends what takes long, a process of its own asks `serve` for its health every 5 ms over one connection. The table has the longest and the
99th percentile of what it waited, and the processor time that the server took. The cases are those of `tests/server/test_busy.py` and larger ones.
"""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.measuring import describe_machine, make_table
from tests.fuzz.target import ROOT
from tests.server.test_busy import CHAT, HEADERS, REQUESTS, SCHEMAS, TEMPLATES, WORDS

INTERVAL = 0.005
MODEL = "google/gemini-2.5-flash"
WATCHER = f"""
import http.client, json, sys, threading, time
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=120)
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
waits = []
while not done.is_set():
    begin = time.perf_counter()
    connection.request("GET", "/__emulator__/health")
    connection.getresponse().read()
    waits.append(time.perf_counter() - begin)
    if len(waits) == 1:
        print("watching", flush=True)
    done.wait({INTERVAL})
print(json.dumps(waits))
"""
"""A client in a process of its own, so that what it waits for is the server and not this program."""


class Client:
    """A client that sends one request after another and takes its time."""

    def __init__(self, port: int) -> None:
        self._port = port

    def send(self, method: str, path: str, body: Any = b"") -> int:
        """The status of the answer; what is no bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
        try:
            connection.request(method, path, body if isinstance(body, bytes) else json.dumps(body).encode(), HEADERS)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def push(self, *rules: Any) -> int:
        """Push a scenario of these rules."""
        return self.send("PUT", "/__emulator__/scenario?session=fuzz", {"rules": rules})

    def ask(self, content: Any = "Hello", **more: Any) -> int:
        """Ask for a chat completion."""
        return self.send("POST", CHAT, {"model": MODEL, "messages": [{"role": "user", "content": content}], **more})


Case = Callable[[Client], Iterator[None]]
"""What is sent: prepared up to the first `yield`, measured from there on."""


def _schema(schema: Any) -> Case:
    def case(client: Client) -> Iterator[None]:
        yield
        client.ask(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}})

    return case


def _template(template: str) -> Case:
    def case(client: Client) -> Iterator[None]:
        yield
        client.push({"reply": template})
        client.ask()

    return case


def _request(rules: list[Any], path: str, given: Mapping[str, Any]) -> Case:
    def case(client: Client) -> Iterator[None]:
        client.push(*[{"when": when, "reply": "a"} for when in rules] or [{"reply": "b"}])
        more = dict(given)
        messages = [{"role": "user", "content": more.pop("content", "Hello")}]
        body = json.dumps({"model": MODEL, "messages": messages, **more}).encode()
        yield
        client.send("POST", path, body)
        for shown in ("journal?limit=1", "verdicts", "verify", "explain?number=1", "inspector/clients"):
            client.send("GET", f"/__emulator__/{shown}")

    return case


def _regexes(*patterns: str) -> Case:
    return _request([{"last_user": {"regex": pattern}} for pattern in patterns], CHAT, {"content": WORDS})


def _push(text: str) -> Case:
    def case(client: Client) -> Iterator[None]:
        yield
        client.send("PUT", "/__emulator__/scenario?session=fuzz", text.encode())
        client.ask()

    return case


def _journal(client: Client) -> Iterator[None]:
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "a" * 60_000_000}]}).encode()
    for _ in range(3):
        client.send("POST", CHAT, body)
    yield
    client.send("GET", "/__emulator__/journal")


def _nothing(client: Client) -> Iterator[None]:  # noqa: ARG001  # a case like the others
    yield
    time.sleep(1)


CASES: dict[str, Case] = {
    "nothing": _nothing,
    **{f"schema: {name}": _schema(schema) for name, schema in SCHEMAS.items()},
    **{f"template {number}": _template(template) for number, template in enumerate(TEMPLATES, 1)},
    **{f"request: {name}": _request(*given) for name, given in REQUESTS.items()},
    "miss: 500 regexes": _regexes(*(f"lo.*z{at}N" for at in range(500))),
    "miss: 500 regexes of classes": _regexes(*(rf"\w+\s\d{{{at + 1}}}" for at in range(500))),
    "miss: 500 lookaheads": _regexes(*(rf"(?!z)\w+\s{at}" for at in range(500))),
    "miss: 500 lookaheads of classes": _regexes(*(rf"(?!z)\w+\s\d{{{at + 1}}}" for at in range(500))),
    "miss: 500 texts": _request([{"last_user": f"zN{at}"} for at in range(500)], CHAT, {"content": WORDS}),
    "miss: 500 globs": _request([{"last_user": {"glob": f"*zN{at}*"}} for at in range(500)], CHAT, {"content": WORDS}),
    "push: 14,000 rules": _push("rules:\n" + "".join(f"- {{when: {{last_user: q{at}}}, reply: a{at}}}\n" for at in range(14_000))),
    "push: 33,000 rules": _push("rules:\n" + "- reply: a\n" * 33_000),
    "push: 33,000 rules in JSON": _push(json.dumps({"rules": [{"reply": "a"}] * 33_000})),
    "push: too many rules": _push("rules:\n" + "- reply: a\n" * 99_000),
    "push: 40,000 unknown keys": _push("rules:\n- reply: a\n" + "".join(f"  k{at}: 1\n" for at in range(40_000))),
    "push: 5,000 regexes": _push(json.dumps({"rules": [{"when": {"last_user": {"regex": f"a{at}.*(b|c)+"}}, "reply": "a"} for at in range(5000)]})),
    "push: 20,000 templates": _push(json.dumps({"rules": [{"reply": f"{{{{ last_user }}}} {at}"} for at in range(20_000)]})),
    "journal of 60 MB bodies": _journal,
}  # fmt: skip


def main() -> None:
    """Measure each case on one server and print a table."""
    parser = ArgumentParser(prog="python -m benchmarks.busy", description=__doc__)
    parser.add_argument("words", nargs="*", help="measure only cases whose name contains one of these")
    options = parser.parse_args()
    command = [sys.executable, "-m", "emulator", "serve", "--port", "0", "--quiet", "--print", "json"]
    rows: list[list[str]] = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        if process.stdout is None:
            raise AssertionError
        port = int(json.loads(process.stdout.readline())["url"].rpartition(":")[2])
        client = Client(port)
        for name, case in CASES.items():
            if options.words and not any(word in name for word in options.words):
                continue
            client.send("POST", "/__emulator__/reset")
            client.send("DELETE", "/__emulator__/scenario?session=fuzz")
            steps = case(client)
            next(steps)
            waits, took, elapsed = _measure(process.pid, port, steps)
            ordered = sorted(waits)
            figures = [ordered[-1] * 1000, ordered[len(ordered) * 99 // 100] * 1000]
            rows.append([name, *(f"{one:.0f}" for one in figures), f"{took:.2f}", f"{elapsed:.2f}"])
            print(*rows[-1], sep="\t", file=sys.stderr, flush=True)
        process.kill()
    print(f"{describe_machine()}.\n")
    print(make_table(["case", "longest wait, ms", "99 % within, ms", "processor, s", "until it was done, s"], rows))


def _measure(process: int, port: int, steps: Iterator[None]) -> tuple[list[float], float, float]:
    """What the watcher waited, the processor time that the server took, and the seconds that it lasted."""
    with subprocess.Popen(
        [sys.executable, "-c", WATCHER, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as watcher:
        if watcher.stdin is None or watcher.stdout is None:
            raise AssertionError
        watcher.stdout.readline()
        before, begin = _processor_time(process), time.perf_counter()
        sending = threading.Thread(target=lambda: list(steps))
        sending.start()
        sending.join()
        elapsed, took = time.perf_counter() - begin, _processor_time(process) - before
        watcher.stdin.close()
        waits: list[float] = json.loads(watcher.stdout.read())
    return waits, took, elapsed


def _processor_time(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
