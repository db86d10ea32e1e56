"""The write buffer of a connection: what is written within one turn of the event loop leaves in one system call."""

import asyncio
from collections.abc import Callable

LARGE_BYTES = 65536
"""Bytes from which data is written at once and is not copied to be joined with other data."""


class WriteBuffer:
    """A transport that joins what it is given within one turn of the loop: the head of an answer with its body.

    Each write is a system call, which costs as much as the rest of a plain answer. Since everything leaves through here, the store
    can also be told of what an answer has changed before the answer leaves. The end of the connection waits for the end of the
    turn, too.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, before_writing: Callable[[], object]
    ) -> None:
        """`before_writing` is called before anything leaves."""
        self._transport = transport
        self._loop = loop
        self._before_writing = before_writing
        self._pending: list[bytes] = []
        self._is_flush_due = False
        self._writable: asyncio.Event | None = None
        self._is_half_closed = False
        self.has_large = False
        """Whether something large is pending, which should leave before anything else is written."""
        self.is_reading_paused = False
        """Whether nothing is received for now."""
        self.is_closed = False
        """Whether nothing more may be written."""
        self.is_full = False
        """Whether writers have to wait (back-pressure)."""

    def write(self, *data: bytes) -> None:
        """Write at the end of this turn."""
        if not self.is_closed:
            self._pending += data
            if not self._is_flush_due:
                self._flush_soon()

    def close(self, *, half: bool = False) -> None:
        """End the connection behind what was written, in the same turn as that leaves; `half` leaves it open for receiving."""
        self.is_closed = True
        self._is_half_closed = half
        if not self._is_flush_due:
            self._flush_soon()

    def is_closing(self) -> bool:
        """Whether the connection ends."""
        return self.is_closed or self._transport.is_closing()

    def hold(self) -> None:
        """Begin a turn whose end calls `flush` itself."""
        self._is_flush_due = True

    def flush(self) -> None:
        """Write what is pending."""
        self._is_flush_due = False
        transport = self._transport
        if self._pending:
            pending, self._pending = self._pending, []
            is_large, self.has_large = self.has_large, False
            self._before_writing()
            if transport.is_closing():
                pass
            elif is_large:
                transport.writelines(pending)
            else:
                transport.write(b"".join(pending))
        if self.is_closed:
            if self._is_half_closed and transport.can_write_eof():
                if not transport.is_closing():
                    transport.write_eof()
            else:
                transport.close()

    def _flush_soon(self) -> None:
        self._is_flush_due = True
        self._loop.call_soon(self.flush)

    def pause_writing(self) -> None:
        """Let writers wait until the transport has room."""
        self.is_full = True
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        """Let them go on."""
        self.is_full = False
        if self._writable is not None:
            self._writable.set()

    async def drain(self) -> None:
        """Return when there is room for more to be written."""
        if self._writable is not None:
            await self._writable.wait()

    def pause_reading(self) -> None:
        """Receive nothing more for now."""
        if not self.is_reading_paused:
            self.is_reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Receive again."""
        if self.is_reading_paused:
            self.is_reading_paused = False
            self._transport.resume_reading()

    async def empty(self) -> None:
        """Return when everything that was written has left, or the connection has ended."""
        self.flush()
        if not self._transport.is_closing():
            # From now on the transport says so when its buffer is empty.
            self._transport.set_write_buffer_limits(0)
            # Under TLS, transports ask writers to wait with an empty buffer too, and then never let them go on.
            if self.is_full and self._transport.get_write_buffer_size():
                await self.drain()
