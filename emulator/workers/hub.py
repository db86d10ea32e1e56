"""The supervisor's end of the sockets: workers' messages in, answers out, in an order in which nobody reads what is old."""

import selectors
import socket
from collections.abc import Callable
from typing import Any

from emulator.server.shared import Shared
from emulator.workers.cells import Cells
from emulator.workers.frames import Decoder, encode

_MOST = 1 << 20
"""Bytes that are read at a time."""


class _Worker:
    """What the hub has of a worker."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.socket = sock
        self.decoder = Decoder()
        self.unsent = bytearray()
        self.is_gone = False


class Hub:
    """Serves a `Shared` to the workers whose sockets it has."""

    def __init__(self, workers: int, most_exchanges: int, most_bytes: int, clock: Callable[[], float]) -> None:
        """For so many workers; `clock` gives the seconds that quotas go by."""
        self.cells = Cells(workers)
        self._clock = clock
        self._shared = Shared(most_exchanges, most_bytes, announce=self.cells.announce, wake=self._wake)
        self.methods: dict[str, Callable[..., Any]] = {
            name: getattr(self._shared, name) for name in vars(Shared) if not name.startswith("_")
        }
        """What workers can call."""
        self.before: dict[str, Callable[[], object]] = {}
        """What is done before some of it."""
        self._workers: dict[int, _Worker] = {}
        self._selector = selectors.DefaultSelector()

    @property
    def reloads(self) -> int:
        """How often the server's scenarios were read again."""
        return self._shared.reloads

    def watch(self, readable: int, act: Callable[[], object]) -> None:
        """Call a function whenever a file can be read."""
        self._selector.register(readable, selectors.EVENT_READ, act)

    def ignore(self, readable: int) -> None:
        """Watch a file no longer."""
        self._selector.unregister(readable)

    def add(self, number: int, sock: socket.socket) -> None:
        """Serve a worker."""
        sock.setblocking(False)
        worker = self._workers[number] = _Worker(number, sock)
        self._selector.register(sock, selectors.EVENT_READ, worker)

    def remove(self, number: int) -> None:
        """Take what a worker has said last, and forget it."""
        worker = self._workers[number]
        self._answer(self._collect(worker))
        self._selector.unregister(worker.socket)
        worker.socket.close()
        del self._workers[number]
        self.cells.is_next(number, 0)
        self._shared.bury(number, self._clock())

    def forget(self) -> None:
        """Let go of all files, in a process that is forked off."""
        self._selector.close()
        for worker in self._workers.values():
            worker.socket.close()

    def turn(self, timeout: float | None = None) -> None:
        """Wait until something can be done, for so many seconds at most, and do it."""
        ready = self._selector.select(timeout)
        if any(isinstance(key.data, _Worker) for key, _ in ready):
            self._serve()
        for key, events in ready:
            if not isinstance(key.data, _Worker):
                key.data()
            elif events & selectors.EVENT_WRITE and not key.data.is_gone:
                self._write(key.data)

    def _serve(self) -> None:
        """Read what all workers say, and answer.

        A client that was answered by one worker may ask another at once: whatever the first had told before is done before the
        other's call, although its socket was looked at earlier.
        """
        calls = [call for worker in self._workers.values() for call in self._collect(worker)]
        while calls:
            more = [call for worker in self._workers.values() for call in self._collect(worker)]
            self._answer(calls)
            calls = more

    def _collect(self, worker: _Worker) -> list[tuple[_Worker, int, str, tuple[Any, ...]]]:
        """Read what a worker says: what it tells is done, its calls are returned."""
        calls: list[tuple[_Worker, int, str, tuple[Any, ...]]] = []
        while not worker.is_gone:
            try:
                data = worker.socket.recv(_MOST)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                worker.is_gone = True
                break
            for number, messages in worker.decoder.feed(data):
                if number:
                    calls += [(worker, number, method, arguments) for method, arguments in messages]
                else:
                    for method, arguments in messages:
                        self.methods[method](*arguments)
            if len(data) < _MOST:
                break
        return calls

    def _answer(self, calls: list[tuple[_Worker, int, str, tuple[Any, ...]]]) -> None:
        for worker, number, method, arguments in calls:
            if method in self.before:
                self.before[method]()
            self._send(worker, (number, self.methods[method](*arguments)))

    def _wake(self, number: int, ticket: int) -> None:
        worker = self._workers.get(number)
        if worker is not None:
            self._send(worker, (0, ticket))

    def _send(self, worker: _Worker, message: Any) -> None:
        worker.unsent += encode(message)
        self._write(worker)

    def _write(self, worker: _Worker) -> None:
        was_full = False
        try:
            while worker.unsent:
                del worker.unsent[: worker.socket.send(worker.unsent)]
        except BlockingIOError:
            was_full = True
        except OSError:
            worker.unsent.clear()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if was_full else 0)
        if self._selector.get_key(worker.socket).events != events:
            self._selector.modify(worker.socket, events, worker)
