"""Playing a timeline: sends head, frames and ending at their times, and stops when the client disconnects."""

import asyncio
from collections.abc import Coroutine, MutableMapping
from itertools import groupby
from typing import Any, Literal, NamedTuple, Protocol

from emulator.engine.timeline.timeline import Timeline
from emulator.http.sending import Receive, Send, response_start
from emulator.server.clock import Clock
from emulator.store.exchange import Played
from emulator.wire.headers import ExtraHeader

_DROP_TIMEOUT = 1.0
"""Seconds to wait for a dropped connection to end."""


class Connection(Protocol):
    """The connection below HTTP, as far as faults need it."""

    is_cut: bool
    """Whether the server has closed it because the server stops."""

    async def drop(self, how: Literal["close", "reset"]) -> None:
        """End the connection after its write buffer is sent: orderly (`close`), or by a TCP reset."""
        ...


class ResponseChannel(NamedTuple):
    """ASGI's `send` and `receive`, the clock that times the sending, and the connection below HTTP if the server provides it."""

    send: Send
    receive: Receive
    clock: Clock
    connection: Connection | None = None


def play(
    timeline: Timeline,
    warnings: tuple[str, ...],
    channel: ResponseChannel,
    started: float,
    played: Played,
    *,
    extra: ExtraHeader | None = None,
) -> Coroutine[Any, Any, None]:
    """Send an answer, each part at its time after `started` (clock seconds); `played` records the progress, `extra` is one more header.

    There is no content-length: the service answers in chunks (observed on sibling routes).
    """
    return _TimelinePlayer(timeline, channel, started, played).play(response_start(timeline, warnings, extra))


class _TimelinePlayer:
    """Sends one timeline that has delays or does not end normally."""

    def __init__(self, timeline: Timeline, channel: ResponseChannel, started: float, played: Played) -> None:
        self._timeline = timeline
        self._channel = channel
        self._clock = channel.clock
        self._started = started
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] = self._loop.create_future()
        self._disconnected = self._loop.create_task(wait_for_disconnect(channel.receive))
        self._disconnected.add_done_callback(lambda _: self._wake())
        self._played = played
        self._times: list[float] = []
        played.times = self._times

    async def play(self, head: MutableMapping[str, Any]) -> None:
        """Send the timeline until it ends or the client disconnects."""
        try:
            if await self._until(self._timeline.head_at):
                if self._timeline.head_at is not None:
                    await self._channel.send(head)
                await self._send_frames()
                await self._end()
        finally:
            self._disconnected.cancel()
        if self._channel.connection is not None and self._channel.connection.is_cut:
            self._played.ended = "server stopped"

    async def _until(self, at: float | None) -> bool:
        """Wait for a time of the timeline, in seconds; return False if the client has disconnected."""
        if at and not self._disconnected.done() and self._started + at > self._clock.elapsed():
            self._waiter = self._loop.create_future()
            timer = self._clock.call_at(self._started + at, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
        if self._disconnected.done():
            self._played.ended = "client left"
        return not self._disconnected.done()

    def _wake(self) -> None:
        if not self._waiter.done():
            self._waiter.set_result(None)

    async def _send_frames(self) -> None:
        """Send the frames; those due at the same time go out in one send."""
        for at, due in groupby(self._timeline.frames, key=lambda frame: frame.at):
            if not await self._until(at):
                return
            frames = list(due)
            await self._write(b"".join([frame.data for frame in frames]))
            self._times.extend([self._clock.elapsed() - self._started] * len(frames))

    async def _write(self, data: bytes) -> None:
        size = self._timeline.write_size or len(data)
        for start in range(0, len(data), size):
            if self._disconnected.done():
                self._played.ended = "client left"
                return
            piece = data[start : start + size]
            await self._channel.send({"type": "http.response.body", "body": piece, "more_body": True})
            self._played.sent += len(piece)
            if len(data) > size:
                # Yield to the event loop, so that each piece is written separately.
                await asyncio.sleep(0)

    async def _end(self) -> None:
        timeline = self._timeline
        # A client that disconnects after the last frame has read the whole answer.
        if (self._disconnected.done() and timeline.ending == "complete") or not await self._until(timeline.end_at):
            return
        match timeline.ending:
            case "complete" | "end":
                await self._channel.send({"type": "http.response.body", "body": b""})
                self._played.ended = "complete" if timeline.ending == "complete" else "cut"
            case "stall":
                self._played.ended = "stalled"
                await asyncio.wait((self._disconnected,))
            case ending:
                await self._drop(ending)
                self._played.ended = "cut"

    async def _drop(self, ending: Literal["close", "reset"]) -> None:
        """Drop the connection and wait until it has ended, at most `_DROP_TIMEOUT`."""
        if self._channel.connection is not None:
            await self._channel.connection.drop(ending)
            await asyncio.wait((self._disconnected,), timeout=_DROP_TIMEOUT)


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
