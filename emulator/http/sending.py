"""ASGI's callables, and sending a whole answer through them."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from emulator.engine.timeline.timeline import Timeline
from emulator.store.exchange import Played
from emulator.wire.headers import encode_headers, header_text

Scope = MutableMapping[str, Any]


Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


async def play_at_once(timeline: Timeline, warnings: tuple[str, ...], send: Send, played: Played | None = None) -> None:
    """Send an answer whatever its times, its body in one send."""
    body = timeline.body
    await send(response_start(timeline, warnings))
    await send({"type": "http.response.body", "body": body})
    if played is not None:
        played.sent = len(body)


def response_start(timeline: Timeline, warnings: tuple[str, ...]) -> MutableMapping[str, Any]:
    """The message that begins an answer, with its headers."""
    headers = encode_headers(timeline.headers, timeline.status)
    if warnings:
        headers = (*headers, (b"x-emulator-warning", header_text("; ".join(warnings)).encode()))
    return {"type": "http.response.start", "status": timeline.status, "headers": headers}
