"""Heads: the lines before a body, of a request as they are parsed and of an answer as they are written."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import unquote

import httptools

from emulator.wire.headers import CHUNKED, EncodedHeaders, write_lines

MAX_HEAD_BYTES = 65536
"""Bytes of a request's head: the request line and the header lines."""
MAX_HEAD_LINES = 1000
"""Header lines of a request."""

_WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
_OLD_VERSIONS = {"0.9", "1.0"}
"""Versions of HTTP without chunked bodies, `100 Continue` and connections that stay open."""
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
    is_old = version in _OLD_VERSIONS
    expects = not is_old and dict(headers).get(b"expect", b"").lower() == b"100-continue"
    return RequestHead(scope, keep_alive and not is_old, expects)


class HeadTooLargeError(Exception):
    """The head of a request has too many bytes or lines."""

    def __init__(self) -> None:
        super().__init__(
            f"The head of the request has more than {MAX_HEAD_BYTES // 1024} KB or {MAX_HEAD_LINES:,} header lines."
        )


def check_head(url: bytes, headers: RequestHeaders) -> None:
    """Raise HeadTooLargeError for a head beyond the bounds."""
    # 4 bytes are the colon, the space and the line's end; 16 are the method, the version and what is between.
    size = 16 + len(url) + sum([len(name) + len(value) + 4 for name, value in headers])
    if len(headers) > MAX_HEAD_LINES or size > MAX_HEAD_BYTES:
        raise HeadTooLargeError


def write_request_head(method: bytes, url: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write the head of a request as a client would, from what a parser has found."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, version.encode(), lines)


def write_refusal(status: int, server_headers: bytes, text: str) -> bytes:
    """Write the answer to a request that could not be received; the connection ends behind it."""
    return b"%b%bcontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (
        _STATUS_LINES[status],
        server_headers,
        len(text),
        text.encode(),
    )


class ResponseHead(NamedTuple):
    """The head of an answer as it is written; the server's own headers come between its two parts."""

    status_line: bytes
    lines: bytes
    is_chunked: bool
    """Whether the body goes out in chunks."""
    content_length: int | None
    """Bytes of a body that does not go out in chunks; None for one that ends with the connection."""
    keep_alive: bool
    """Whether the connection stays open."""


def write_head(
    status: int, headers: Iterable[tuple[bytes, bytes]], method: str, *, version: str = "1.1", keep_alive: bool
) -> ResponseHead:
    """Write the head of an answer to a request of a version of HTTP. Raises RuntimeError for a header that HTTP does not allow."""
    status_line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    has_body = method != "HEAD" and status not in _WITHOUT_BODY
    if isinstance(headers, EncodedHeaders):
        if keep_alive and has_body:
            return ResponseHead(status_line, headers.chunked, is_chunked=True, content_length=0, keep_alive=True)
        pairs: RequestHeaders = ()
        lines = headers.lines
    else:
        pairs = tuple([(name.lower(), value) for name, value in headers])
        if version in _OLD_VERSIONS and any(name == b"transfer-encoding" for name, _ in pairs):
            pairs = tuple([pair for pair in pairs if pair[0] not in {b"transfer-encoding", b"content-length"}])
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
    keep_alive = keep_alive and not says_close
    if is_chunked is None and has_body:
        if version in _OLD_VERSIONS:
            return ResponseHead(status_line, lines + b"\r\n", is_chunked=False, content_length=None, keep_alive=False)
        return ResponseHead(status_line, lines + CHUNKED, is_chunked=True, content_length=0, keep_alive=keep_alive)
    return ResponseHead(status_line, lines + b"\r\n", bool(is_chunked), content_length, keep_alive)
