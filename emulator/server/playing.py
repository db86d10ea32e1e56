"""Playing a timeline: where an answer meets the network."""

import asyncio
from collections.abc import Coroutine, MutableMapping
from itertools import groupby
from typing import Any, Literal, NamedTuple, Protocol

from emulator.engine.timeline.timeline import Timeline
from emulator.http.sending import Receive, Send, response_start
from emulator.server.clock import Clock
from emulator.store.exchange import Played
from emulator.store.store import release

_DROPPED_WITHIN = 1.0
"""Seconds that a connection may take to end once it is dropped."""


class Connection(Protocol):
    """What lies below HTTP."""

    is_cut: bool
    """Whether the server has ended it, because it stops."""

    async def drop(self, how: Literal["close", "reset"]) -> None:
        """End the connection once what was written has left: in order, or by a reset."""
        ...


class Line(NamedTuple):
    """The way to the client: ASGI's two callables, the clock that it goes by, and the connection below where the server gives it."""

    send: Send
    receive: Receive
    clock: Clock
    connection: Connection | None = None


def play(
    timeline: Timeline, warnings: tuple[str, ...], line: Line, started: float, played: Played
) -> Coroutine[Any, Any, None]:
    """Send an answer, each part at its time after `started`; `played` tells how it goes.

    There is no content-length: the service answers in chunks (observed on sibling routes).
    """
    return _Player(timeline, line, started, played).play(response_start(timeline, warnings))


class _Player:
    """The playing of one timeline that takes its time or does not end well."""

    def __init__(self, timeline: Timeline, line: Line, started: float, played: Played) -> None:
        self._timeline = timeline
        self._line = line
        self._clock = line.clock
        self._started = started
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] = self._loop.create_future()
        self._gone = self._loop.create_task(wait_for_leaving(line.receive))
        self._gone.add_done_callback(lambda _: self._go_on())
        self._played = played
        self._times: list[float] = []
        played.times = self._times

    async def play(self, head: MutableMapping[str, Any]) -> None:
        """Play it until it ends or the client leaves."""
        try:
            if await self._until(self._timeline.head_at):
                if self._timeline.head_at is not None:
                    await self._line.send(head)
                await self._send_frames()
                await self._end()
        finally:
            self._gone.cancel()
        if self._line.connection is not None and self._line.connection.is_cut:
            self._played.ended = "server stopped"

    async def _until(self, at: float | None) -> bool:
        """Wait for a moment of the timeline; False if the client has left by then."""
        if at and not self._gone.done() and self._started + at > self._clock.elapsed():
            self._waiter = self._loop.create_future()
            alarm = self._clock.alarm(self._started + at, self._go_on)
            try:
                await self._waiter
            finally:
                alarm.cancel()
        if self._gone.done():
            self._played.ended = "client left"
        return not self._gone.done()

    def _go_on(self) -> None:
        release(self._waiter)

    async def _send_frames(self) -> None:
        """Frames that are due at the same moment go out in one send."""
        for at, due in groupby(self._timeline.frames, key=lambda frame: frame.at):
            if not await self._until(at):
                return
            frames = list(due)
            await self._write(b"".join([frame.data for frame in frames]))
            self._times.extend([self._clock.elapsed() - self._started] * len(frames))

    async def _write(self, data: bytes) -> None:
        size = self._timeline.write_size or len(data)
        for start in range(0, len(data), size):
            if self._gone.done():
                self._played.ended = "client left"
                return
            piece = data[start : start + size]
            await self._line.send({"type": "http.response.body", "body": piece, "more_body": True})
            self._played.sent += len(piece)
            if len(data) > size:
                # One round of the loop, so that the pieces leave one by one.
                await asyncio.sleep(0)

    async def _end(self) -> None:
        timeline = self._timeline
        # Who leaves when all of it was sent has read to the end.
        if (self._gone.done() and timeline.ending == "complete") or not await self._until(timeline.end_at):
            return
        match timeline.ending:
            case "complete" | "end":
                await self._line.send({"type": "http.response.body", "body": b""})
                self._played.ended = "complete" if timeline.ending == "complete" else "cut"
            case "stall":
                self._played.ended = "stalled"
                await asyncio.wait((self._gone,))
            case ending:
                await self._drop(ending)
                self._played.ended = "cut"

    async def _drop(self, ending: Literal["close", "reset"]) -> None:
        """End the connection, and return when it has ended."""
        if self._line.connection is not None:
            await self._line.connection.drop(ending)
            await asyncio.wait((self._gone,), timeout=_DROPPED_WITHIN)


async def wait_for_leaving(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
