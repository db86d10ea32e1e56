"""Waiting for a place among the requests that are answered at the same time."""

import asyncio
from collections.abc import Callable
from functools import partial

from emulator.server.clock import Clock, release
from emulator.server.exchanges import Exchange
from emulator.server.playing import Receive, wait_for_leaving
from emulator.server.quotas import Turn


async def admit(handle: Callable[[Exchange | None], Exchange], clock: Clock, receive: Receive) -> Exchange:
    """The exchange of a request, which waits where a queue lets it; `handle` makes it, given the one that has waited so far.

    First come, first served. Whoever waits for too long keeps the refusal, and one who leaves is marked as gone.
    """
    exchange = handle(None)
    turn = exchange.ticket.turn
    if turn is None:
        return exchange
    end = clock.elapsed() + turn.patience
    gone = asyncio.ensure_future(wait_for_leaving(receive))
    turn.account.waiting.append(turn)
    try:
        while await _comes(turn, clock, end, gone):
            exchange.ticket.turn, exchange.ticket.waited = None, turn
            exchange = handle(exchange)
            wanted = exchange.ticket.turn
            if wanted is None:
                break
            if wanted is not turn:
                # Another quota is full now, or the session was reset meanwhile.
                _step_out(turn)
                turn = wanted
                turn.account.waiting.append(turn)
        if gone.done():
            exchange.played.ended = "client left"
    finally:
        _step_out(turn)
        gone.cancel()
    return exchange


async def _comes(turn: Turn, clock: Clock, end: float, gone: asyncio.Future[None]) -> bool:
    """Whether somebody left so that it is worth asking again, before the time is over or the client gone."""
    loop = asyncio.get_running_loop()
    turn.woken, over = loop.create_future(), loop.create_future()
    alarm = clock.alarm(end, partial(release, over))
    try:
        await asyncio.wait({turn.woken, over, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        alarm.cancel()
    return turn.woken.done() and not gone.done()


def _step_out(turn: Turn) -> None:
    turn.account.waiting.remove(turn)
    # A place that this one did not take may be for the next.
    turn.account.wake()
