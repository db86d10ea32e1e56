"""The ASGI application: chat completions and the other routes, the control path (Starlette), and credentials or 404 for the rest."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property, partial
from typing import Any

from emulator.engine.error_answers import refuse
from emulator.engine.timeline.timeline import Timeline, plain_timeline, refusal_timeline
from emulator.http.request_cycle import CONNECTION_KEY
from emulator.http.sending import Receive, Send, play_at_once
from emulator.server.clock import Clock
from emulator.server.playing import Line, play, wait_for_leaving
from emulator.server.service import Service
from emulator.server.settings import CONTROL_PATH
from emulator.store.exchange import Exchange
from emulator.store.store import Store, release
from emulator.wire.errors import HTML_TYPE
from emulator.wire.urls import parse_target, parse_unary


async def wait_for_place(
    exchange: Exchange, respond: Callable[[Exchange], Awaitable[Exchange]], store: Store, clock: Clock, receive: Receive
) -> Exchange:
    """What becomes of a request that stands in a queue; `respond` makes the exchange anew from the one that has waited so far.

    First come, first served. Whoever waits for too long keeps the refusal, and one who leaves is marked as gone.
    """
    number, end = exchange.number, clock.elapsed() + (exchange.quota_ticket.queue_timeout or 0.0)
    gone = asyncio.ensure_future(wait_for_leaving(receive))
    try:
        while exchange.quota_ticket.queue_timeout is not None and await _comes(store.turn(number), clock, end, gone):
            exchange.quota_ticket.queue_timeout = None
            exchange = await respond(exchange)
        if exchange.quota_ticket.queue_timeout is not None:
            store.leave(number, 0, clock.elapsed())
        if gone.done():
            exchange.played.ended = "client left"
    except BaseException:
        store.leave(number, 0, clock.elapsed())
        raise
    finally:
        gone.cancel()
    return exchange


async def _comes(turn: "asyncio.Future[None]", clock: Clock, end: float, gone: "asyncio.Future[None]") -> bool:
    """Whether somebody left so that it is worth asking again, before the time is over or the client gone."""
    over = asyncio.get_running_loop().create_future()
    alarm = clock.alarm(end, partial(release, over))
    try:
        await asyncio.wait({turn, over, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        alarm.cancel()
    return turn.done() and not gone.done()


Scope = MutableMapping[str, Any]

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class App:
    """The emulator as an ASGI application."""

    def __init__(self, service: Service, otherwise: ASGIApp | None = None) -> None:
        self._service = service
        self._otherwise = otherwise or answer_not_found
        """What answers where nothing of Vertex's is routed."""

    @cached_property
    def _control(self) -> ASGIApp:
        from emulator.server.control import build_control  # noqa: PLC0415  # Starlette takes long to import

        return build_control(self._service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request. The host plays no part, nor does the query, but for API keys in it."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PATH):
            # Starlette asks which task is running; what answers at once has none.
            await asyncio.ensure_future(self._control(scope, receive, send))
            return
        verb, path = scope["method"], scope["path"]
        target = parse_target(path) if verb == "POST" else parse_unary(verb, path)
        if target is None:
            await self._otherwise(scope, receive, send)
            return
        service = self._service
        clock, most = service.clock, service.settings.body_bytes
        body = await read_body(receive, most)
        if body is None:
            return
        if len(body) > most:
            await play_at_once(too_large(), (), send)
            return
        started = clock.elapsed()
        query, headers = scope["query_string"], scope["headers"]
        exchange = await service.respond(target, query, headers, body)
        if exchange.quota_ticket.queue_timeout is not None:
            respond = partial(service.respond, target, query, headers, body)
            exchange = await wait_for_place(exchange, respond, service.store, clock, receive)
        timeline, played = exchange.outcome.timeline, exchange.played
        try:
            if played.ended != "complete":
                # The client has left while it stood in the queue.
                pass
            elif timeline.is_instant:
                await play_at_once(timeline, exchange.warnings, send, played)
            else:
                line = Line(send, receive, clock, scope.get("extensions", {}).get(CONNECTION_KEY))
                await play(timeline, exchange.warnings, line, started, played)
        except BaseException as error:
            played.ended = "client left"
            if not isinstance(error, OSError):
                raise
        finally:
            exchange.duration = clock.elapsed() - started
            service.finish(exchange)


async def read_body(receive: Receive, most: int) -> bytes | None:
    """The request's body, None if the client left; reading stops once it is larger than allowed."""
    message = await receive()
    if message["type"] == "http.disconnect":
        return None
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    parts, size = [body], len(body)
    while size <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body", False):
            break
    return b"".join(parts)


async def answer_not_found(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer with Google's page. Observed: a path or method that nothing routes gets it."""
    await play_at_once(not_found(scope["path"]), (), send)


def not_found(path: str) -> Timeline:
    """Google's page for a path or method that nothing routes (observed)."""
    from html import escape  # noqa: PLC0415  # the server starts quicker so

    return refusal_timeline(refuse("html_not_found", {"PATH": escape(path, quote=False)}))


def too_large() -> Timeline:
    """Assumed: what Google's front end answers to a body it will not read."""
    page = "<!DOCTYPE html>\n<html lang=en>\n  <title>Error 413 (Request Entity Too Large)!!1</title>\n"
    return plain_timeline(413, HTML_TYPE, page.encode())
