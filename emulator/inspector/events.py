"""The page's event stream: rows of exchanges as server-sent events, read off the journal while somebody looks."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, Protocol

from emulator import __version__
from emulator.inspector.rows import clean_words, make_row
from emulator.server.service import Service
from emulator.store.interface import StoreUnreachableError
from emulator.store.memory import MemoryStore
from emulator.wire.json_text import dump

EVENT_INTERVAL = 0.25
"""Seconds between two looks at the journal; what came meanwhile is sent as one event."""
WORDS_SHARE = 0.005
"""Share of that time for reading the words of requests and answers; rows beyond it are sent without them, and the page asks for those it shows."""
_ROWS_IN_EVENT = 250
"""Rows that are encoded at once; other requests are answered between two such events."""
_FEW_ROWS = 25
"""Rows that always have their words."""
_HEARTBEAT = 15.0
"""Seconds without an event after which a comment shows that the connection is alive."""


class Stoppable(Protocol):
    """The connection of a stream, as far as the stream has to know it."""

    is_stopping: bool
    """Whether the server stops."""


class EventSource:
    """Makes the event streams of one service; costs nothing while there are none."""

    def __init__(self, service: Service) -> None:
        self._service = service
        # Positions go on from one process to another where they share a store, and begin anew where they do not.
        self._run = os.urandom(6).hex() if isinstance(service.store, MemoryStore) else "shared"

    async def stream(self, last_id: str, connection: Stoppable | None) -> AsyncIterator[bytes]:
        """Yield events until the server stops; `last_id` is the last event that the client has seen, empty if it is new."""
        run, _, seen = last_id.partition("-")
        after = int(seen) if run == self._run and seen.isascii() and seen.isdecimal() else 0
        yield b"retry: 1000\n\n" + _event("hello", {"run": self._run, "version": __version__})
        rules: Any = None
        trouble, quiet = "", 0.0
        while connection is None or not connection.is_stopping:
            found = ""
            try:
                await self._service.store.refresh_journal()
            except StoreUnreachableError as error:
                found = str(error)
            if found != trouble:
                trouble = found
                yield _event("trouble", {"message": trouble})
            current = self._service.ruleset, self._service.reload_problems
            if rules is None or any(new is not old for new, old in zip(current, rules, strict=True)):
                rules = current
                yield _event("rules", {"rules": len(current[0].rules), "problems": len(current[1])})
            sent = False
            async for position, event in self._batches(after):
                after, sent = position, True
                yield event
            quiet = 0.0 if sent else quiet + EVENT_INTERVAL
            if quiet >= _HEARTBEAT:
                quiet = 0.0
                yield b": still here\n\n"
            await asyncio.sleep(EVENT_INTERVAL)

    async def _batches(self, after: int) -> AsyncIterator[tuple[int, bytes]]:
        """The entries behind a position as events, each with the position of its last entry."""
        journal = self._service.journal
        position = journal.position
        if position == after:
            return
        if 0 < position < after:
            # The store was emptied, and counts from 1 again.
            after = 0
        entries = [entry for entry in journal.entries if entry.position > after]
        missed = entries[0].position - after - 1 if entries and after else 0
        budget, clean = WORDS_SHARE * EVENT_INTERVAL, cache(clean_words)
        for start in range(0, len(entries), _ROWS_IN_EVENT):
            rows = []
            for entry in entries[start : start + _ROWS_IN_EVENT]:
                if budget <= 0 and len(entries) > _FEW_ROWS:
                    rows.append(make_row(entry, with_words=False, clean=clean))
                    continue
                began = time.perf_counter()
                rows.append(make_row(entry, clean=clean))
                budget -= time.perf_counter() - began
            after = rows[-1]["position"]
            yield after, _event("exchanges", {"rows": rows, "missed": missed}, f"{self._run}-{after}")
            missed = 0
            await asyncio.sleep(0)


def _event(name: str, data: Any, id_: str = "") -> bytes:
    head = f"id: {id_}\n" if id_ else ""
    return f"{head}event: {name}\ndata: ".encode() + dump(data, infinite="strings") + b"\n\n"
