"""Machine instructions per request, sockets left out, which do not shake as seconds do: `python -m benchmarks.instructions`.

valgrind runs one process. For each situation it forks a child that answers N requests, and one that answers 2 N; the difference of
their instructions, divided by N, is what one request costs. `--update` keeps the counts in the repository, `--check` compares.
"""

import fnmatch
import gc
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from argparse import ArgumentParser
from asyncio import Transport, new_event_loop
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.measuring import make_table
from benchmarks.situations import (
    HISTORY,
    LONG_STREAM,
    MANY_RULES,
    NUMBER,
    ONE_RULE,
    PLAIN,
    STREAM,
    TOOL_CALL,
    Rule,
    Situation,
)
from benchmarks.subjects import ROOT

if TYPE_CHECKING:
    from emulator.engine.ruleset import Ruleset

KEPT = Path(__file__).with_suffix(".json")
REQUESTS = 50
"""N, and as many before, so that nothing happens for the first time."""
TOLERANCE = 0.03
"""The part by which a count may grow before `--check` fails."""
CASES: Mapping[str, tuple[Situation, Sequence[Rule]]] = {
    "plain, 1 rule": (PLAIN, ONE_RULE),
    "8 chunks, 1 rule": (STREAM, ONE_RULE),
    "plain, 500 rules": (PLAIN, MANY_RULES),
    "8 chunks, 500 rules": (STREAM, MANY_RULES),
    "200 chunks, 500 rules": (LONG_STREAM, MANY_RULES),
    "200 messages, 1 rule": (HISTORY, ONE_RULE),
    "tool call, 500 rules": (TOOL_CALL, MANY_RULES),
}
"""No request of a case is like another."""
_COUNT = re.compile(r"(?m)^(?:totals|summary): (\d+)")


class CountingError(Exception):
    """Instructions cannot be counted or compared here; the message says why."""


@cache
def read_rules(rules: Sequence[Rule], folder: Path) -> "Ruleset":
    """The rules as the emulator has them; under valgrind, reading takes longer than all the rest."""
    from benchmarks.subjects.emulator import write_scenario  # noqa: PLC0415  # only the counted process needs them
    from emulator.engine.ruleset import compile_rules  # noqa: PLC0415  # as above
    from emulator.scenario.loading import read_paths  # noqa: PLC0415  # as above

    return compile_rules(read_paths([Path(write_scenario(rules, folder))]).scenarios)


class Wire(Transport):
    """A transport that leads nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        """What was written last."""

    def write(self, data: Any) -> None:
        """Keep it until the next."""
        self.written = data

    def is_closing(self) -> bool:
        """Never."""
        return False


def build_requester(situation: Situation, rules: Sequence[Rule], folder: Path) -> Callable[[], None]:
    """What answers a situation's request once, from its bytes to those of the answer, journal and all.

    Raises CountingError if it does so wrongly.
    """
    from benchmarks.asking import HEADERS, Answer, WrongAnswerError, check  # noqa: PLC0415  # only the counted process needs them
    from benchmarks.subjects.emulator import ONE_WORKER, PATH  # noqa: PLC0415  # as above
    from emulator.server.clock import SystemClock  # noqa: PLC0415  # as above
    from emulator.server.listening import build_server  # noqa: PLC0415  # as above
    from emulator.server.service import Service  # noqa: PLC0415  # as above
    from emulator.server.settings import Settings  # noqa: PLC0415  # as above

    class StoppedClock(SystemClock):
        """By a clock that goes, everything takes long under valgrind, and is looked after as what takes long is."""

        def elapsed(self) -> float:
            return 0.0

    service = Service(read_rules(rules, folder), Settings(), clock=StoppedClock())
    server, wire = build_server(service), Wire()
    make: Any = server.config.http_protocol_class
    connection = make(server.config, server.server_state, {}, new_event_loop())
    connection.connection_made(wire)
    pieces, number = situation.body.split(NUMBER.encode()), 0
    length = len(b"-12345678".join(pieces))
    lines = {**HEADERS, "Host": "127.0.0.1:8080", "Content-Length": length}
    head = "\r\n".join(
        [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items()), "", ""]
    ).encode()

    def request() -> None:
        nonlocal number
        number += 1
        connection.data_received(head + (b" %08d" % number).join(pieces))

    request()
    (exchange,) = service.journal
    timeline = exchange.outcome.timeline
    try:
        check(Answer(timeline.status, (), timeline.body), situation, ONE_WORKER.chunks(situation))
    except WrongAnswerError as error:
        raise CountingError(f"{situation.title}: {error}") from None
    return request


def answer_all(folder: Path, only: str) -> None:
    """What runs under valgrind: fork a child for each case and number of requests; prints their process ids."""
    # When garbage is collected is chance, as far as one request is concerned.
    gc.disable()
    time.thread_time = float
    told = {}
    for name in fnmatch.filter(CASES, only):
        situation, rules = CASES[name]
        request = build_requester(situation, rules, folder)
        for _ in range(REQUESTS):
            request()
        told[name] = [_fork(request, times * REQUESTS) for times in (1, 2)]
    print(json.dumps(told))


def _fork(request: Callable[[], None], times: int) -> int:
    child = os.fork()
    if child == 0:
        for _ in range(times):
            request()
        os._exit(0)
    os.waitpid(child, 0)
    return child


def count(only: str = "*") -> dict[str, int]:
    """Instructions per request of the cases that a pattern names. Raises CountingError."""
    if shutil.which("valgrind") is None:
        raise CountingError("there is no valgrind; on Debian: apt-get install valgrind")
    with TemporaryDirectory() as folder:
        command = [
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/%p", "--quiet"),
            *(sys.executable, "-m", "benchmarks.instructions", "--answer", folder, "--only", only),
        ]
        # Where a dictionary puts its keys and whether a module is compiled anew must not matter.
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CountingError(done.stderr or done.stdout)
        children = json.loads(done.stdout.splitlines()[-1])
        return {
            name: (read_count(Path(folder, str(more))) - read_count(Path(folder, str(few)))) // REQUESTS
            for name, (few, more) in children.items()
        }


def read_count(file: Path) -> int:
    """The instructions that a file of callgrind tells. Raises CountingError."""
    found = _COUNT.search(file.read_text("utf-8"))
    if found is None:
        raise CountingError(f"callgrind did not count in {file.name}")
    return int(found[1])


def describe_build() -> dict[str, str]:
    """What the counts depend on."""
    packages = {name: version(name) for name in ("pydantic", "pydantic-core")}
    return {"python": platform.python_version(), "machine": platform.machine(), **packages}


def refuse_other_build(kept: Mapping[str, str]) -> None:
    """Raise CountingError if the counts that are kept are those of another build, which tell nothing about this one."""
    build = describe_build()
    if kept != build:
        raise CountingError(f"kept for {kept}, this is {build}; count before and after the change here, with --update")


def compare(kept: Mapping[str, int], now: Mapping[str, int]) -> tuple[str, list[str]]:
    """A table of both, and the cases that have grown too much."""
    rows = [
        (name, f"{kept[name]:,}" if name in kept else "", f"{one:,}", _change(kept.get(name), one))
        for name, one in now.items()
    ]
    worse = [name for name, one in now.items() if name in kept and one > kept[name] * (1 + TOLERANCE)]
    return make_table(("instructions per request", "kept", "now", "change"), rows), worse


def _change(before: int | None, after: int) -> str:
    return f"{(after / before - 1) * 100:+.1f} %" if before else ""


def main() -> None:
    """Count, then print beside what is kept; status 1 if `--check` finds more than before, 2 if it cannot tell."""
    parser = ArgumentParser(prog="python -m benchmarks.instructions", description=(__doc__ or "").partition("\n")[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help=f"fail if a count has grown by more than {TOLERANCE:.0%}")
    what.add_argument("--update", action="store_true", help=f"keep the counts in benchmarks/{KEPT.name}")
    what.add_argument("--answer", type=Path, metavar="FOLDER", help="answer requests; what the command starts itself")
    parser.add_argument("--only", default="*", metavar="GLOB", help=f"count only some of: {', '.join(CASES)}")
    options = parser.parse_args()
    if options.answer:
        answer_all(options.answer, options.only)
        return
    kept = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {"build": {}, "instructions": {}}
    try:
        if options.check:
            refuse_other_build(kept["build"])
        now = count(options.only)
    except CountingError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    table, worse = compare(kept["instructions"], now)
    print(table)
    if options.update:
        before = kept["instructions"] if kept["build"] == describe_build() else {}
        KEPT.write_text(
            json.dumps({"build": describe_build(), "instructions": before | now}, indent=2) + "\n",
            "utf-8",
        )
    elif options.check and worse:
        sys.exit(f"more instructions than before: {'; '.join(worse)}; make it lighter, or say why and --update")


if __name__ == "__main__":
    main()
