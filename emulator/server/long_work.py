"""Long work: what would hold the event loop for long is done in a thread, one thing at a time, so that others are answered meanwhile.

Python's threads take turns every few milliseconds, but never within one call into C. What is called there is bounded for that reason
(`emulator.wire.requests`, `emulator.scenario.patterns`), and RE2 lets others go on by itself. The garbage collector is such a call, too: with the
hundreds of thousands of objects of a very large request it takes as long as reading them.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from queue import SimpleQueue
from threading import Thread
from typing import Any, ParamSpec, TypeVar
from weakref import finalize

from emulator.wire.requests import VERY_LARGE_BODY

LARGE_BODY = 128 * 1024
"""Bytes from which a request's body is read, vetted and answered in the thread; a smaller one where it turns out to take long."""

_MMAP_THRESHOLD = -3
"""`M_MMAP_THRESHOLD` of glibc's malloc.h."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_Jobs = SimpleQueue[Callable[[], None] | None]


class LongWork:
    """A thread for long work, and whose turn it is.

    Why not asyncio's executor: a server that is told to end would wait for what is being done, whose client is cut off already.
    """

    def __init__(self) -> None:
        self._turns = asyncio.Lock()
        self._jobs: _Jobs | None = None

    @asynccontextmanager
    async def turn(self, body_size: int = 0) -> AsyncIterator[None]:
        """Wait until nobody else has the turn, and have it until the end of the block.

        A request keeps it as long as its values are in memory. While it is the turn of a very large body, no garbage is collected.
        """
        async with self._turns:
            if body_size > VERY_LARGE_BODY:
                _return_large_blocks()
            is_collecting = body_size > VERY_LARGE_BODY and gc.isenabled()
            if is_collecting:
                gc.disable()
            try:
                yield
            finally:
                if is_collecting:
                    gc.enable()

    async def run(self, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """Do some work in the thread, by whoever has the turn; it must not touch what requests on the event loop change."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()

        def job() -> None:
            settle: Callable[[Any], None]
            value: Any
            try:
                settle, value = done.set_result, work(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  # it is for whoever waits
                settle, value = done.set_exception, error

            def finish() -> None:
                if not done.done():
                    settle(value)

            # The loop may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(finish)

        if self._jobs is None:
            self._jobs = _Jobs()
            Thread(target=_work, args=(self._jobs,), name="vertex-emulator-work", daemon=True).start()
            finalize(self, self._jobs.put, None)
        self._jobs.put(job)
        return await done

    async def do(self, work: Callable[[], Result]) -> Result:
        """Wait for the turn, and do some work in the thread."""
        async with self.turn():
            return await self.run(work)


@cache
def _return_large_blocks() -> None:
    """Have the C library give memory of 1 MiB and more back to the system when it is freed.

    Where it is glibc, it keeps what is as large as the largest block that was ever freed, and for each thread by itself. Elsewhere nothing happens.
    """
    from ctypes import CDLL  # noqa: PLC0415  # only for such bodies

    with suppress(OSError, AttributeError, TypeError):
        CDLL(None).mallopt(_MMAP_THRESHOLD, 1024 * 1024)


def _work(jobs: _Jobs) -> None:
    """Do what is put into the queue, until that is None."""
    while (job := jobs.get()) is not None:
        job()
        del job
