"""Writes that are held back for one step of the loop."""

import asyncio
from typing import Any

from emulator.running.corking import Corked


class Wire:
    """What lies below, as far as it is asked."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        """Note what is written."""
        self.written.append(data)

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self.is_closed

    def close(self) -> None:
        """Close it."""
        self.is_closed = True

    def get_write_buffer_size(self) -> int:
        """Nothing waits below."""
        return 0

    def pause_reading(self) -> None:
        """Never called here."""

    def resume_reading(self) -> None:
        """Never called here."""


async def begin() -> tuple[Any, Wire]:
    """A corked transport and what is below it."""
    wire: Any = Wire()
    return Corked(wire), wire


def test_what_is_written_in_one_step_goes_out_at_once() -> None:
    """The head with its body; what follows in a later step goes out by itself."""

    async def work() -> list[bytes]:
        corked, wire = await begin()
        corked.write(b"head ")
        corked.write(b"body")
        assert (wire.written, corked.get_write_buffer_size()) == ([], 9)
        await asyncio.sleep(0)
        corked.write(b"more")
        await asyncio.sleep(0)
        assert corked.get_write_buffer_size() == 0
        return wire.written

    assert asyncio.run(work()) == [b"head body", b"more"]


def test_closing_writes_first() -> None:
    """Nothing that was written is lost, and nothing is written behind the end."""

    async def work() -> list[bytes]:
        corked, wire = await begin()
        corked.write(b"last")
        corked.close()
        corked.write(b"late")
        # Whoever closed it may still do what has to be done before the client hears of it.
        assert (wire.written, wire.is_closed, corked.is_closing()) == ([], False, True)
        await asyncio.sleep(0)
        assert wire.is_closed
        return wire.written

    assert asyncio.run(work()) == [b"last"]
