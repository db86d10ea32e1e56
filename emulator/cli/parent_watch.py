"""Ending with the program that started the server, however that one ends."""

import contextlib
import os
import stat
import threading
from collections.abc import Callable

from emulator.errors import StartError

_STDIN = 0
_ENOUGH = 65536


def check_stdin() -> None:
    """Raise StartError if standard input is nothing that somebody could hold open: closed, a file, /dev/null."""
    try:
        mode = os.fstat(_STDIN).st_mode
    except OSError:
        mode = 0
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(_STDIN)):
        raise StartError(
            "--until-stdin-closes wants standard input to be a pipe that the program which starts the server keeps open; "
            "it is not (a shell gives /dev/null to what it starts with &)"
        )


def when_stdin_closes(act: Callable[[], object]) -> None:
    """Call a function, on a thread of its own, at the end of standard input; what comes before is thrown away."""

    def wait() -> None:
        # A terminal or a socket may end with an error; it has ended all the same.
        with contextlib.suppress(OSError):
            # Not through sys.stdin, whose lock a daemon thread must not hold when the interpreter ends.
            while os.read(_STDIN, _ENOUGH):
                pass
        act()

    threading.Thread(target=wait, name="vertex-emulator-stdin", daemon=True).start()


def watch_stdin(
    watch: Callable[[int, Callable[[], object]], object], ignore: Callable[[int], object], act: Callable[[], object]
) -> None:
    """Do the same without a thread: `watch` calls a function whenever a file can be read, `ignore` ends that."""

    def read() -> None:
        with contextlib.suppress(OSError):
            if os.read(_STDIN, _ENOUGH):
                return
        ignore(_STDIN)
        act()

    watch(_STDIN, read)
