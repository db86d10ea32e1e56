"""Heads: the lines before a body, of a request as they are parsed and of an answer as they are written."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import unquote

import httptools

from emulator.wire.headers import CHUNKED, EncodedHeaders, write_lines

_WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
_CLOSE = b"connection: close\r\n"
_STATUS_LINES = {int(status): f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}

RequestHeaders = tuple[tuple[bytes, bytes], ...]


class RequestHead(NamedTuple):
    """The head of a request as it was parsed."""

    scope: dict[str, Any]
    """What it says, under the keys of an ASGI scope."""
    keep_alive: bool
    """Whether the connection may go on behind the answer."""
    expects_continue: bool
    """Whether the client waits for `100 Continue` before it sends the body."""


def read_head(method: bytes, url: bytes, version: str, headers: RequestHeaders, *, keep_alive: bool) -> RequestHead:
    """Read what a parser has found. Raises httptools.HttpParserInvalidURLError."""
    if url[:1] == b"/" and b"#" not in url:
        raw_path, _, query = url.partition(b"?")
    else:
        parsed = httptools.parse_url(url)
        raw_path, query = parsed.path or b"/", parsed.query or b""
    path = raw_path.decode("ascii")
    scope = {
        "http_version": version,
        "method": method.decode("ascii"),
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": query,
        "headers": headers,
    }
    expects = dict(headers).get(b"expect", b"").lower() == b"100-continue"
    return RequestHead(scope, keep_alive and version != "1.0", expects)


class ResponseHead(NamedTuple):
    """The head of an answer as it is written; the server's own headers come between its two parts."""

    status_line: bytes
    lines: bytes
    is_chunked: bool | None
    """Whether the body goes out in chunks; None where nothing says how long it is."""
    content_length: int
    """Bytes of a body that does not go out in chunks."""
    keep_alive: bool
    """Whether the connection stays open."""


def write_head(status: int, headers: Iterable[tuple[bytes, bytes]], method: str, *, keep_alive: bool) -> ResponseHead:
    """Write the head of an answer. Raises RuntimeError for a header that HTTP does not allow."""
    status_line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    has_body = method != "HEAD" and status not in _WITHOUT_BODY
    if isinstance(headers, EncodedHeaders):
        if keep_alive and has_body:
            return ResponseHead(status_line, headers.chunked, is_chunked=True, content_length=0, keep_alive=True)
        pairs: RequestHeaders = ()
        lines = headers.lines
    else:
        pairs = tuple([(name.lower(), value) for name, value in headers])
        lines = write_lines(pairs)
    is_chunked: bool | None = None
    content_length, says_close = 0, False
    for name, value in pairs:
        if name == b"content-length" and is_chunked is None:
            is_chunked, content_length = False, int(value)
        elif name == b"transfer-encoding" and value.lower() == b"chunked":
            is_chunked, content_length = True, 0
        elif name == b"connection":
            says_close = says_close or b"close" in [token.strip().lower() for token in value.split(b",")]
    if not keep_alive and not says_close:
        lines += _CLOSE
    if is_chunked is None and has_body:
        is_chunked, end = True, CHUNKED
    else:
        end = b"\r\n"
    return ResponseHead(status_line, lines + end, is_chunked, content_length, keep_alive and not says_close)
