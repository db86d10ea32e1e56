"""A supervisor whose workers do not live."""

import subprocess
from collections.abc import Callable

PROGRAM = """
from emulator.errors import StartError
from emulator.workers.hub import Hub
from emulator.workers.supervisor import Supervisor

def work(channel):
    raise OSError("the disk is full")

def say(text):
    print(text, flush=True)

hub = Hub(2, most_exchanges=10, most_bytes=1000, clock=lambda: 0.0)
try:
    Supervisor(hub, work, count=2, on_answering=lambda: say("answering"), say=say, grace=0).run()
except StartError as error:
    say(error)
"""


def test_it_gives_up(run_alone: Callable[[str], "subprocess.CompletedProcess[str]"]) -> None:
    """Workers that end before any has answered are replaced twice, then it says why and ends, with no worker left behind."""
    done = run_alone(PROGRAM)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[-1] == "3 workers in a row ended before they answered; what they said stands above"
    assert "answering" not in lines
    assert 3 <= len([line for line in lines if line.endswith(": OSError: the disk is full")]) <= 4
    assert len([line for line in lines if "ended with status 1; process" in line]) == 2
    assert done.stderr == ""
