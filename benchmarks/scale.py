"""What sharing state through Redis costs, and how far one Redis goes: `python -m benchmarks.scale`."""

import os
import shutil
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.load import Load, install_wrk, run_wrk
from benchmarks.measuring import describe_machine, make_table, median
from benchmarks.serving import find_port
from benchmarks.situations import NUMBER, Situation
from benchmarks.subjects import ROOT
from benchmarks.subjects.emulator import PATH

DOCUMENT = ROOT / "docs" / "scale.md"
BEGIN, END = "<!-- Measured: python -m benchmarks.scale --write -->", "<!-- end -->"
CONNECTIONS = 32
PATIENCE = 30.0
RULES = """
rules:
- {name: literal, when: {last_user: literal}, reply: One two six ten one two six ten.}
- {name: sequence, when: {last_user: sequence}, sequence: [One., Two., Three.], then: loop}
"""
QUOTA = "quota: {requests_per_minute: 1000000000}\n"
KINDS = {"literal": RULES, "sequence": RULES, "quota": QUOTA + RULES}
"""Kinds of requests with the scenario that serves them; one under a quota asks for the literal rule."""
UTILISATION = 0.7
"""Share of a processor that one Redis may take before a second one is advisable."""


@dataclass(frozen=True)
class Setup:
    """A way to serve: so many servers of so many workers, and where their state is."""

    name: str
    servers: int
    workers: int
    store: str
    """Memory, or how Redis is reached: `socket` or `tcp`."""


SETUPS = (
    Setup("1 worker, memory", 1, 1, "memory"),
    Setup("1 worker, Redis on a Unix socket", 1, 1, "socket"),
    Setup("2 workers, Redis on a Unix socket", 1, 2, "socket"),
    Setup("2 servers, Redis over loopback TCP", 2, 1, "tcp"),
)


@dataclass
class Measured:
    """What came of a kind of requests with a setup, over all rounds."""

    rates: list[float]
    operations: list[float]
    """Redis commands for each request."""
    received: list[float]
    """Bytes to Redis for each request."""
    sent: list[float]
    """Bytes from Redis for each request."""
    processor: list[float]
    """Seconds of Redis' processor time for each request."""
    load: list[float]
    """The load generator's share of a processor."""


class Redis:
    """A redis-server for the benchmark, on a Unix socket and on loopback TCP."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            raise SystemExit("this needs redis-server (Debian: apt install redis-server)")
        self.port = find_port()
        self.path = folder / "redis.sock"
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.path)]
        self._process = subprocess.Popen(
            [program, *options, "--save", "", "--appendonly", "no"], cwd=folder, stdout=subprocess.DEVNULL
        )
        while not self.path.exists():
            time.sleep(0.01)

    def url(self, store: str) -> str:
        """How servers are told to reach it."""
        return f"unix://{self.path}" if store == "socket" else f"redis://127.0.0.1:{self.port}/0"

    def info(self) -> dict[str, float]:
        """What its INFO counts."""
        from redis import Redis as Client  # noqa: PLC0415  # an extra

        client: Any = Client(port=self.port)
        found = client.info("stats") | client.info("cpu")
        client.close()
        names = ("total_commands_processed", "total_net_input_bytes", "total_net_output_bytes")
        return {
            **{name: float(found[name]) for name in names},
            "processor": float(found["used_cpu_user"]) + float(found["used_cpu_sys"]),
        }

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def main() -> None:
    """Measure, print the report, and put it into docs/scale.md with `--write`."""
    parser = ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count; one more comes first (default 3)")
    parser.add_argument("--seconds", type=int, default=2, help="length of a measurement (default 2)")
    parser.add_argument("--write", action="store_true", help="put the report into docs/scale.md")
    options = parser.parse_args()
    install_wrk()
    with TemporaryDirectory() as folder:
        report = write_report(measure(Path(folder), options.rounds, options.seconds), options.rounds, options.seconds)
    print(report)
    if options.write:
        before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n\n{report}\n\n{END}{rest.partition(END)[2]}", "utf-8")


def measure(folder: Path, rounds: int, seconds: int) -> dict[tuple[str, str], Measured]:
    """Let all setups serve at the same time and be asked in turns; the first round does not count."""
    found: dict[tuple[str, str], Measured] = {}
    for kind, scenario in KINDS.items():
        (folder / f"{kind}.yaml").write_text(scenario, "utf-8")
        redis = Redis(folder)
        try:
            with ExitStack() as stack:
                ports = {
                    setup: [
                        stack.enter_context(serving(setup, folder / f"{kind}.yaml", redis, f"{kind}-{number}"))
                        for _ in range(setup.servers)
                    ]
                    for number, setup in enumerate(SETUPS)
                }
                for number in range(rounds + 1):
                    for setup in SETUPS:
                        told = ask(kind, ports[setup], redis, folder, seconds)
                        if number:
                            _add(found, setup, kind, told)
        finally:
            redis.stop()
            redis.path.unlink(missing_ok=True)
    return found


def _add(found: dict[tuple[str, str], Measured], setup: Setup, kind: str, told: Sequence[float]) -> None:
    measured = found.setdefault((setup.name, kind), Measured([], [], [], [], [], []))
    rate, operations, received, sent, processor, load = told
    measured.rates.append(rate)
    measured.operations.append(operations)
    measured.received.append(received)
    measured.sent.append(sent)
    measured.processor.append(processor)
    measured.load.append(load)


@contextmanager
def serving(setup: Setup, scenario: Path, redis: Redis, namespace: str) -> Iterator[int]:
    """Run one server of a setup; its port."""
    port = find_port()
    command = [sys.executable, "-m", "emulator", "serve", str(scenario), "--port", str(port), "--quiet"]
    if setup.workers > 1:
        command += ["--workers", str(setup.workers)]
    if setup.store != "memory":
        command += ["--store", redis.url(setup.store), "--store-namespace", namespace]
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        _wait(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    last = time.perf_counter() + PATIENCE
    while time.perf_counter() < last:
        if process.poll() is not None:
            raise SystemExit(f"a server ended with status {process.returncode}")
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/__emulator__/health")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise SystemExit("a server does not answer")


def ask(kind: str, ports: Sequence[int], redis: Redis, folder: Path, seconds: int) -> tuple[float, ...]:
    """Rate, and what Redis did for each request: commands, bytes in, bytes out, processor time; the load generator's processor."""
    topic = "literal" if kind == "quota" else kind
    message = {"role": "user", "content": f"Please say something {topic}.{NUMBER}"}
    situation = Situation(kind, kind, [message], new=True)
    before = redis.info()
    loads = _run_all(ports, situation, seconds, folder)
    after = redis.info()
    if any(load.errors for load in loads):
        raise SystemExit(f"{kind}: {sum(load.errors for load in loads)} answers were errors")
    requests = sum(load.requests for load in loads)

    def each(name: str) -> float:
        return (after[name] - before[name]) / requests

    return (
        sum(load.rate for load in loads),
        each("total_commands_processed"),
        each("total_net_input_bytes"),
        each("total_net_output_bytes"),
        each("processor"),
        sum(load.processor for load in loads),
    )


def _run_all(ports: Sequence[int], situation: Situation, seconds: int, folder: Path) -> list[Load]:
    """Ask all servers of a setup at the same time."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  # only here

    def run(number: int, port: int) -> Load:
        own = folder / f"load-{number}"
        own.mkdir(exist_ok=True)
        url = f"http://127.0.0.1:{port}{PATH}"
        return run_wrk(url, situation, connections=CONNECTIONS // len(ports), seconds=seconds, folder=own)

    with ThreadPoolExecutor(len(ports)) as pool:
        return list(pool.map(run, range(len(ports)), ports))


def write_report(found: dict[tuple[str, str], Measured], rounds: int, seconds: int) -> str:
    """The tables: rates, what Redis does for each request, and what one Redis carries."""
    kinds = list(KINDS)
    rates = [[setup.name, *(f"{median(found[setup.name, kind].rates):,.0f}" for kind in kinds)] for setup in SETUPS]
    two = SETUPS[2].name
    costs = []
    for kind in kinds:
        one = found[two, kind]
        costs.append(
            [
                kind,
                f"{median(one.operations):.2f}",
                f"{median(one.received):,.0f}",
                f"{median(one.sent):,.0f}",
                f"{median(one.processor) * 1e6:.0f}",
                f"{median(one.processor) * median(one.rates):.2f}",
            ]
        )
    single = {kind: median(found[SETUPS[1].name, kind].rates) for kind in kinds}
    carried = []
    for kind in kinds:
        most = UTILISATION / median(found[two, kind].processor)
        carried.append(
            [
                kind,
                f"{most:,.0f}",
                f"{most / single[kind]:,.0f}",
                *(f"{single[kind] * workers / most:,.1f}" for workers in (10, 100, 1000)),
            ]
        )
    load = max(median(one.load) for one in found.values())
    parts = [
        (
            f"{describe_machine()}; wrk, {CONNECTIONS} connections, all requests different; medians of {rounds} rounds of {seconds} s each, "
            f"in which all setups take turns. The load generator took at most {load:.2f} of a processor, which the servers could not have."
        ),
        "Answers per second (measured):",
        make_table(["", *kinds], rates),
        "What Redis does for each request, with two workers (measured, from its INFO):",
        make_table(
            ["", "commands", "bytes in", "bytes out", "processor, µs", "share of a processor at that rate"], costs
        ),
        (
            f"How many requests a second one Redis carries at {UTILISATION:.0%} of a processor, how many workers of this machine that is, and how many "
            "such servers 10, 100 and 1,000 workers need (arithmetic from the two tables above):"
        ),
        make_table(["", "requests per second", "workers", "servers for 10", "for 100", "for 1,000"], carried),
    ]
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
