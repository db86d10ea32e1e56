"""Clocks: current time and timers, by the system or set by hand in tests."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class TimerHandle(Protocol):
    """A scheduled call that can be cancelled."""

    def cancel(self) -> None:
        """Cancel the call."""
        ...


_DIGITS = 6
"""Decimal places, in seconds, to which a manual clock rounds: 0.1 + 0.2 must equal 0.3."""


class Clock(Protocol):
    """Source of wall-clock time, monotonic time and timers."""

    def now(self) -> float:
        """Unix time in seconds."""
        ...

    def elapsed(self) -> float:
        """Monotonic time in seconds."""
        ...

    def call_at(self, when: float, callback: Callable[[], object]) -> TimerHandle:
        """Schedule a call on the running event loop for when `elapsed()` reaches `when`."""
        ...


class SystemClock:
    """The system's clock."""

    def now(self) -> float:
        """Unix time in seconds."""
        return time.time()

    def elapsed(self) -> float:
        """Monotonic time in seconds."""
        return time.perf_counter()

    def call_at(self, when: float, callback: Callable[[], object]) -> TimerHandle:
        """Schedule a call on the running event loop for when `elapsed()` reaches `when`."""
        return asyncio.get_running_loop().call_later(when - self.elapsed(), callback)


class ManualClock:
    """A clock that stands still until `advance` is called, from any thread: for tests that step through time."""

    def __init__(self, now: float = 1_767_225_600.0) -> None:
        """`now` is Unix time in seconds, by default 1 January 2026."""
        self._start = now
        self._elapsed = 0.0
        self._changed = threading.Condition()
        self._timers: list[_ManualTimer] = []

    def now(self) -> float:
        """Unix time in seconds."""
        return self._start + self._elapsed

    def elapsed(self) -> float:
        """Seconds by which `advance` has moved the clock."""
        return self._elapsed

    def call_at(self, when: float, callback: Callable[[], object]) -> TimerHandle:
        """Schedule a call on the running event loop for when `elapsed()` reaches `when`."""
        with self._changed:
            timer = _ManualTimer(self, round(when, _DIGITS), callback, asyncio.get_running_loop())
            self._timers.append(timer)
            self._changed.notify_all()
        self.advance(0)
        return timer

    def advance(self, seconds: float) -> None:
        """Move the clock forward and run the calls that become due."""
        with self._changed:
            self._elapsed = round(self._elapsed + seconds, _DIGITS)
            due = [timer for timer in self._timers if timer.when <= self._elapsed]
            self._timers = [timer for timer in self._timers if timer.when > self._elapsed]
        for timer in due:
            timer.loop.call_soon_threadsafe(timer.callback)

    def discard(self, timer: "_ManualTimer") -> None:
        """Remove a timer that has not run yet."""
        with self._changed:
            self._timers = [one for one in self._timers if one is not timer]

    def wait_for_waiting(self, count: int = 1, timeout: float = 5.0) -> None:
        """Block until `count` answers wait for the clock. Raises TimeoutError after `timeout` seconds of real time."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._timers) >= count, timeout):
                found = len(self._timers)
                raise TimeoutError(f"waited {timeout:g} seconds for {count} waiting answers; there are {found}")


@dataclass(frozen=True, slots=True, eq=False)
class _ManualTimer:
    """A call scheduled on a manual clock."""

    clock: ManualClock
    when: float
    callback: Callable[[], object]
    loop: asyncio.AbstractEventLoop

    def cancel(self) -> None:
        """Cancel the call."""
        self.clock.discard(self)
