"""Running a program again and again, each time with a server of its own that varies."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import field
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, TYPE_CHECKING

from emulator.cli.execute import start_interception
from emulator.cli.intercepting import Aims, Leaks
from emulator.errors import StartError
from emulator.values import dataclass

if TYPE_CHECKING:
    from emulator.catalogue.variations import Variation
    from emulator.engine.compiling import Ruleset
    from emulator.running.sweeps import Run
    from emulator.server.exchanges import Exchange
    from emulator.server.settings import Settings

_MOST = 8 * 1024 * 1024
"""Bytes of a program's output that are looked at."""


class Programs:
    """Starts programs, each as a group of processes that ends as a whole; several threads may."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        streams: tuple[IO[bytes], IO[bytes]],
        timeout: float,
        on_timeout: Callable[[], object],
    ) -> int | None:
        """Run a program without input and return its exit status, or None if it had to be killed after so many seconds.

        What it leaves running is killed too. Raises StartError if it cannot be started.
        """
        process = self._start(command, environment, streams)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            on_timeout()
            return None
        finally:
            _kill(process)
            process.wait()
            with self._lock:
                self._running.discard(process)

    def _start(
        self, command: Sequence[str], environment: Mapping[str, str], streams: tuple[IO[bytes], IO[bytes]]
    ) -> "subprocess.Popen[bytes]":
        out, err = streams
        with self._lock:
            if self._is_closed:
                raise StartError("the sweep was stopped")
            try:
                process = subprocess.Popen(  # noqa: S603  # what we are asked to run
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
                )
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise StartError(f"cannot run {command[0]}: {reason}") from None
            except ValueError as error:  # a NUL in an argument
                raise StartError(f"cannot run {command[0]!r}: {error}") from None
            self._running.add(process)
            return process

    def close(self) -> None:
        """Kill what runs; nothing more is started."""
        with self._lock:
            self._is_closed = True
            for process in self._running:
                _kill(process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the whole group; where nothing of it is left, do nothing (macOS calls that a lack of permission)."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


@dataclass(slots=True)
class _Watch:
    """What can be seen of a run from the server's side."""

    requests: int = 0
    is_met: bool = False
    warnings: dict[str, None] = field(default_factory=dict)

    def add(self, exchange: "Exchange") -> None:
        """See an exchange."""
        self.requests += 1
        self.is_met |= exchange.outcome.is_disturbed
        self.warnings |= dict.fromkeys(exchange.outcome.warnings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A program, and what answers it."""

    command: Sequence[str]
    ruleset: "Ruleset"
    settings: "Settings"
    aims: Aims
    timeout: float
    programs: Programs = field(default_factory=Programs)
    leaks: Leaks = field(default_factory=Leaks)

    def run(self, variation: "Variation | None" = None) -> "Run":
        """Run the program once, with server, ports, credentials and journal of its own. Raises StartError."""
        from emulator.running.sweeps import Run  # noqa: PLC0415  # --help is quicker without it
        from emulator.server.clock import SystemClock  # noqa: PLC0415  # as above
        from emulator.server.service import Service  # noqa: PLC0415  # as above
        from emulator.server.surroundings import vary  # noqa: PLC0415  # as above

        settings = self.settings if variation is None else vary(self.settings, variation)
        service, watch = Service(self.ruleset, settings, clock=SystemClock()), _Watch()
        service.on_exchange.append(watch.add)
        verdicts = None

        def judge_now() -> None:
            # Later, it would look as if the client had left by itself.
            nonlocal verdicts
            verdicts = service.verdicts()

        with TemporaryFile() as out, TemporaryFile() as err:
            with TemporaryDirectory(prefix="vertex-emulator-") as folder, ExitStack() as stack:
                environment = start_interception(stack, Path(folder), service, self.leaks.add, self.aims)
                started = time.monotonic()
                status = self.programs.run(self.command, environment, (out, err), self.timeout, judge_now)
                seconds = time.monotonic() - started
            return Run(
                status=status,
                out=_read(out),
                err=_read(err),
                seconds=seconds,
                requests=watch.requests,
                is_met=watch.is_met,
                warnings=tuple(watch.warnings),
                verdicts=service.verdicts() if verdicts is None else verdicts,
            )


def _read(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read(_MOST)
