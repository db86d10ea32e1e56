"""Waiting for a place among the requests that are answered at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from emulator.server.journal import Exchange
from emulator.server.quotas import Turn

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Timer(Protocol):
    """What tells how long somebody has waited."""

    def elapsed(self) -> float:
        """Seconds on a clock that never goes back."""
        ...


async def admit(handle: Callable[[Exchange | None], Exchange], clock: Timer, receive: Receive) -> Exchange:
    """The exchange of a request, which waits where a queue lets it; `handle` makes it, given the one that has waited so far.

    First come, first served. Whoever waits for too long keeps the refusal, and one who leaves is marked as gone.
    """
    exchange = handle(None)
    turn = exchange.ticket.turn
    if turn is None:
        return exchange
    end = clock.elapsed() + turn.patience
    gone = asyncio.ensure_future(_leave(receive))
    turn.account.waiting.append(turn)
    try:
        while await _comes(turn, end - clock.elapsed(), gone):
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
            exchange.ended = "client left"
    finally:
        _step_out(turn)
        gone.cancel()
    return exchange


async def _leave(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _comes(turn: Turn, seconds: float, gone: asyncio.Future[None]) -> bool:
    """Whether somebody left so that it is worth asking again, before the time is over or the client gone."""
    turn.woken = asyncio.get_running_loop().create_future()
    await asyncio.wait({turn.woken, gone}, timeout=max(seconds, 0.0), return_when=asyncio.FIRST_COMPLETED)
    return turn.woken.done() and not gone.done()


def _step_out(turn: Turn) -> None:
    turn.account.waiting.remove(turn)
    # A place that this one did not take may be for the next.
    turn.account.wake()
