"""A worker's end of the two sockets to its supervisor: one for calls, which are answered, one for notices, which are not."""

import asyncio
import select
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from emulator.errors import EmulatorError
from emulator.workers.cells import Cells
from emulator.workers.frames import Decoder, encode
from emulator.workers.notebooks import Notebook

_MOST = 1 << 20
"""Bytes that are read at a time."""


class SocketChannel:
    """A `Channel` over a socket, on the event loop that runs when it is opened."""

    def __init__(
        self,
        worker: int,
        calls: socket.socket,
        notices: socket.socket,
        cells: Cells,
        notebook: Notebook,
        *,
        is_replacement: bool = False,
    ) -> None:
        self.worker = worker
        self.counters = notebook.counters
        self.note = notebook.tape.append
        self.is_replacement = is_replacement
        """Whether there was another in its place before."""
        self.next_number = cells.next_number
        self.is_next = partial(cells.is_next, worker)
        """Whether this worker, with so many connections, is to take the next one."""
        self._cells = cells
        self._socket = calls
        self._notices = notices
        self._decoder = Decoder()
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._come: Callable[[int], object] = lambda _ticket: None
        self._on_end: Callable[[], object] = lambda: None

    def open(self, come: Callable[[int], object], on_end: Callable[[], object]) -> None:
        """Listen from now on: `come` is given tickets that are woken, `on_end` is called when the supervisor is gone."""
        self._come, self._on_end = come, on_end
        self._socket.setblocking(False)
        self._notices.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    @property
    def changes(self) -> int:
        """The number of the last change that all must know."""
        return self._cells.changes

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call a method and return what it does. Raises EmulatorError if the supervisor goes."""
        self._number += 1
        number = self._number
        future = self._calls[number] = asyncio.get_running_loop().create_future()
        _send(self._socket, encode((number, method, arguments)))
        try:
            return await future
        finally:
            del self._calls[number]

    def tell(self, method: str, *arguments: Any) -> None:
        """Call a method; the system has the message when this returns."""
        _send(self._notices, encode((method, arguments)))

    def _read(self) -> None:
        try:
            data = self._socket.recv(_MOST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        for number, value in self._decoder.feed(data):
            if number:
                future = self._calls.get(number)
                if future is not None and not future.done():
                    future.set_result(value)
            else:
                self._come(value)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        for future in self._calls.values():
            if not future.done():
                future.set_exception(EmulatorError("the supervisor of the workers is gone"))
        self._on_end()


def _send(sock: socket.socket, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[sock.send(view) :]
        except BlockingIOError:
            # The supervisor is busy, and nothing may be answered that it does not know of.
            select.select([], [sock], [])
        except OSError:
            return
