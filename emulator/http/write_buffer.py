"""The write buffer of a connection: what is written within one turn of the event loop leaves in one system call."""

import asyncio
from collections.abc import Callable


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
        self._is_reading_paused = False
        self._writable: asyncio.Event | None = None
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

    def close(self) -> None:
        """End the connection behind what was written, in the same turn as that leaves."""
        self.is_closed = True
        if not self._is_flush_due:
            self._flush_soon()

    def is_closing(self) -> bool:
        """Whether the connection ends."""
        return self.is_closed or self._transport.is_closing()

    @property
    def has_unsent(self) -> bool:
        """Whether something that was written has not left yet."""
        return bool(self._pending or self._transport.get_write_buffer_size())

    def hold(self) -> None:
        """Begin a turn whose end calls `flush` itself."""
        self._is_flush_due = True

    def flush(self) -> None:
        """Write what is pending."""
        self._is_flush_due = False
        if self._pending:
            data = b"".join(self._pending)
            self._pending.clear()
            self._before_writing()
            if not self._transport.is_closing():
                self._transport.write(data)
        if self.is_closed:
            self._transport.close()

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
        if not self._is_reading_paused:
            self._is_reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Receive again."""
        if self._is_reading_paused:
            self._is_reading_paused = False
            self._transport.resume_reading()
