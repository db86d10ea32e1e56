"""Response headers: those that the service's front end adds to every answer, and their encoding."""

import re
from collections.abc import Iterable
from http import HTTPStatus

from emulator.wire.errors import JSON_TYPE
from emulator.wire.sse import EVENT_STREAM_TYPE

Headers = tuple[tuple[str, str | None], ...]
"""Names and values in order, names repeated for several lines; None for a header that is not sent."""

_UNAUTHORIZED = HTTPStatus.UNAUTHORIZED
# Observed on sibling routes (native and rawPredict); no capture of this route is known.
_FRONT_END: Headers = (
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
MAAS_JSON_TYPE = "application/json"
MAAS_HEADERS: Headers = (
    ("vary", "X-Origin"),
    ("vary", "Referer"),
    ("vary", "Origin,Accept-Encoding"),
    ("cache-control", None),
    ("accept-ranges", "none"),
    ("alt-svc", None),
)
"""What the front end sends otherwise with open models: observed on a plain answer of Gemma 4 (2026-08-24).

Assumed: so it is on answers of other open models, and on streams.
"""
# Assumed: as on other Google APIs; that front-end refusals come from ESF is observed on sibling routes.
_UNAUTHENTICATED: Headers = (("server", "ESF"), ("www-authenticate", 'Bearer realm="https://accounts.google.com/"'))

MAX_HEADER_VALUE = 4 * 1024
"""Bytes of a header's value that the emulator or a scenario's template makes."""
_NOT_IN_NAMES = re.compile(rb'[\x00-\x1f\x7f()<>@,;:\[\]={} \t\\"]')
_NOT_IN_VALUES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
"""The end of a head whose body is chunked."""
_FRAMING_NAMES = frozenset({b"connection", b"content-length", b"transfer-encoding"})


def header_text(text: str) -> str:
    """Convert a text to a header value: one line of printable ASCII, cut at `MAX_HEADER_VALUE`."""
    # Each character is a byte, and what is cut off need not be read.
    line = " ".join(text[: MAX_HEADER_VALUE + 1].split()).encode("ascii", "replace").decode()
    line = "".join(char if char.isprintable() else "?" for char in line) if not line.isprintable() else line
    return line if len(text) <= MAX_HEADER_VALUE else f"{line[: MAX_HEADER_VALUE - 3]}..."


def find_value_problem(value: str) -> str:
    """Why a text cannot be a header's value: an end of the sentence "it ...", empty if it can."""
    if found := _NOT_IN_VALUES.search(value.encode("latin-1", "replace")):
        kind = {b"\r": "a line break", b"\n": "a line break", b"\0": "a NUL"}.get(found[0], "a control character")
        return f"has {kind}"
    if len(value) > MAX_HEADER_VALUE:
        return f"is longer than {MAX_HEADER_VALUE:,} characters"
    return ""


def write_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Encode headers as lines of a response head. Raises RuntimeError for a header that HTTP does not allow."""
    lines = []
    for name, value in headers:
        if _NOT_IN_NAMES.search(name) or _NOT_IN_VALUES.search(value):
            raise RuntimeError(f"HTTP does not allow the header {name!r}: {value!r}")
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines)


class EncodedHeaders(tuple[tuple[bytes, bytes], ...]):  # noqa: SLOT001  # a tuple has no room for slots
    """ASGI headers together with their encoded lines; none of them sets the body's framing."""

    lines: bytes
    """The encoded header lines."""
    chunked: bytes
    """The same lines and the end of a head with a chunked body on a kept-alive connection."""


def replace_headers(headers: Headers, others: Headers) -> Headers:
    """Headers with those that `others` name replaced in place by all lines of that name, and the rest of `others` behind them.

    The names of `others` may have any case; one with None removes a header.
    """
    if not others:
        return headers
    given: dict[str, list[tuple[str, str | None]]] = {}
    for name, value in others:
        given.setdefault(name.lower(), []).append((name, value))
    found: list[tuple[str, str | None]] = []
    for name, value in headers:
        key = name.lower()
        if key not in given:
            found.append((name, value))
        elif replacing := given[key]:
            found += replacing
            # Further lines of the name are replaced too.
            given[key] = []
    return (*found, *(pair for pairs in given.values() for pair in pairs))


def encode_headers(
    headers: Headers, status: int, extra: "ExtraHeader | None" = None
) -> tuple[tuple[bytes, bytes], ...]:
    """Encode all headers to send: content type, the front end's, then the answer's, which replace front-end headers of the same name.

    `extra` comes last.

    Raises RuntimeError for a header that HTTP does not allow.
    """
    if status == _UNAUTHORIZED:
        headers = replace_headers(_UNAUTHENTICATED, headers)
    elif headers in _COMMON:
        return _COMMON[headers] if extra is None else extra.common[headers]
    if extra is not None:
        headers = replace_headers(headers, (extra.pair,))
    first = tuple(pair for pair in headers if pair[0].lower() == "content-type")
    others = tuple(pair for pair in headers if pair[0].lower() != "content-type")
    encoded = _encode((*first, *replace_headers(_FRONT_END, others)))
    if not _FRAMING_NAMES.isdisjoint([name for name, _ in encoded]):
        return encoded
    return _join(encoded)


def _encode(headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(
        [
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in headers
            if value is not None
        ]
    )


def _join(headers: tuple[tuple[bytes, bytes], ...]) -> EncodedHeaders:
    encoded = EncodedHeaders(headers)
    encoded.lines = write_lines(headers)
    encoded.chunked = encoded.lines + CHUNKED
    return encoded


_COMMON: dict[Headers, EncodedHeaders] = {}
"""The headers of most answers, encoded at import."""
for _content_type, _own in (
    (JSON_TYPE, ()),
    (EVENT_STREAM_TYPE, ()),
    (MAAS_JSON_TYPE, MAAS_HEADERS),
    (EVENT_STREAM_TYPE, MAAS_HEADERS),
):
    _common = (("content-type", _content_type), *_own)
    _COMMON[_common] = _join(_encode((_common[0], *replace_headers(_FRONT_END, _own))))


class ExtraHeader:
    """A header of the emulator's own that many answers have, encoded once together with the headers of most answers."""

    def __init__(self, name: str, value: str) -> None:
        self.pair = (name, header_text(value))
        encoded = _encode((self.pair,))
        self.common = {headers: _join((*common, *encoded)) for headers, common in _COMMON.items()}
