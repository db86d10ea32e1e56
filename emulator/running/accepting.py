"""Taking connections from a socket on which other processes listen too."""

import asyncio
import socket
from collections.abc import Callable, Sized
from contextlib import suppress

_ASIDE = 0.002
"""Seconds for which a process with more connections than others leaves the next one to them."""

IsNext = Callable[[int], bool]
"""Whether a process that has so many connections is to take the next one."""


class Acceptor:
    """Takes one connection at a time, so that all processes get as many: the system would give most to whoever wakes first."""

    def __init__(
        self, listening: socket.socket, make: Callable[[], asyncio.Protocol], connections: Sized, is_next: IsNext
    ) -> None:
        """`make` makes the protocol of a connection; `connections` are those that there are."""
        self._listening = listening
        self._make = make
        self._connections = connections
        self._is_next = is_next
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[object]] = set()
        self._aside: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._loop.add_reader(listening, self._wake)

    def close(self) -> None:
        """Take no more."""
        if self._aside is not None:
            self._aside.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()

    def _wake(self) -> None:
        if self._is_next(len(self._connections) + len(self._beginning)):
            self._take()
        else:
            self._step_aside()

    def _step_aside(self) -> None:
        self._loop.remove_reader(self._listening)
        self._aside = self._loop.call_later(_ASIDE, self._return)

    def _return(self) -> None:
        """Take what nobody else has taken meanwhile."""
        self._loop.add_reader(self._listening, self._wake)
        self._take()

    def _take(self) -> None:
        try:
            sock, _ = self._listening.accept()
        except BlockingIOError:
            # Others have been quicker.
            return
        except OSError:
            # For want of descriptors, for example: it can be taken later, and until then the loop must not turn in vain.
            self._step_aside()
            return
        task = self._loop.create_task(self._begin(sock))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _begin(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        # Gone already, if it cannot be.
        with suppress(OSError):
            # As loops do for connections that they accept themselves: a chunk does not wait for the next one.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._make, sock)
