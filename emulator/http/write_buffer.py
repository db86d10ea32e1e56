"""Writing what belongs together at once, and no more than the client reads."""

import asyncio
from collections.abc import Callable


class WriteBuffer:
    """A transport that writes what it is given within one step of the loop in one go: the head of an answer with its body.

    Each write is a system call, which costs as much as the rest of a plain answer. And whoever writes can see to it that what an answer
    has changed is known before the answer leaves: the connection's end, too, waits for the end of the step.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, before_writing: Callable[[], object]
    ) -> None:
        """`before_writing` is called before anything leaves."""
        self._transport = transport
        self._loop = loop
        self._before_writing = before_writing
        self._held: list[bytes] = []
        self._is_held = False
        self._is_paused = False
        self._room: asyncio.Event | None = None
        self.ends = False
        """Whether nothing more may be written."""
        self.is_full = False
        """Whether what is written has to wait."""

    def write(self, *data: bytes) -> None:
        """Write at the end of this step."""
        if not self.ends:
            self._held += data
            self._flush_soon()

    def close(self) -> None:
        """End the connection behind what was written, in the same step as that leaves."""
        self.ends = True
        self._flush_soon()

    def is_closing(self) -> bool:
        """Whether the connection ends."""
        return self.ends or self._transport.is_closing()

    @property
    def has_unsent(self) -> bool:
        """Whether something that was written has not left yet."""
        return bool(self._held or self._transport.get_write_buffer_size())

    def hold(self) -> None:
        """Begin a step that calls `flush` itself at its end."""
        self._is_held = True

    def flush(self) -> None:
        """Write now what is held back."""
        self._is_held = False
        if self._held:
            data = b"".join(self._held)
            self._held.clear()
            self._before_writing()
            if not self._transport.is_closing():
                self._transport.write(data)
        if self.ends:
            self._transport.close()

    def _flush_soon(self) -> None:
        if not self._is_held:
            self._is_held = True
            self._loop.call_soon(self.flush)

    def fill(self) -> None:
        """Have answers wait until there is room."""
        self.is_full = True
        self._room = asyncio.Event()

    def free(self) -> None:
        """Let them go on."""
        self.is_full = False
        if self._room is not None:
            self._room.set()

    async def drain(self) -> None:
        """Return when there is room for more to be written."""
        if self._room is not None:
            await self._room.wait()

    def pause_reading(self) -> None:
        """Let nothing more come."""
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Let more come."""
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
