"""The process above the workers: forks them, replaces those that die, and ends when they have ended."""

import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from emulator.errors import StartError
from emulator.server.lifetime import INTERRUPT_MARGIN, end_with_parent
from emulator.workers.channel import SocketChannel
from emulator.workers.hub import Hub

_TERM = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_MOST_FAILURES = 3
"""Workers that may die one after the other before any has answered."""
_PATIENCE = 10.0
"""Seconds beyond the grace after which workers that do not end are killed."""

Work = Callable[[SocketChannel], object]
"""What a worker does until it is told to end; it is told by SIGTERM."""


@dataclass(slots=True)
class _Process:
    number: int
    pid: int
    answers: bool = False


class Supervisor:
    """Workers on this machine, and the hub that they share."""

    def __init__(
        self,
        hub: Hub,
        work: Work,
        *,
        count: int,
        on_answering: Callable[[], object],
        say: Callable[[str], object],
        grace: float,
    ) -> None:
        """`on_answering` is called once, when all of them answer; `grace` is what they need to end, in seconds.

        `say` gets what people should know.
        """
        self._say = say
        self._hub = hub
        self._count = count
        self._work = work
        self._on_answering: Callable[[], object] | None = on_answering
        self._grace = grace
        self._processes: dict[int, _Process] = {}
        self._failures = 0
        self._ends_at: float | None = None
        self._pid = os.getpid()
        self._parent_pipe = os.pipe()
        hub.methods["answering"] = self._note_answering

    def run(self) -> None:
        """Work until told to stop by a signal or `stop`. Raises StartError if workers cannot live."""
        # A byte comes through the pipe with each signal, which wakes the hub.
        readable, writable = os.pipe()
        for end in (readable, writable):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for one in _TERM:
            if signal.getsignal(one) is not signal.SIG_IGN:
                signal.signal(one, self._on_signal)
        self._hub.watch(readable, lambda: os.read(readable, 4096))
        try:
            for number in range(self._count):
                self._fork(number)
            while self._processes:
                self._hub.turn(None if self._ends_at is None else max(0.0, self._ends_at - time.monotonic()))
                self._reap()
                if self._ends_at is not None and time.monotonic() >= self._ends_at:
                    self._tell(signal.SIGKILL)
        finally:
            self._tell(signal.SIGKILL)
        if self._failures >= _MOST_FAILURES:
            raise StartError(
                f"{_MOST_FAILURES} workers in a row ended before they answered; what they said stands above"
            )

    def stop(self) -> None:
        """Let the workers end; called again, at once."""
        patience = self._grace + _PATIENCE if self._ends_at is None else INTERRUPT_MARGIN
        self._ends_at = min(self._ends_at or math.inf, time.monotonic() + patience)
        self._tell(signal.SIGTERM)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stop()

    def _tell(self, number: signal.Signals) -> None:
        for pid in self._processes:
            os.kill(pid, number)

    def _fork(self, number: int, *, is_replacement: bool = False) -> int:
        notebook = self._hub.open(number)
        pairs = socket.socketpair(), socket.socketpair()
        (calls, notices), theirs = zip(*pairs, strict=True)
        # What is buffered would be written twice.
        sys.stdout.flush()
        sys.stderr.flush()
        # A signal that comes too early for the worker must not find the supervisor's handlers there.
        signal.pthread_sigmask(signal.SIG_BLOCK, _TERM)
        pid = os.fork()
        if pid == 0:
            calls.close()
            notices.close()
            self._be_worker(SocketChannel(number, *theirs, self._hub.cells, notebook, is_replacement=is_replacement))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _TERM)
        for end in theirs:
            end.close()
        self._hub.add(number, calls, notices)
        self._processes[pid] = _Process(number, pid)
        return pid

    def _be_worker(self, channel: SocketChannel) -> None:
        """Live as a worker; never returns, so that nothing of the supervisor's is undone at the end."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for one in _TERM:
                # A terminal tells all of its processes; the supervisor passes on what concerns them.
                signal.signal(one, signal.SIG_DFL if one is signal.SIGTERM else signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _TERM)
            readable, writable = self._parent_pipe
            os.close(writable)
            end_with_parent(readable, self._pid)
            self._hub.forget(channel.worker)
            self._work(channel)
            status = 0
        except Exception as error:  # noqa: BLE001  # there is nobody above who could say it
            self._say(f"worker {channel.worker + 1}: {type(error).__name__}: {error}")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _note_answering(self, number: int) -> None:
        self._failures = 0
        for process in self._processes.values():
            process.answers = process.answers or process.number == number
        if self._on_answering is not None and all(process.answers for process in self._processes.values()):
            said, self._on_answering = self._on_answering, None
            said()

    def _reap(self) -> None:
        while self._processes:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            process = self._processes.pop(pid, None)
            if process is None:
                continue
            self._hub.remove(process.number)
            if self._ends_at is None:
                self._replace(process, os.waitstatus_to_exitcode(status))

    def _replace(self, process: _Process, status: int) -> None:
        self._failures += not process.answers
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        said = f"worker {process.number + 1} (process {process.pid}) {how}"
        if self._failures >= _MOST_FAILURES:
            self._say(said)
            self.stop()
            return
        self._say(f"{said}; process {self._fork(process.number, is_replacement=True)} takes its place")
