"""Response headers: those that the service's front end adds to every answer, and their encoding."""

import re
from collections.abc import Iterable
from http import HTTPStatus

from emulator.wire.errors import JSON_TYPE
from emulator.wire.sse import EVENT_STREAM_TYPE

Headers = tuple[tuple[str, str], ...]

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


def _encode(headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
    return tuple([(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers])


_FRONT_END_NAMES = frozenset(name for name, _ in _FRONT_END)
_FRONT_END_ENCODED = _encode(_FRONT_END)
_FRONT_END_LINES = write_lines(_FRONT_END_ENCODED)


def encode_headers(headers: Headers, status: int) -> tuple[tuple[bytes, bytes], ...]:
    """Encode all headers to send: content type, the front end's, then the answer's, which replace front-end headers of the same name.

    Raises RuntimeError for a header that HTTP does not allow.
    """
    if status != _UNAUTHORIZED and headers in _COMMON:
        return _COMMON[headers]
    given = {name.lower(): value for name, value in (*(_UNAUTHENTICATED if status == _UNAUTHORIZED else ()), *headers)}
    content_type = given.pop("content-type", None)
    first = () if content_type is None else _encode((("content-type", content_type),))
    others = _encode(tuple(given.items())) if given else ()
    if given.keys() & _FRONT_END_NAMES:
        front_end = _encode(tuple(pair for pair in _FRONT_END if pair[0] not in given))
        front_end_lines = write_lines(front_end)
    else:
        front_end, front_end_lines = _FRONT_END_ENCODED, _FRONT_END_LINES
    if others and not _FRAMING_NAMES.isdisjoint([name for name, _ in others]):
        return (*first, *front_end, *others)
    return _join((*first, *front_end, *others), write_lines(first) + front_end_lines + write_lines(others))


def _join(headers: tuple[tuple[bytes, bytes], ...], lines: bytes) -> EncodedHeaders:
    encoded = EncodedHeaders(headers)
    encoded.lines, encoded.chunked = lines, lines + CHUNKED
    return encoded


_COMMON = {
    headers: _join(encoded + _FRONT_END_ENCODED, write_lines(encoded) + _FRONT_END_LINES)
    for content_type in (JSON_TYPE, EVENT_STREAM_TYPE)
    for headers in [(("content-type", content_type),)]
    for encoded in [_encode(headers)]
}
"""The headers of most answers, encoded at import."""
