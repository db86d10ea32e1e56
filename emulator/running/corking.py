"""Writing what belongs together at once."""

import asyncio
from collections.abc import Callable
from typing import Any


class Corked:
    """A transport that writes what it is given within one step of the loop in one go: the head of an answer with its body.

    Each write is a system call, which costs as much as the rest of a plain answer. And whoever writes can see to it that what an answer
    has changed is known before the answer leaves: the connection's end, too, waits for the next step.
    """

    def __init__(self, transport: asyncio.Transport, before_writing: Callable[[], object]) -> None:
        """`before_writing` is called before anything leaves."""
        self._transport = transport
        self._before_writing = before_writing
        self._held: list[bytes] = []
        self._ends = False
        self._call_soon = asyncio.get_running_loop().call_soon
        # Asked for with every request.
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write in the next step of the loop."""
        if self._ends:
            return
        if not self._held:
            self._call_soon(self.flush)
        self._held.append(data)

    def flush(self) -> None:
        """Write now what is held back."""
        if self._held:
            held = self._held
            self._held = []
            self._before_writing()
            if not self._transport.is_closing():
                self._transport.write(held[0] if len(held) == 1 else b"".join(held))
        if self._ends:
            self._transport.close()

    def close(self) -> None:
        """Close the transport behind what was written, in the same step as that leaves."""
        self._ends = True
        self.is_closing = lambda: True
        if not self._held:
            self._transport.close()

    def get_write_buffer_size(self) -> int:
        """How many bytes have not left yet."""
        return self._transport.get_write_buffer_size() + sum(map(len, self._held))
