"""A worker's end of the two sockets to its supervisor: one for calls, which are answered, one for notices, which are not."""

import asyncio
import mmap
import os
import pickle
import select
import socket
from collections.abc import Callable, Iterator
from functools import partial
from struct import Struct
from tempfile import TemporaryFile
from typing import Any

from emulator.errors import EmulatorError
from emulator.workers.notebooks import Notebook

_CHANGES, _LOADS = 0, 1
MOST_WORKERS = mmap.PAGESIZE // 8 - _LOADS


class Cells:
    """Numbers in memory that forked processes share."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        # Nothing is written into it: what counts is the position in it, which forked processes share.
        self._file = TemporaryFile(prefix="vertex-emulator-")  # noqa: SIM115  # as long as the server
        self._numbers = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")

    def next_number(self) -> int:
        """The next number, from 1; nobody gets it twice."""
        # One step of the system's, so nobody comes between and there is no lock that a process could die with.
        return os.lseek(self._file.fileno(), 1, os.SEEK_CUR)

    @property
    def changes(self) -> int:
        """The number of the last change."""
        return self._numbers[_CHANGES]

    def announce(self, change: int) -> None:
        """Let everybody know the number of a change."""
        self._numbers[_CHANGES] = change

    def should_accept(self, worker: int, load: int) -> bool:
        """Whether a worker with so many connections is to take the next one, because none has fewer."""
        self._numbers[_LOADS + worker] = load
        return load <= min(self._numbers[_LOADS : _LOADS + self._workers])


_LENGTH = Struct("!Q")
_FORMAT = pickle.HIGHEST_PROTOCOL


def encode(message: Any) -> bytes:
    """A message as it is sent."""
    data = pickle.dumps(message, _FORMAT)
    return _LENGTH.pack(len(data)) + data


class Decoder:
    """Makes messages of the bytes that arrive, however they are cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """The messages that are complete now."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            yield pickle.loads(memoryview(buffer)[start + _LENGTH.size : end])  # noqa: S301  # from a process of this server
            start = end
        if start:
            del buffer[:start]


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
        self.should_accept = partial(cells.should_accept, worker)
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

    def notify(self, method: str, *arguments: Any) -> None:
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
