"""Heads: the lines before a body, of a request as they are read, and of an answer as they are written; each once for all that are the same."""

import re
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import unquote

import httptools

_WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
_NO_NAME = re.compile(rb'[\x00-\x1f\x7f()<>@,;:\[\]={} \t\\"]')
_NO_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_END = b"\r\n\r\n"
LONGEST_HEAD = 8192
"""The longest head that is remembered, in bytes."""
MOST_HEADS = 1024
"""Heads that are remembered."""

Headers = tuple[tuple[bytes, bytes], ...]


class RequestHead(NamedTuple):
    """The head of a request as it was read."""

    scope: Mapping[str, Any]
    """What it says, by the names of ASGI."""
    stays: bool
    """Whether the connection may go on behind the answer."""
    expects: bool
    """Whether the client waits to be told to send the body."""


def read_head(method: bytes, url: bytes, version: str, headers: Headers, *, stays: bool) -> RequestHead:
    """Read what a parser has found. Raises httptools.HttpParserInvalidURLError."""
    parsed = httptools.parse_url(url)
    raw_path = parsed.path or b"/"
    path = raw_path.decode("ascii")
    scope = {
        "http_version": version,
        "method": method.decode("ascii"),
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": parsed.query or b"",
        "headers": headers,
    }
    expects = any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)
    return RequestHead(scope, stays and version != "1.0", expects)


class HeadCache:
    """Heads of requests that were read before: clients send the same ones again and again."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[RequestHead, int]] = {}

    def find(self, data: bytes) -> tuple[RequestHead, bytes] | None:
        """The head and the body of a request that is all of the data, if its head is known."""
        end = data.find(_END) + len(_END)
        known = self._known.get(data[:end])
        return (known[0], data[end:]) if known is not None and len(data) == end + known[1] else None

    def learn(self, data: bytes, head: RequestHead) -> None:
        """Remember the head of a request that is all of the data, if it says how long the body is."""
        end = data.find(_END) + len(_END)
        headers = dict(head.scope["headers"])
        length = headers.get(b"content-length")
        if head.expects or end > LONGEST_HEAD or length is None or b"transfer-encoding" in headers:
            return
        if int(length) != len(data) - end:
            return
        if len(self._known) >= MOST_HEADS:
            self._known.clear()
        self._known[data[:end]] = head, int(length)


class Head(NamedTuple):
    """The head of an answer as it is written; the server's own headers come between its two parts."""

    status: bytes
    rest: bytes
    chunked: bool | None
    """Whether the body goes out in chunks; None where nothing says how long it is."""
    length: int
    """The bytes that a body has that does not."""
    stays: bool
    """Whether the connection stays open."""


@lru_cache(maxsize=1024)
def write_head(status: int, headers: Headers, method: str, *, stays: bool) -> Head:
    """Write the head of an answer. Raises RuntimeError for a header that HTTP does not allow."""
    chunked: bool | None = None
    length, says_close = 0, False
    lines = []
    for name, value in ((name.lower(), value) for name, value in headers):
        if _NO_NAME.search(name) or _NO_VALUE.search(value):
            raise RuntimeError(f"HTTP does not allow the header {name!r}: {value!r}")
        if name == b"content-length" and chunked is None:
            chunked, length = False, int(value)
        elif name == b"transfer-encoding" and value.lower() == b"chunked":
            chunked, length = True, 0
        elif name == b"connection":
            says_close = says_close or b"close" in [token.strip().lower() for token in value.split(b",")]
        lines.append(b"%b: %b\r\n" % (name, value))
    stays = stays and not says_close
    if not stays and not says_close:
        lines.append(b"connection: close\r\n")
    if chunked is None and method != "HEAD" and status not in _WITHOUT_BODY:
        chunked = True
        lines.append(b"transfer-encoding: chunked\r\n")
    return Head(_status_line(status), b"".join((*lines, b"\r\n")), chunked, length, stays)


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode("ascii")
