"""How a server process ends: on signals, also while a request is being worked on, and with its parent process."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from emulator.server.listening import CUT_TIMEOUT

INTERRUPT_MARGIN = 1.0
"""Seconds that a server which has been told to stop may take beyond its grace before its work is interrupted."""
_EXIT_MARGIN = 2.0
"""Seconds that it may take after that until the process is ended without clean-up."""
_PR_SET_PDEATHSIG = 1
"""From Linux's prctl.h."""

SignalHandler = Callable[[int, FrameType | None], object]


def stop_signals() -> list[signal.Signals]:
    """The signals that tell a server to end: SIGINT, SIGTERM and SIGHUP, which a closed terminal sends."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    # SIGHUP is ignored under `nohup`.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers


def handle_stop_signals(handler: SignalHandler) -> None:
    """Install a handler for the signals that tell the process to end."""
    for number in stop_signals():
        signal.signal(number, handler)


@contextmanager
def stop_on_signals(stop: Callable[[], object], grace: float, numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Call `stop` on each of these signals, and end the process if that does not.

    A server whose event loop is busy with a request cannot stop: after `grace` seconds and a margin, after the margin alone on a
    second signal, the request is interrupted by SystemExit, so that the loop can go on to its end. If even that does not help,
    the process ends without clean-up, its status 128 and the signal's number. Only the main thread may call this.
    """
    count = 0
    alarm = _Alarm()

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        stop()
        alarm.set((0.0 if count > 1 else grace + CUT_TIMEOUT) + INTERRUPT_MARGIN, lambda: interrupt(number))

    def interrupt(number: int) -> None:
        stop()
        alarm.set(_EXIT_MARGIN, lambda: os._exit(128 + number))
        raise SystemExit(128 + number)

    for number in numbers:
        signal.signal(number, handle)
    try:
        yield
    finally:
        alarm.cancel()


class _Alarm:
    """Calls a function after a time in the main thread, whatever that does, except for a call into C that looks for no signals."""

    def set(self, seconds: float, callback: Callable[[], object]) -> None:
        """Set it; an earlier time is forgotten."""
        # The handler of a signal runs even within a regular expression of `re`, where no thread gets its turn.
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, lambda *_: callback())
            signal.setitimer(signal.ITIMER_REAL, seconds)
        else:
            timer = threading.Timer(seconds, callback)
            timer.daemon = True
            timer.start()

    def cancel(self) -> None:
        """Forget the time."""
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)


def end_with_parent(pipe: int, parent: int) -> None:
    """End this process when its parent ends, however it does: to be called in a process that works for another one.

    `pipe` is the end for reading of a pipe whose other end nobody but the parent holds; `parent` is the parent's process id. On Linux
    the system kills this process, even when it is busy, as soon as the parent's thread that started it has ended; elsewhere
    a thread does it.
    """

    def wait() -> None:
        os.read(pipe, 1)
        os._exit(1)

    threading.Thread(target=wait, name="vertex-emulator-parent", daemon=True).start()
    kill_with_parent()
    if os.getppid() != parent:
        # It has ended before that was arranged.
        os._exit(1)


def kill_with_parent() -> None:
    """On Linux, have the system kill this process when the parent's thread that started it ends; elsewhere do nothing."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415  # only processes that work for another one need it

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
