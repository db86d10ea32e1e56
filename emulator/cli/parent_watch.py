"""`serve --until-stdin-closes`: ends the server with the program that started it, however that one ends."""

import contextlib
import os
import stat
import threading
from collections.abc import Callable

from emulator.errors import StartError

_STDIN = 0
_READ_BYTES = 65536


def check_stdin() -> None:
    """Raise StartError if standard input cannot be held open by a parent: it is closed, a file or /dev/null."""
    try:
        mode = os.fstat(_STDIN).st_mode
    except OSError:
        mode = 0
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(_STDIN)):
        raise StartError(
            "--until-stdin-closes wants standard input to be a pipe that the program which starts the server keeps open; "
            "it is not (a shell gives /dev/null to what it starts with &)"
        )


def when_stdin_closes(callback: Callable[[], object]) -> None:
    """Start a thread that discards standard input and calls a function at its end."""

    def wait() -> None:
        # A terminal or a socket may end with an error.
        with contextlib.suppress(OSError):
            # Not through sys.stdin, whose lock a daemon thread must not hold when the interpreter ends.
            while os.read(_STDIN, _READ_BYTES):
                pass
        callback()

    threading.Thread(target=wait, name="vertex-emulator-stdin", daemon=True).start()


def stdin_reader(callback: Callable[[], object]) -> Callable[[], bool]:
    """A function to call when standard input is readable: it discards what is there, and at the end calls `callback` and returns False."""

    def read() -> bool:
        with contextlib.suppress(OSError):
            if os.read(_STDIN, _READ_BYTES):
                return True
        callback()
        return False

    return read
