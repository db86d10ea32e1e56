"""Running the program: its streams are ours, its end is ours, and what ends us ends it."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

NOT_FOUND, NOT_EXECUTABLE, SIGNALLED = 127, 126, 128
"""Exit statuses as shells have them; a signal's number is added to the last."""
_OF_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
_SIGNALS = (*_OF_THE_TERMINAL, signal.SIGTERM, signal.SIGHUP)


class Child:
    """A program to be run once, and what becomes of signals that would end this process meanwhile.

    Before it runs they end this process, by SystemExit; while it runs they are its own; afterwards they come too late.
    """

    def __init__(self) -> None:
        self._on_signal: Callable[[int], object] = self._leave

    @contextmanager
    def taking_signals(self) -> Iterator[None]:
        """Take the signals, but for those that whoever started us wanted ignored (as `nohup` does)."""
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
        """Run a program to its end and return its exit status, as a shell would: 128 and the number if a signal ended it.

        Raises OSError if it cannot be started.
        """
        early: list[int] = []
        self._on_signal = early.append
        try:
            # Whoever passes us an open file, as a shell does for `<(...)`, means it for the program.
            process = subprocess.Popen(command, env=environment, close_fds=False)  # noqa: S603  # what we are asked to run
            self._on_signal = lambda number: _pass_on(number, process)
            for number in early:
                process.send_signal(number)
            status = process.wait()
        finally:
            self._on_signal = _ignore
        return status if status >= 0 else SIGNALLED - status

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._on_signal(number)

    def _leave(self, number: int) -> None:
        # Once only: a second signal must not disturb the tidying up.
        self._on_signal = _ignore
        raise SystemExit(SIGNALLED + number)


def exit_status_of(error: OSError) -> int:
    """The status of a program that cannot be started, because it is not there or cannot be executed."""
    return NOT_FOUND if isinstance(error, FileNotFoundError | NotADirectoryError) else NOT_EXECUTABLE


def _ignore(_number: int) -> None:
    pass


def _pass_on(number: int, process: "subprocess.Popen[bytes]") -> None:
    # What is typed at a terminal reaches the program without us.
    if number not in _OF_THE_TERMINAL or not _is_in_foreground():
        process.send_signal(number)


def _is_in_foreground() -> bool:
    """Whether keys such as Ctrl-C are typed for us."""
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
