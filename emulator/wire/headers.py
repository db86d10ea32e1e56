"""Headers of the service: what its front end sends with every answer, and how headers become bytes."""

from functools import lru_cache
from http import HTTPStatus

Headers = tuple[tuple[str, str], ...]


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


_UNAUTHORIZED = HTTPStatus.UNAUTHORIZED


# Assumed: as on other Google APIs; that front-end refusals come from ESF is observed on sibling routes.
_UNAUTHENTICATED = (("server", "ESF"), ("www-authenticate", 'Bearer realm="https://accounts.google.com/"'))


@lru_cache(maxsize=1024)
def encode_headers(headers: Headers, status: int) -> tuple[tuple[bytes, bytes], ...]:
    """What is sent: the content type, the front end's headers, then those of the answer, which take the place of their namesakes."""
    given = {name.lower(): value for name, value in (*(_UNAUTHENTICATED if status == _UNAUTHORIZED else ()), *headers)}
    content_type = [(name, value) for name, value in given.items() if name == "content-type"]
    front_end = [(name, value) for name, value in _FRONT_END if name not in given]
    others = [(name, value) for name, value in given.items() if name != "content-type"]
    return tuple(
        (name.encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in (*content_type, *front_end, *others)
    )
