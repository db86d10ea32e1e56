"""`serve --workers N`: worker processes that answer at one address, and the supervisor that replaces those that die.

uvicorn's own supervisor starts workers from an import string, which a service with its scenarios, certificates and sockets is not; so
`multiprocessing` forks them, and the kernel shares out the connections (`SO_REUSEPORT`).
"""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from emulator.errors import StartError
from emulator.server.lifetime import end_with_parent, handle_stop_signals, stop_signals

_MOST_FAILURES = 3
"""Workers that may die one after the other before any has answered."""
_PATIENCE = 10.0
"""Seconds beyond the grace after which workers that do not end are killed."""

ANSWERING = b"answering"
"""What a worker sends to the supervisor once it answers."""

Work = Callable[[int, Callable[[bytes], object], bool], object]
"""What a worker does until SIGTERM, given its number, what sends a message to the supervisor, and whether it replaces one that died."""


@dataclass(slots=True)
class _Worker:
    number: int
    process: BaseProcess
    messages: Connection


class Supervisor:
    """Starts workers, replaces those that die, and ends when they have ended."""

    def __init__(
        self,
        work: Work,
        *,
        count: int,
        on_answering: Callable[[], object],
        on_message: Callable[[bytes], object],
        report: Callable[[str], object],
        grace: float,
    ) -> None:
        """`on_answering` is called once, when all workers answer, `on_message` for all other messages; `grace` is what they need to end, in seconds."""
        self._work = work
        self._count = count
        self._on_answering: Callable[[], object] | None = on_answering
        self._on_message = on_message
        self._report = report
        self._grace = grace
        self._context = multiprocessing.get_context("fork")
        self._workers: list[_Worker] = []
        self._waiting: set[int] = set(range(count))
        """The numbers of the workers that have not answered yet."""
        self._failures = 0
        self._ends_at: float | None = None
        # Nobody but this process holds the end for writing, so that it closes when this process ends.
        self._alive = os.pipe()
        self._signals = os.pipe()

    def run(self, watched: Sequence[tuple[int, Callable[[], bool]]] = ()) -> None:
        """Work until told to stop by a signal or `stop`. Raises StartError if workers cannot live.

        `watched` are files with a function to call when they are readable; one that returns False is watched no longer.
        """
        readable = dict(watched)
        for end in self._signals:
            os.set_blocking(end, False)
        # A byte comes through the pipe with each signal, which ends the waiting below.
        signal.set_wakeup_fd(self._signals[1], warn_on_full_buffer=False)
        handle_stop_signals(lambda *_: self.stop())
        try:
            for number in range(self._count):
                self._start(number)
            while self._workers:
                timeout = None if self._ends_at is None else max(0.0, self._ends_at - time.monotonic())
                messages = [worker.messages for worker in self._workers]
                sentinels = [worker.process.sentinel for worker in self._workers]
                for one in wait([*sentinels, *messages, self._signals[0], *readable], timeout):
                    if one == self._signals[0]:
                        os.read(self._signals[0], 4096)
                    elif isinstance(one, int) and one in readable and not readable[one]():
                        del readable[one]
                self._read_messages()
                self._reap()
                if self._ends_at is not None and time.monotonic() >= self._ends_at:
                    self._send(signal.SIGKILL)
        finally:
            self._send(signal.SIGKILL)
            signal.set_wakeup_fd(-1)
        if self._failures >= _MOST_FAILURES:
            raise StartError(
                f"{_MOST_FAILURES} workers in a row ended before they answered; what they said stands above"
            )

    def stop(self) -> None:
        """Let the workers end; called again, at once."""
        self._ends_at = self._ends_at or time.monotonic() + self._grace + _PATIENCE
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.process.is_alive() and worker.process.pid is not None:
                os.kill(worker.process.pid, number)

    def _start(self, number: int, *, is_replacement: bool = False) -> int:
        theirs, ours = self._context.Pipe()
        arguments = (number, theirs, os.getpid(), is_replacement)
        process = self._context.Process(target=self._be_worker, args=arguments, name=f"vertex-emulator-{number + 1}")
        numbers = set(stop_signals())
        # A signal that comes too early for the worker must not find the supervisor's handlers there.
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
        theirs.close()
        self._workers.append(_Worker(number, process, ours))
        return process.pid or 0

    def _be_worker(self, number: int, messages: Connection, parent: int, is_replacement: bool) -> None:
        """Live as a worker."""
        signal.set_wakeup_fd(-1)
        for one in stop_signals():
            # A terminal tells all of its processes; the supervisor passes on what concerns them.
            signal.signal(one, signal.SIG_DFL if one is signal.SIGTERM else signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
        os.close(self._alive[1])
        end_with_parent(self._alive[0], parent)
        try:
            self._work(number, messages.send_bytes, is_replacement)
        except StartError as error:
            self._report(f"worker {number + 1}: {error}")
            raise SystemExit(1) from None

    def _read_messages(self) -> None:
        for worker in self._workers:
            with suppress(EOFError, OSError):
                while worker.messages.poll():
                    message = worker.messages.recv_bytes()
                    if message != ANSWERING:
                        self._on_message(message)
                        continue
                    self._waiting.discard(worker.number)
                    self._failures = 0
        if self._on_answering is not None and not self._waiting:
            said, self._on_answering = self._on_answering, None
            said()

    def _reap(self) -> None:
        for worker in [worker for worker in self._workers if not worker.process.is_alive()]:
            self._workers.remove(worker)
            worker.messages.close()
            status = worker.process.exitcode or 0
            if self._ends_at is None:
                self._replace(worker, status)

    def _replace(self, worker: _Worker, status: int) -> None:
        self._failures += worker.number in self._waiting
        self._waiting.add(worker.number)
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        said = f"worker {worker.number + 1} (process {worker.process.pid}) {how}"
        if self._failures >= _MOST_FAILURES:
            self._report(said)
            self.stop()
            return
        self._report(f"{said}; process {self._start(worker.number, is_replacement=True)} takes its place")


def check_workers() -> None:
    """Raise StartError where processes cannot be forked or cannot share a port."""
    if not hasattr(socket, "SO_REUSEPORT") or "fork" not in multiprocessing.get_all_start_methods():
        raise StartError("--workers needs a system that can fork processes and share ports; use --workers 1")
