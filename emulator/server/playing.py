"""Playing a timeline: where an answer meets the network."""

from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from http.client import UNAUTHORIZED
from typing import Any

from emulator.engine.answering import header_text
from emulator.engine.timeline import Headers, Timeline

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Observed on sibling routes (native and rawPredict); no capture of this route is known.
_FRONT_END = (
    ("vary", "Origin"),
    ("vary", "X-Origin"),
    ("vary", "Referer"),
    ("server", "scaffolding on HTTPServer2"),
    ("cache-control", "private"),
    ("x-xss-protection", "0"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-content-type-options", "nosniff"),
    ("alt-svc", 'h3=":443"; ma=2592000,h3-29=":443"; ma=2592000'),
)
# Assumed: as on other Google APIs; that front-end refusals come from ESF is observed on sibling routes.
_UNAUTHENTICATED = (("server", "ESF"), ("www-authenticate", 'Bearer realm="https://accounts.google.com/"'))


@lru_cache(maxsize=1024)
def _encode(headers: Headers, status: int) -> tuple[tuple[bytes, bytes], ...]:
    """What is sent: the content type, the front end's headers, then those of the answer, which take the place of their namesakes."""
    given = {name.lower(): value for name, value in (*(_UNAUTHENTICATED if status == UNAUTHORIZED else ()), *headers)}
    content_type = [(name, value) for name, value in given.items() if name == "content-type"]
    front_end = [(name, value) for name, value in _FRONT_END if name not in given]
    others = [(name, value) for name, value in given.items() if name != "content-type"]
    return tuple(
        (name.encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in (*content_type, *front_end, *others)
    )


async def play(timeline: Timeline, warnings: tuple[str, ...], send: Send) -> None:
    """Send an answer; without delays in it, its body goes out in one send.

    There is no content-length: the service answers in chunks (observed on sibling routes).
    """
    headers = list(_encode(timeline.headers, timeline.status))
    if warnings:
        headers.append((b"x-emulator-warning", header_text("; ".join(warnings)).encode()))
    await send({"type": "http.response.start", "status": timeline.status, "headers": headers})
    await send({"type": "http.response.body", "body": timeline.body})
