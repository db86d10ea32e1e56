"""Runs a program with this process's streams, forwards signals to it and returns its exit status."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

NOT_FOUND, NOT_EXECUTABLE, SIGNALLED = 127, 126, 128
"""Exit statuses as shells use them; the number of a signal is added to the last."""
_TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGQUIT)
_SIGNALS = (*_TERMINAL_SIGNALS, signal.SIGTERM, signal.SIGHUP)


class ChildProcess:
    """A program that is run once, and the handling of signals that would end this process meanwhile.

    Before the program runs they raise SystemExit; while it runs they are forwarded to it; afterwards they are ignored.
    """

    def __init__(self) -> None:
        self._on_signal: Callable[[int], object] = self._exit

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Install handlers, except for signals that are ignored already (as `nohup` does it), and restore the previous ones."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
        for number in taken:
            signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number in taken:
                signal.signal(number, before[number])

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run a program and return its exit status as a shell would: 128 plus the number of the signal that ended it.

        Raises OSError if it cannot be started.
        """
        pending: list[int] = []
        self._on_signal = pending.append
        try:
            # Open files that we inherit, as a shell passes for `<(...)`, are meant for the program.
            process = subprocess.Popen(command, env=environment, close_fds=False)  # noqa: S603  # what we are asked to run
            self._on_signal = lambda number: _forward(number, process)
            for number in pending:
                process.send_signal(number)
            status = process.wait()
        finally:
            self._on_signal = _ignore
        return status if status >= 0 else SIGNALLED - status

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._on_signal(number)

    def _exit(self, number: int) -> None:
        # A second signal must not interrupt the cleanup.
        self._on_signal = _ignore
        raise SystemExit(SIGNALLED + number)


def launch_failure_status(error: OSError) -> int:
    """The exit status for a program that cannot be started: not found, or not executable."""
    return NOT_FOUND if isinstance(error, FileNotFoundError | NotADirectoryError) else NOT_EXECUTABLE


def _ignore(_number: int) -> None:
    pass


def _forward(number: int, process: "subprocess.Popen[bytes]") -> None:
    # The terminal sends these to all processes of the foreground group, the program among them.
    if number not in _TERMINAL_SIGNALS or not _is_in_foreground():
        process.send_signal(number)


def _is_in_foreground() -> bool:
    """Whether this process is in the foreground group of its terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
