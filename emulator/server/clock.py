"""Clocks: where the time comes from, and where it is waited for."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Alarm(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Let it not come."""
        ...


_DIGITS = 6
"""Of a second: 0.1 and 0.2 are as late as 0.3 on a clock that is told."""


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> float:
        """Unix time in seconds."""
        ...

    def elapsed(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def alarm(self, until: float, act: Callable[[], object]) -> Alarm:
        """Call a function on the running event loop when `elapsed()` has come so far."""
        ...


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        """Unix time in seconds."""
        return time.time()

    def elapsed(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.perf_counter()

    def alarm(self, until: float, act: Callable[[], object]) -> Alarm:
        """Call a function on the running event loop when `elapsed()` has come so far."""
        return asyncio.get_running_loop().call_later(until - self.elapsed(), act)


class ManualClock:
    """A clock that stands still until `advance` is called, from whatever thread: for tests that step through time."""

    def __init__(self, now: float = 1_767_225_600.0) -> None:
        """`now` is Unix time in seconds, by default 1 January 2026."""
        self._start = now
        self._passed = 0.0
        self._changed = threading.Condition()
        self._alarms: list[_ManualAlarm] = []

    def now(self) -> float:
        """Unix time in seconds."""
        return self._start + self._passed

    def elapsed(self) -> float:
        """Seconds that `advance` has let pass."""
        return self._passed

    def alarm(self, until: float, act: Callable[[], object]) -> Alarm:
        """Call a function on the running event loop when `elapsed()` has come so far."""
        with self._changed:
            alarm = _ManualAlarm(self, round(until, _DIGITS), act, asyncio.get_running_loop())
            self._alarms.append(alarm)
            self._changed.notify_all()
        self.advance(0)
        return alarm

    def advance(self, seconds: float) -> None:
        """Let time pass; everything that is due by then goes on."""
        with self._changed:
            self._passed = round(self._passed + seconds, _DIGITS)
            due = [alarm for alarm in self._alarms if alarm.until <= self._passed]
            self._alarms = [alarm for alarm in self._alarms if alarm.until > self._passed]
        for alarm in due:
            alarm.loop.call_soon_threadsafe(alarm.act)

    def forget(self, alarm: "_ManualAlarm") -> None:
        """Let an alarm not come."""
        with self._changed:
            self._alarms = [one for one in self._alarms if one is not alarm]

    def wait_for_waiting(self, count: int = 1, timeout: float = 5.0) -> None:
        """Wait until so many answers wait for the time. Raises TimeoutError after `timeout` seconds of real time."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._alarms) >= count, timeout):
                found = len(self._alarms)
                raise TimeoutError(f"waited {timeout:g} seconds for {count} waiting answers; there are {found}")


@dataclass(frozen=True, slots=True, eq=False)
class _ManualAlarm:
    """A call that comes when somebody lets the time pass."""

    clock: ManualClock
    until: float
    act: Callable[[], object]
    loop: asyncio.AbstractEventLoop

    def cancel(self) -> None:
        """Let it not come."""
        self.clock.forget(self)
