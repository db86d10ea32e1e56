"""Server processes end when they are told to, whatever they do, and with their parent."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds of real time after which a test that hangs fails."""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="signals and processes of POSIX systems")

HANGING_WORK = {
    "Python": "while True: pass",
    "a regular expression": "re.match('(x+)+$', 'x' * 60 + '!')",
    "what catches everything": "catch_everything()",
}
CATCH_EVERYTHING = """
def catch_everything():
    while True:
        try:
            for _ in iter(int, 1): str()
        except BaseException:
            pass
"""
SERVER = (
    CATCH_EVERYTHING
    + """
import asyncio, re, socket, sys
from emulator.api.emulator import build_service
from emulator.server.lifetime import stop_on_signals, stop_signals
from emulator.server.listening import bind, build_server

async def app(scope, receive, send):
    if scope["path"] == "/hang":
        client.close()
        print("hangs", flush=True)
        {work}

with bind("127.0.0.1", 0) as bound:
    server = build_server(build_service(), lambda: print("answers", flush=True), otherwise=app, grace={grace})
    client = socket.create_connection(bound.getsockname())
    client.sendall(b"GET {path} HTTP/1.1\\r\\n\\r\\n")
    try:
        with stop_on_signals(server.stop, {grace}, stop_signals()), asyncio.Runner(loop_factory={factory}) as runner:
            runner.run(server.serve(sockets=[bound]))
    finally:
        print("cleaned up", flush=True)
"""
)

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a Python program."""
    with ExitStack() as stack:

        def run(program: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", program],
                    cwd=ROOT,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield run


def read_until(process: subprocess.Popen[str], text: str) -> None:
    """Read up to a line."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == text:
            return
    raise AssertionError(f"{text!r} was not said")


@pytest.mark.slow
@pytest.mark.parametrize("factory", ["server.config.get_loop_factory()", "None"], ids=["uvloop", "asyncio"])
@pytest.mark.parametrize("work", ["Python", "a regular expression"])
@pytest.mark.parametrize("signals", [1, 2])
def test_signals_end_a_busy_server(start: Start, work: str, signals: int, factory: str) -> None:
    """After its grace, at once on a second signal; the request is given up, and what is to be cleaned up is."""
    grace = 0.0 if signals == 1 else 1000.0
    process = start(SERVER.format(work=HANGING_WORK[work], grace=grace, path="/hang", factory=factory))
    read_until(process, "hangs")
    for number in (signal.SIGTERM, signal.SIGINT)[:signals]:
        process.send_signal(number)
    heard, _ = process.communicate(timeout=PATIENCE)
    assert heard.splitlines()[-1] == "cleaned up"
    assert "Traceback" not in heard
    assert process.returncode in {0, 128 + signal.SIGTERM, 128 + signal.SIGINT}


@pytest.mark.slow
def test_signals_end_a_server_that_cannot_be_interrupted(start: Start) -> None:
    """Without clean-up, and with the status of the signal."""
    process = start(
        SERVER.format(work=HANGING_WORK["what catches everything"], grace=0.0, path="/hang", factory="None")
    )
    read_until(process, "hangs")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 128 + signal.SIGTERM


def test_a_signal_ends_a_server_that_does_nothing(start: Start) -> None:
    """At once, with status 0."""
    process = start(SERVER.format(work="", grace=1000.0, path="/", factory="None"))
    read_until(process, "answers")
    process.send_signal(signal.SIGTERM)
    heard, _ = process.communicate(timeout=PATIENCE)
    assert heard.splitlines()[-1] == "cleaned up"
    assert process.returncode == 0


PARENT = (
    CATCH_EVERYTHING
    + """
import os, re, signal, sys, time
from emulator.server.lifetime import end_with_parent

readable, writable = os.pipe()
parent = os.getpid()
if os.fork() == 0:
    os.close(writable)
    end_with_parent(readable, parent)
    print("works", flush=True)
    {work}
{end}
"""
)


@pytest.mark.parametrize("end", ["time.sleep(1000)", "sys.exit()"], ids=["killed", "exits"])
@pytest.mark.parametrize("work", [*HANGING_WORK.values(), "time.sleep(1000)"], ids=[*HANGING_WORK, "nothing"])
def test_processes_end_with_their_parent(start: Start, work: str, end: str) -> None:
    """However it ends, and whatever they do; their output is closed then."""
    process = start(PARENT.format(work=work, end=end))
    if end != "sys.exit()":
        read_until(process, "works")
        process.kill()
    process.communicate(timeout=PATIENCE)


def test_a_busy_worker_ends_with_the_supervisor(tmp_path: Path) -> None:
    """`serve --workers 2`, killed: no process of it is left."""
    command = [sys.executable, "-m", "emulator", "serve", "--workers", "2", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        while "OPENAI_API_KEY" not in process.stdout.readline():
            pass
        # Their Redis server, which was started first, and two workers.
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 3
        # Stopped, a worker cannot do anything for its end.
        os.kill(int(children[-1]), signal.SIGSTOP)
        process.kill()
        process.communicate(timeout=PATIENCE)
