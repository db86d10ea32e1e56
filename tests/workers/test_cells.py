"""Numbers that processes share."""

import subprocess
from collections.abc import Callable

PROGRAM = """
import os
from emulator.workers.channel import Cells

cells = Cells(4)
pipes = []
for _ in range(4):
    readable, writable = os.pipe()
    if not os.fork():
        with open(writable, "w") as pipe:
            print(*(cells.next_number() for _ in range(5000)), file=pipe)
        os._exit(0)
    os.close(writable)
    pipes.append(open(readable))
for pipe in pipes:
    print(pipe.read(), end="")
print(cells.next_number())
"""


def test_no_number_is_drawn_twice(run_alone: Callable[[str], "subprocess.CompletedProcess[str]"]) -> None:
    """However many processes draw at the same time: each number once, none left out, and to each they grow."""
    done = run_alone(PROGRAM)
    assert done.returncode == 0
    *shares, (last,) = ([int(word) for word in line.split()] for line in done.stdout.splitlines())
    assert sorted(number for share in shares for number in share) == list(range(1, 20_001))
    assert last == 20_001
    assert [share == sorted(share) for share in shares] == [True] * 4
