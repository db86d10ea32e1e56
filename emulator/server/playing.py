"""Playing a timeline: where an answer meets the network."""

from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any

from emulator.engine.answering import header_text
from emulator.engine.timeline import Headers, Timeline

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Observed on sibling routes (native and rawPredict); no capture of this route is known.
_FRONT_END = (
    ("vary", "Origin, X-Origin, Referer"),
    ("server", "scaffolding on HTTPServer2"),
    ("cache-control", "private"),
    ("x-xss-protection", "0"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-content-type-options", "nosniff"),
)


@lru_cache(maxsize=1024)
def _encode(headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
    given = {name.lower(): value for name, value in headers}
    merged = {**dict(_FRONT_END), **given}
    return tuple((name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in merged.items())


async def play(timeline: Timeline, warnings: tuple[str, ...], send: Send) -> None:
    """Send an answer; without delays in it, its body goes out in one send.

    There is no content-length: the service answers in chunks (observed on sibling routes).
    """
    headers = list(_encode(timeline.headers))
    if warnings:
        headers.append((b"x-emulator-warning", header_text("; ".join(warnings)).encode()))
    await send({"type": "http.response.start", "status": timeline.status, "headers": headers})
    await send({"type": "http.response.body", "body": timeline.body})
