"""Waiting for a place among the requests that are answered at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from emulator.server.clock import Clock, release
from emulator.server.exchanges import Exchange
from emulator.server.playing import Receive, wait_for_leaving
from emulator.server.store import Store


async def wait_for_place(
    exchange: Exchange, respond: Callable[[Exchange], Awaitable[Exchange]], store: Store, clock: Clock, receive: Receive
) -> Exchange:
    """What becomes of a request that stands in a queue; `respond` makes the exchange anew from the one that has waited so far.

    First come, first served. Whoever waits for too long keeps the refusal, and one who leaves is marked as gone.
    """
    number, end = exchange.number, clock.elapsed() + (exchange.ticket.patience or 0.0)
    gone = asyncio.ensure_future(wait_for_leaving(receive))
    try:
        while exchange.ticket.patience is not None and await _comes(store.turn(number), clock, end, gone):
            exchange.ticket.patience = None
            exchange = await respond(exchange)
        if exchange.ticket.patience is not None:
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
