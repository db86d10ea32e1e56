"""The ASGI application: routes requests to the service, the control path (Starlette), or another application, else the 404 page."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property, partial
from typing import Any

from emulator.engine.timeline.timeline import Timeline, plain_timeline
from emulator.http.request_cycle import CONNECTION_KEY
from emulator.http.sending import Receive, Scope, Send, play_at_once
from emulator.server.clock import Clock
from emulator.server.playing import ResponseChannel, play, wait_for_disconnect
from emulator.server.service import Service
from emulator.server.settings import CONTROL_PATH
from emulator.server.unrouted import answer_unrouted
from emulator.store.exchange import Exchange
from emulator.store.interface import Store
from emulator.wire.errors import HTML_TYPE
from emulator.wire.urls import parse_target, parse_unary, parse_unrouted

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


async def wait_in_queue(
    exchange: Exchange, respond: Callable[[Exchange], Awaitable[Exchange]], store: Store, clock: Clock, receive: Receive
) -> Exchange:
    """Retry a request that a quota has queued, until it is admitted, its queue timeout is over or the client disconnects.

    `respond` processes the request again, given the exchange of the previous attempt. Queued requests are admitted in order of
    arrival; after the timeout the quota's refusal is the answer.
    """
    number, end = exchange.number, clock.elapsed() + (exchange.quota_ticket.queue_timeout or 0.0)
    disconnected = asyncio.ensure_future(wait_for_disconnect(receive))
    try:
        while exchange.quota_ticket.queue_timeout is not None and await _may_retry(
            store.turn(number), clock, end, disconnected
        ):
            exchange.quota_ticket.queue_timeout = None
            exchange = await respond(exchange)
        if exchange.quota_ticket.queue_timeout is not None:
            store.leave(number, 0, clock.elapsed())
        if disconnected.done():
            exchange.played.ended = "client left"
    except BaseException:
        store.leave(number, 0, clock.elapsed())
        raise
    finally:
        disconnected.cancel()
    return exchange


async def _may_retry(
    turn: "asyncio.Future[None]", clock: Clock, end: float, disconnected: "asyncio.Future[None]"
) -> bool:
    """Wait for the turn of a queued request; return False if the timeout or the client's disconnect comes first."""
    timeout: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_at(end, timeout.cancel)
    try:
        await asyncio.wait({turn, timeout, disconnected}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
    return turn.done() and not disconnected.done()


_SHORT_TIME = 0.05
"""Seconds that making an answer takes at most if nobody else had a turn meanwhile; in a longer time the client may have left."""


async def _has_left(receive: Receive) -> bool:
    """Whether the client has disconnected."""
    disconnected = asyncio.ensure_future(wait_for_disconnect(receive))
    await asyncio.sleep(0)
    disconnected.cancel()
    return disconnected.done()


class App:
    """The emulator as an ASGI application."""

    def __init__(self, service: Service, otherwise: ASGIApp | None = None, control: ASGIApp | None = None) -> None:
        """`otherwise` answers paths that are neither Vertex's nor the control path's; by default the 404 page.

        `control` answers the control path; by default without the inspector's page.
        """
        self._service = service
        self._otherwise = otherwise or self._answer_unrouted
        self._own_control = control

    @cached_property
    def _control(self) -> ASGIApp:
        if self._own_control is not None:
            return self._own_control
        from emulator.server.control import build_control  # noqa: PLC0415  # Starlette is slow to import

        return build_control(self._service)

    async def _answer_unrouted(self, scope: Scope, _receive: Receive, send: Send) -> None:
        await answer_unrouted(self._service, scope, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Host and query do not affect routing; the query is only searched for API keys."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PATH):
            # Starlette needs a current task, and the connection may call this outside of one.
            await asyncio.ensure_future(self._control(scope, receive, send))
            return
        verb, path = scope["method"], scope["path"]
        target = parse_target(path) if verb == "POST" else parse_unary(verb, path)
        service = self._service
        clock, limit = service.clock, service.settings.body_bytes
        is_routed = target is not None
        if target is None:
            target = parse_unrouted(path, service.default_session)
            if target.project not in service.forwards and not service.rules_of(target.project).recordings:
                await self._otherwise(scope, receive, send)
                return
        body = await read_body(receive, limit)
        if body is None:
            return
        if len(body) > limit:
            await play_at_once(too_large(), (), send)
            return
        started = clock.elapsed()
        query, headers = scope["query_string"], scope["headers"]
        if service.forwards and (forward := service.find_forward(verb, target, query, headers, body)) is not None:
            await forward(scope, receive, send, body)
            return
        if not is_routed and not service.has_recorded(verb, target, query, headers, body):
            await self._otherwise(scope, _receive_again(body, receive), send)
            return
        _, port = scope.get("client") or ("", 0)
        exchange = await service.respond(target, query, headers, body, connection=port, verb=verb)
        if exchange.quota_ticket.queue_timeout is not None:
            respond = partial(service.respond, target, query, headers, body, connection=port, verb=verb)
            exchange = await wait_in_queue(exchange, respond, service.store, clock, receive)
        elif clock.elapsed() - started > _SHORT_TIME and await _has_left(receive):
            exchange.played.ended = "client left"
        timeline, played, chosen = exchange.outcome.timeline, exchange.played, exchange.outcome.chosen
        try:
            rule_header = None if chosen is None else chosen.rule.header
            if played.ended != "complete":
                # The client disconnected while the request was queued, or worked on in a thread.
                pass
            elif timeline.is_instant:
                await play_at_once(timeline, exchange.warnings, send, played, rule_header)
            else:
                channel = ResponseChannel(send, receive, clock, scope.get("extensions", {}).get(CONNECTION_KEY))
                service.open_streams[exchange.number] = exchange
                await play(timeline, exchange.warnings, channel, started, played, extra=rule_header)
        except BaseException as error:
            # A cancelled answer is one whose client has gone; others cannot be written, and are answered with a 418.
            played.ended = (
                "failed" if isinstance(error, Exception) and not isinstance(error, OSError) else "client left"
            )
            if not isinstance(error, OSError):
                raise
        finally:
            exchange.duration = clock.elapsed() - started
            try:
                service.finish(exchange)
            finally:
                # Only now, so that there is no moment at which it is neither open nor in the journal.
                service.open_streams.pop(exchange.number, None)


def _receive_again(body: bytes, receive: Receive) -> Receive:
    """ASGI's `receive` for another application, of a request whose body has been read."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> MutableMapping[str, Any]:
        return messages.pop() if messages else await receive()

    return receive_again


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """Read the request's body, None if the client disconnected; stop reading once it has more than `limit` bytes."""
    message = await receive()
    if message["type"] == "http.disconnect":
        return None
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    parts, size = [body], len(body)
    while size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body", False):
            break
    return b"".join(parts)


def too_large() -> Timeline:
    """The 413 page for a body over the limit (assumed: the answer of Google's front end)."""
    page = "<!DOCTYPE html>\n<html lang=en>\n  <title>Error 413 (Request Entity Too Large)!!1</title>\n"
    return plain_timeline(413, HTML_TYPE, page.encode())
