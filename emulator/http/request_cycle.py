"""One request and its answer on a connection, as an ASGI application sees them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from emulator.engine.answer import emulator_failure
from emulator.http.heads import RequestHead, write_head
from emulator.http.sending import play_at_once
from emulator.http.write_buffer import WriteBuffer

CONNECTION_KEY = "emulator.connection"
"""The key among the scope's extensions of what lies below HTTP."""


Message = MutableMapping[str, Any]
Application = Callable[..., Awaitable[None]]

_NOTHING = b"0\r\n\r\n"
_LAST = b"\r\n" + _NOTHING
"""What ends a chunk, and the body with it."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_log = logging.getLogger("uvicorn.error")


class RequestCycle:
    """A request and its answer."""

    __slots__ = (
        "_chunked",
        "_has_begun",
        "_has_news",
        "_length",
        "_own_lines",
        "_waiter",
        "_way",
        "body",
        "expects",
        "is_complete",
        "is_gone",
        "is_whole",
        "scope",
        "stays",
    )

    def __init__(self, way: WriteBuffer, scope: Message, head: RequestHead, own_lines: bytes) -> None:
        """`own_lines` are the server's own headers as they are written into every head."""
        self._way = way
        self._own_lines = own_lines
        self.scope = scope
        self.stays = head.stays
        """Whether the connection may go on behind it."""
        self.expects = head.expects
        """Whether the client still waits to be told to send the body."""
        self.body = b""
        """What has come of the request's body and was not asked for yet."""
        self.is_whole = False
        """Whether nothing more of it will come."""
        self.is_gone = False
        """Whether the client has left."""
        self.is_complete = False
        """Whether the answer has been sent."""
        self._has_begun = False
        self._chunked: bool | None = None
        self._length = 0
        self._has_news = False
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, body: bytes) -> None:
        """Take some of the request's body."""
        self.body = self.body + body if self.body else body
        self.notify()

    def notify(self) -> None:
        """Let the application see what has come, or that nothing will."""
        self._has_news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def run(self, app: Application) -> None:
        """Have the application answer; a mistake of its own is confessed, or ends the connection where the answer has begun."""
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException as error:  # noqa: BLE001  # nobody above could say so
            await self._give_up("Exception in ASGI application\n", error)
        else:
            if not self.is_complete and not self.is_gone:
                await self._give_up("ASGI callable returned without completing response.")

    async def _give_up(self, said: str, error: BaseException | None = None) -> None:
        _log.error(said, exc_info=error)
        if self._has_begun:
            self._way.close()
            return
        self.stays = False
        report = "a mistake of the emulator's own, not of this request; what it has logged says more, please report it"
        await play_at_once(emulator_failure(report, "emulator_mistake"), (), self.send)

    async def receive(self) -> Message:
        """The next part of the request, or that the client has left or needs no more."""
        way = self._way
        if self.expects and not way.is_closing():
            way.write(_CONTINUE)
            self.expects = False
        if not self.is_gone and not self.is_complete:
            way.resume_reading()
            while not self._has_news:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
            self._has_news = False
        if self.is_gone or self.is_complete:
            return {"type": "http.disconnect"}
        body, self.body = self.body, b""
        return {"type": "http.request", "body": body, "more_body": not self.is_whole}

    async def send(self, message: Message) -> None:
        """Send the head of the answer, or some of its body. Raises RuntimeError for what HTTP does not allow."""
        if self._way.is_full and not self.is_gone:
            await self._way.drain()
        if self.is_gone:
            return
        if not self._has_begun:
            self._begin(message)
        elif not self.is_complete:
            self._continue(message)
        else:
            raise RuntimeError(f"the answer is complete, but {message['type']} came")

    def _begin(self, message: Message) -> None:
        if message["type"] != "http.response.start":
            raise RuntimeError(f"an answer begins with http.response.start, not {message['type']}")
        self._has_begun = True
        self.expects = False
        headers = tuple(message.get("headers", ()))
        head = write_head(message["status"], headers, self.scope["method"], stays=self.stays)
        self._chunked, self._length, self.stays = head.chunked, head.length, head.stays
        self._way.write(head.status, self._own_lines, head.rest)

    def _continue(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            raise RuntimeError(f"the body of an answer is http.response.body, not {message['type']}")
        body, is_last = message.get("body", b""), not message.get("more_body", False)
        if self.scope["method"] == "HEAD":
            self._length = 0
        elif self._chunked:
            if body:
                self._way.write(b"%x\r\n" % len(body), body, _LAST if is_last else b"\r\n")
            elif is_last:
                self._way.write(_NOTHING)
        elif len(body) > self._length:
            raise RuntimeError("the body is longer than its content-length")
        else:
            self._length -= len(body)
            self._way.write(body)
        if is_last:
            self._end()

    def _end(self) -> None:
        if self._length:
            raise RuntimeError("the body is shorter than its content-length")
        self.is_complete = True
        self.notify()
        if not self.stays:
            self._way.close()
