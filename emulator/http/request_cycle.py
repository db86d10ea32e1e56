"""The request cycle: one request and its answer on a connection, as an ASGI application sees them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from emulator.engine.answer import emulator_failure
from emulator.http.heads import RequestHead, write_head
from emulator.http.sending import play_at_once
from emulator.http.write_buffer import LARGE_BYTES, WriteBuffer

CONNECTION_KEY = "emulator.connection"
"""The key, among the extensions of an ASGI scope, of what lies below HTTP."""

Message = MutableMapping[str, Any]
Application = Callable[..., Awaitable[None]]

_LAST_CHUNK = b"0\r\n\r\n"
_END_OF_BODY = b"\r\n" + _LAST_CHUNK
"""What ends a chunk, and the body with it."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_log = logging.getLogger("uvicorn.error")


class RequestCycle:
    """A request and its answer."""

    unread_bytes = 0
    """Bytes of the request's body that were received and not yet asked for."""
    is_received = False
    """Whether the request is there to its end."""
    is_disconnected = False
    """Whether the client has left."""
    is_complete = False
    """Whether the answer has been sent to its end."""
    _is_started = False
    _is_chunked = False
    _content_length: int | None = 0
    _has_news = False
    _waiter: asyncio.Future[None] | None = None

    def __init__(self, buffer: WriteBuffer, scope: Message, head: RequestHead, server_headers: bytes) -> None:
        """`server_headers` are the server's own headers as lines, which are written into every head."""
        self._buffer = buffer
        self._unread: list[bytes] = []
        self._server_headers = server_headers
        self.scope = scope
        self.keep_alive = head.keep_alive
        """Whether the connection may go on behind it."""
        self.expects_continue = head.expects_continue
        """Whether the client still waits for `100 Continue`."""

    def feed(self, body: bytes) -> None:
        """Take some of the request's body."""
        self._unread.append(body)
        self.unread_bytes += len(body)
        self.notify()

    def disconnect(self) -> None:
        """Note that the client has left, or that its request cannot be received; nothing more is sent to it."""
        self.is_disconnected = True
        self.notify()

    def notify(self) -> None:
        """Let a waiting application see what was received, or that nothing will be."""
        self._has_news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def run(self, app: Application) -> None:
        """Run the application. An unexpected exception becomes a 418 `emulator_mistake`, or ends the connection if the answer has begun."""
        try:
            await app(self.scope, self.receive, self.send)
        except SystemExit:
            # The server was told to stop and could not while this was worked on.
            self._buffer.close()
        except BaseException as error:  # noqa: BLE001  # nobody above could say so
            if self.is_disconnected:
                # What could not be received, or not be sent, is no mistake.
                return
            await self._fail("Exception in ASGI application\n", error)
        else:
            if not self.is_complete and not self.is_disconnected:
                await self._fail("ASGI callable returned without completing response.")

    async def _fail(self, message: str, error: BaseException | None = None) -> None:
        _log.error(message, exc_info=error)
        if self._is_started:
            self._buffer.close()
            return
        self.keep_alive = False
        report = "a mistake of the emulator's own, not of this request; what it has logged says more, please report it"
        await play_at_once(emulator_failure(report, "emulator_mistake"), (), self.send)

    async def receive(self) -> Message:
        """The next part of the request, or `http.disconnect` once the client has left or needs no more."""
        buffer = self._buffer
        if self.expects_continue and not buffer.is_closing():
            buffer.write(_CONTINUE)
            self.expects_continue = False
        if not self.is_disconnected and not self.is_complete:
            if not self.is_received:
                buffer.resume_reading()
            while not self._has_news:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
            self._has_news = False
        if self.is_disconnected or self.is_complete:
            return {"type": "http.disconnect"}
        unread = self._unread
        body = unread.pop() if len(unread) == 1 else b"".join(unread)
        unread.clear()
        self.unread_bytes = 0
        return {"type": "http.request", "body": body, "more_body": not self.is_received}

    async def send(self, message: Message) -> None:
        """Send the head of the answer, or some of its body. Raises RuntimeError for what HTTP does not allow."""
        if self._buffer.is_full and not self.is_disconnected:
            await self._buffer.drain()
        if self.is_disconnected:
            return
        if not self._is_started:
            self._start(message)
        elif not self.is_complete:
            self._continue(message)
        else:
            raise RuntimeError(f"the answer is complete, but {message['type']} came")

    def _start(self, message: Message) -> None:
        if message["type"] != "http.response.start":
            raise RuntimeError(f"an answer begins with http.response.start, not {message['type']}")
        scope = self.scope
        status_line, lines, self._is_chunked, self._content_length, self.keep_alive = write_head(
            message["status"],
            message.get("headers", ()),
            scope["method"],
            version=scope["http_version"],
            keep_alive=self.keep_alive,
        )
        # Not before the head is there: until then a failure can be answered.
        self._is_started = True
        self.expects_continue = False
        self._buffer.write(status_line, self._server_headers, lines)

    def _continue(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            raise RuntimeError(f"the body of an answer is http.response.body, not {message['type']}")
        body, is_last = message.get("body", b""), not message.get("more_body", False)
        if self.scope["method"] == "HEAD":
            self._content_length = 0
        elif self._is_chunked:
            if body:
                self._buffer.write(b"%x\r\n" % len(body), body, _END_OF_BODY if is_last else b"\r\n")
            elif is_last:
                self._buffer.write(_LAST_CHUNK)
        elif self._content_length is None:
            self._buffer.write(body)
        elif len(body) > self._content_length:
            raise RuntimeError("the body is longer than its content-length")
        else:
            self._content_length -= len(body)
            self._buffer.write(body)
        if len(body) > LARGE_BYTES:
            self._buffer.has_large = True
        if is_last:
            if self._content_length:
                raise RuntimeError("the body is shorter than its content-length")
            self.is_complete = True
            self.notify()
            if not self.keep_alive:
                self._buffer.close()
