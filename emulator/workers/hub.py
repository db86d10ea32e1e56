"""The supervisor's end of the sockets: workers' messages in, answers out, in an order in which nobody reads what is old."""

import selectors
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from emulator.store.shared import Shared
from emulator.workers.channel import Cells, Decoder, encode
from emulator.workers.notebooks import Notebook, Notebooks

_MOST = 1 << 20
"""Bytes that are read at a time."""

_Call = tuple["_Worker", int, str, tuple[Any, ...]]


class _Worker:
    """What the hub has of a worker."""

    def __init__(self, number: int, calls: socket.socket, notices: socket.socket) -> None:
        self.number = number
        self.calls = calls
        self.notices = notices
        self.decoders = Decoder(), Decoder()
        self.unsent = bytearray()


class Hub:
    """Serves a `Shared` to the workers whose sockets it has."""

    def __init__(self, workers: int, most_exchanges: int, most_bytes: int, clock: Callable[[], float]) -> None:
        """For so many workers; `clock` gives the seconds that quotas go by."""
        self.cells = Cells(workers)
        self._clock = clock
        self._notebooks = Notebooks(most_exchanges, most_bytes)
        self._shared = Shared(
            most_exchanges, most_bytes, self._notebooks, announce=self.cells.announce, wake=self._wake
        )
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

    def open(self, number: int) -> Notebook:
        """The notebook of a worker that is to be forked."""
        return self._notebooks.open(number)

    def add(self, number: int, calls: socket.socket, notices: socket.socket) -> None:
        """Serve a worker."""
        worker = self._workers[number] = _Worker(number, calls, notices)
        for one in (calls, notices):
            one.setblocking(False)
        self._selector.register(calls, selectors.EVENT_READ, worker)
        self._selector.register(notices, selectors.EVENT_READ, partial(self._hear, worker))

    def remove(self, number: int) -> None:
        """Take what a worker has said last, and forget it."""
        worker = self._workers[number]
        self._hear(worker)
        self._selector.unregister(worker.calls)
        self._selector.unregister(worker.notices)
        worker.calls.close()
        worker.notices.close()
        del self._workers[number]
        self.cells.should_accept(number, 0)
        self._shared.drop_worker(number, self._clock())
        self._notebooks.close(number)

    def forget(self, number: int) -> None:
        """Let go of all but its notebook, in the process of a worker."""
        self._notebooks.close_others(number)
        self._selector.close()
        for worker in self._workers.values():
            worker.calls.close()
            worker.notices.close()

    def turn(self, timeout: float | None = None) -> None:
        """Wait until something can be done, for so many seconds at most, and do it."""
        ready = self._selector.select(timeout)
        for act in [key.data for key, _ in ready if not isinstance(key.data, _Worker)]:
            act()
        callers = [(key.data, events) for key, events in ready if isinstance(key.data, _Worker)]
        for worker, events in callers:
            if events & selectors.EVENT_WRITE:
                self._write(worker)
        self._serve([worker for worker, events in callers if events & selectors.EVENT_READ])

    def _serve(self, callers: list[_Worker]) -> None:
        """Answer calls.

        A client that was answered by one worker may ask another at once: what the first had told before is heard before the other's
        call is answered.
        """
        calls = [call for worker in callers for call in self._read_calls(worker)]
        if calls:
            for worker in self._workers.values():
                self._hear(worker)
            self._answer(calls)

    def _hear(self, worker: _Worker) -> None:
        """Do what a worker tells."""
        while data := _receive(worker.notices):
            for method, arguments in worker.decoders[1].feed(data):
                self.methods[method](*arguments)
            if len(data) < _MOST:
                break

    def _read_calls(self, worker: _Worker) -> list[_Call]:
        return [(worker, *call) for call in worker.decoders[0].feed(_receive(worker.calls))]

    def _answer(self, calls: list[_Call]) -> None:
        for worker, number, method, arguments in calls:
            if method in self.before:
                self.before[method]()
            self._send(worker, (number, self.methods[method](*arguments)))

    def _wake(self, number: int, quota_ticket: int) -> None:
        worker = self._workers.get(number)
        if worker is not None:
            self._send(worker, (0, quota_ticket))

    def _send(self, worker: _Worker, message: Any) -> None:
        worker.unsent += encode(message)
        self._write(worker)

    def _write(self, worker: _Worker) -> None:
        was_full = False
        try:
            while worker.unsent:
                del worker.unsent[: worker.calls.send(worker.unsent)]
        except BlockingIOError:
            was_full = True
        except OSError:
            worker.unsent.clear()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if was_full else 0)
        if self._selector.get_key(worker.calls).events != events:
            self._selector.modify(worker.calls, events, worker)


def _receive(sock: socket.socket) -> bytes:
    """What has come; that a worker is gone, its end as a process tells."""
    try:
        return sock.recv(_MOST)
    except OSError:
        return b""
