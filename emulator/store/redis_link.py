"""One connection to Redis for a whole process: scripts are called in pipelines, and what must not be lost is sent again after a failure.

redis-py connects, authenticates and parses; its clients are not used for this, because they wait for a connection of their own for each
command, while an answer may leave as soon as its exchange has been written to the socket, and hundreds of requests share a round trip.
"""

import asyncio
import math
import os
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

PATIENCE = 2.0
"""Seconds for which a request waits for the store before it is answered that it is unreachable."""
_FIRST_BACKOFF = 0.05
_LONGEST_BACKOFF = 2.0
MOST_KEPT_BYTES = 64 * 1024 * 1024
"""Bytes of exchanges that are kept while the store is unreachable; those beyond are lost and counted."""

Argument = str | bytes | int | float


class UnreachableError(Exception):
    """The store does not answer; the text says why."""


class MovedError(UnreachableError):
    """Another node of the cluster has the key."""


def explain_failure(error: BaseException) -> str:
    """Why a server cannot be used, for the end of a sentence: what the system says if it is behind the error, else what Redis says."""
    from redis.exceptions import AuthenticationError  # noqa: PLC0415  # only where the store is Redis

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AuthenticationError):
            return "it refuses the user or the password"
        if isinstance(cause, TimeoutError):
            return "it does not answer"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
        cause = cause.__cause__ or cause.__context__
    return " ".join(str(error).split()).rstrip(".") or "the connection broke"


@cache
def read_script(name: str) -> str:
    """The text of a Lua script of this package."""
    return resources.files("emulator.store").joinpath("lua", f"{name}.lua").read_text("utf-8")


def _write_now(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Give data to the kernel before this returns, so that it arrives even if this process is killed; under TLS, at the end of the loop's turn.

    uvloop writes what its transports are given at the end of a turn, in no particular order, so an answer might leave first.
    """
    transport = writer.transport
    if os.name == "posix" and not transport.get_write_buffer_size() and transport.get_extra_info("ssl_object") is None:
        # What the socket does not take, or an error, is the transport's business.
        with suppress(OSError):
            data = data[os.write(transport.get_extra_info("socket").fileno(), data) :]
    if data:
        writer.write(data)


@dataclass(slots=True)
class _Command:
    """A script call whose reply has not come: what waits for it, or None if it is sent again after a failure."""

    arguments: tuple[Argument, ...]
    """The script's name, the number of its keys, the keys, the arguments."""
    reply: "asyncio.Future[Any] | None"
    size: int = 0


class Link:
    """Calls scripts over one connection, in the order in which they are called, and connects again when it breaks."""

    def __init__(
        self,
        connect: "Callable[[], Awaitable[AbstractConnection]]",
        scripts: Sequence[str],
        on_connected: Callable[[], Awaitable[None]],
        on_lost: Callable[[str], object],
        on_moved: Callable[[str, Sequence[str], Sequence[Argument]], object] = lambda *_: None,
    ) -> None:
        """`connect` makes an open connection; `on_connected` is awaited when there is one again, and `on_lost` is told why one broke.

        `on_moved` gets the script, keys and arguments of a command that was handed over, if another node has to carry it out.
        """
        self._connect = connect
        self._scripts = scripts
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._on_moved = on_moved
        self._connection: AbstractConnection | None = None
        self._is_ready = False
        self._pending: deque[_Command] = deque()
        """Commands that were sent, the oldest first."""
        self._unsent: deque[_Command] = deque()
        """Commands to be sent again, or for the first time, once there is a connection."""
        self._kept_bytes = 0
        self._hashes: Mapping[str, str] = {}
        self._reason = "it was never reached"

    @property
    def is_connected(self) -> bool:
        """Whether commands can be sent now."""
        return self._is_ready

    async def open(self) -> None:
        """Connect and load the scripts. Raises UnreachableError."""
        from redis.exceptions import RedisError  # noqa: PLC0415  # only where the store is Redis

        try:
            self._connection = connection = await self._connect()
            hashes = {}
            for name in self._scripts:
                await connection.send_command("SCRIPT", "LOAD", read_script(name))
                loaded = await connection.read_response()
                hashes[name] = loaded.decode() if isinstance(loaded, bytes) else loaded
            self._hashes = hashes
        except (RedisError, OSError, asyncio.IncompleteReadError) as error:
            raise UnreachableError(explain_failure(error)) from error

    async def run(self) -> None:
        """Read replies until cancelled; connect again whenever the connection breaks, with growing pauses."""
        backoff = _FIRST_BACKOFF
        try:
            while True:
                if self._connection is None:
                    try:
                        await self.open()
                    except UnreachableError as error:
                        self._reason = str(error)
                        await self._drop()
                        await asyncio.sleep(backoff)
                        backoff = min(_LONGEST_BACKOFF, backoff * 2)
                        continue
                backoff = _FIRST_BACKOFF
                reason = await self._read_replies(self._connection)
                self._reason = reason
                await self._drop()
                self._fail(reason)
                self._on_lost(reason)
        finally:
            self._fail("the server ends")
            await self._drop()

    async def call(self, script: str, keys: Sequence[str], *arguments: Argument) -> Any:
        """Call a script and return its reply. Raises UnreachableError when there is none within `PATIENCE`."""
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Any] = loop.create_future()
        # Not `asyncio.timeout`: a request may be worked on outside of a task.
        timer = loop.call_later(PATIENCE, self._give_up, reply)
        self._take(_Command((script, len(keys), *keys, *arguments), reply))
        try:
            return await reply
        finally:
            timer.cancel()

    def _give_up(self, reply: "asyncio.Future[Any]") -> None:
        if not reply.done():
            reply.set_exception(UnreachableError("it does not answer" if self.is_connected else self._reason))

    def hand_over(self, script: str, keys: Sequence[str], *arguments: Argument) -> bool:
        """Write a call of a script to the socket before this returns; it is sent again until it was carried out.

        The script must do nothing when it is called a second time. Returns False if it had to be given up, because too much is waiting.
        """
        size = sum(len(argument) for argument in arguments if isinstance(argument, str | bytes))
        if self._kept_bytes + size > MOST_KEPT_BYTES:
            return False
        self._kept_bytes += size
        self._take(_Command((script, len(keys), *keys, *arguments), None, size))
        return True

    def _take(self, command: _Command) -> None:
        """Send a command, or keep it until there is a connection."""
        if self.is_connected:
            self._send(command)
        else:
            self._unsent.append(command)

    def _send(self, command: _Command) -> None:
        script, *rest = command.arguments
        self._pending.append(command)
        connection = self._connection
        writer = connection._writer if connection is not None else None  # noqa: SLF001  # `send_command` would have to be awaited
        if connection is not None and writer is not None:
            _write_now(writer, b"".join(connection.pack_command("EVALSHA", self._hashes[str(script)], *rest)))

    async def _read_replies(self, connection: "AbstractConnection | None") -> str:
        """Send what waits, then match replies with commands until the connection breaks; return why it did."""
        from redis.exceptions import RedisError, ResponseError  # noqa: PLC0415  # only where the store is Redis

        if connection is None:
            return "it is not connected"
        try:
            self._is_ready = True
            while self._unsent:
                command = self._unsent.popleft()
                if command.reply is None or not command.reply.done():
                    self._send(command)
            connected = asyncio.ensure_future(self._on_connected())
            try:
                while True:
                    reply: Any
                    try:
                        reply = await connection.read_response(disable_decoding=True, timeout=math.inf)
                    except ResponseError as error:
                        reply = error
                    self._settle(self._pending.popleft(), reply)
            finally:
                connected.cancel()
        except (RedisError, OSError, asyncio.IncompleteReadError, IndexError) as error:
            return explain_failure(error)

    def _settle(self, command: _Command, reply: Any) -> None:
        is_moved = isinstance(reply, Exception) and type(reply).__name__ in {"MovedError", "AskError"}
        if command.reply is None:
            self._kept_bytes -= command.size
            if is_moved:
                script, count, *rest = command.arguments
                keys = [str(key) for key in rest[: int(count)]]
                self._on_moved(str(script), keys, rest[int(count) :])
            return
        if command.reply.done():
            return
        if is_moved:
            command.reply.set_exception(MovedError("the key has moved"))
        elif isinstance(reply, Exception):
            command.reply.set_exception(UnreachableError(f"it refuses a command: {reply}"))
        else:
            command.reply.set_result(reply)

    def _fail(self, reason: str) -> None:
        """Fail what waits for replies, and keep what is sent again."""
        self._is_ready = False
        kept = [command for command in self._pending if command.reply is None]
        for command in self._pending:
            if command.reply is not None and not command.reply.done():
                command.reply.set_exception(UnreachableError(reason))
        self._pending.clear()
        self._unsent.extendleft(reversed(kept))

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._is_ready = False
        if connection is not None:
            with suppress(Exception):
                await connection.disconnect(nowait=True)
