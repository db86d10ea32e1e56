"""ASGI's callables, and sending a whole answer through them."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from emulator.engine.timeline.timeline import Timeline
from emulator.store.exchange import Played
from emulator.wire.headers import ExtraHeader, encode_headers, header_text

Scope = MutableMapping[str, Any]


Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


async def play_at_once(
    timeline: Timeline,
    warnings: tuple[str, ...],
    send: Send,
    played: Played | None = None,
    extra: ExtraHeader | None = None,
) -> None:
    """Send an answer whatever its times, its body in one send; `extra` is one more header."""
    body = timeline.body
    await send(response_start(timeline, warnings, extra))
    await send({"type": "http.response.body", "body": body})
    if played is not None:
        played.sent = len(body)


def response_start(
    timeline: Timeline, warnings: tuple[str, ...], extra: ExtraHeader | None = None
) -> MutableMapping[str, Any]:
    """The message that begins an answer, with its headers; `extra` is one more."""
    headers = encode_headers(timeline.headers, timeline.status, extra)
    if warnings:
        headers = (*headers, (b"x-emulator-warning", header_text("; ".join(warnings)).encode()))
    return {"type": "http.response.start", "status": timeline.status, "headers": headers}
