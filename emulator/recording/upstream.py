"""The upstream: sends requests to the real hosts, or all of them to one URL, and yields the answers' bytes as they come."""

import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import SplitResult, urlsplit

from emulator.errors import StartError
from emulator.recording.recording import End, Frame, Headers

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT = 10.0
"""Seconds in which an upstream has to accept a connection; for its answer there is no limit but the client's own."""
KEEP_ALIVE = 60.0
"""Seconds that an idle connection to an upstream is kept."""
HOP_BY_HOP = frozenset(
    {
        "connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Headers that belong to one connection and are not forwarded."""
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that name further authorities; OpenSSL itself reads SSL_CERT_FILE and SSL_CERT_DIR."""

RawHeaders = Sequence[tuple[bytes, bytes]]


class UpstreamAnswer:
    """An answer while it comes. Without any, `status` is 0 and `failure` says why."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self.status = 0
        self.headers: RawHeaders = ()
        """Without those that belong to the connection; names in lower case."""
        self.end: End = "complete"
        self.failure = ""
        self.was_reset = False
        """Whether the connection was broken off by a reset, and not closed in order."""
        self.head_at = 0.0
        self.ended_at = 0.0
        self.response: httpx.Response | None = None
        self._elapsed = elapsed
        self._sent_at = elapsed()

    async def trace(self, event: str, _details: Any) -> None:
        """Note when the request has been sent; httpcore calls this at each of its steps."""
        if event == "http11.send_request_body.complete":
            self._sent_at = self._elapsed()

    def now(self) -> float:
        """Seconds since the request had been sent."""
        return self._elapsed() - self._sent_at

    def fail(self, end: End, failure: str) -> None:
        """Note that no more comes."""
        self.end, self.failure, self.ended_at = end, failure, self.now()

    async def frames(self) -> AsyncIterator[Frame]:
        """The bytes of the body, as they come; afterwards `end` and `ended_at` are right."""
        import httpx  # noqa: PLC0415  # in an extra, and slow to import

        if self.response is None:
            return
        try:
            async for data in self.response.aiter_raw():
                yield Frame(self.now(), data)
        except (httpx.TransportError, httpx.StreamError) as error:
            self.was_reset = isinstance(cause_of(error), ConnectionResetError)
            self.fail("cut", f"the upstream broke off its answer: {describe(error)}")
        else:
            self.ended_at = self.now()


class Upstream:
    """Sends requests to the hosts that they name, or all to one URL; an asynchronous context manager.

    With a URL, requests carry its host. Only on loopback, where there are no virtual hosts, they keep the one that they name, so that
    an emulator there knows which of Google's was meant.
    """

    def __init__(self, url: str = "", elapsed: Callable[[], float] = time.monotonic) -> None:
        """Raises StartError for a URL that is none, and if httpx is not installed."""
        self._url = parse_upstream(url) if url else None
        self._is_local = self._url is not None and is_loopback(self._url.hostname or "")
        self._elapsed = elapsed
        if find_spec("httpx") is None:
            raise StartError(
                "the upstream is asked through httpx, which is not installed; pip install 'vertex-openai-emulator[record]'"
            )

        import httpx  # noqa: PLC0415  # in an extra, and slow to import

        is_encrypted = self._url is None or self._url.scheme == "https"
        try:
            self._client = httpx.AsyncClient(
                # What the environment says of proxies concerns other machines.
                trust_env=not self._is_local,
                verify=_trust() if is_encrypted else False,
                timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEP_ALIVE),
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            reason = " ".join(str(error).split())
            raise StartError(f"the proxy that HTTPS_PROXY or ALL_PROXY names cannot be used: {reason}") from None

    @property
    def has_url(self) -> bool:
        """Whether all requests go to one URL."""
        return self._url is not None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    @asynccontextmanager
    async def send(
        self, method: str, host: str, target: bytes, headers: RawHeaders, body: bytes
    ) -> AsyncIterator[UpstreamAnswer]:
        """Send a request, its `target` being path and query as they are, and yield the answer once its head has come.

        Only the headers of the connection are left out, and the answer is asked for without compression. Leaving the context before
        the body's end ends the request.
        """
        import httpx  # noqa: PLC0415  # as above

        answer = UpstreamAnswer(self._elapsed)
        url, host, target = self._locate(host, target)
        sent = [(name, value) for name, value in headers if _is_forwarded(name)]
        request = httpx.Request(
            method,
            url,
            headers=[(b"host", host.encode()), *sent, (b"accept-encoding", b"identity")],
            content=body,
            extensions={"target": target, "trace": answer.trace, "timeout": self._client.timeout.as_dict()},
        )
        try:
            response = await self._client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol) as error:
            answer.fail("unreachable", f"cannot reach {url}: {describe(error)}")
            yield answer
            return
        except httpx.TransportError as error:
            answer.was_reset = isinstance(cause_of(error), ConnectionResetError)
            answer.fail("cut", f"{url} ended the connection without an answer: {describe(error)}")
            yield answer
            return
        try:
            answer.response, answer.status, answer.head_at = response, response.status_code, answer.now()
            answer.headers = [
                (name.lower(), value)
                for name, value in response.headers.raw
                if name.lower().decode("latin-1") not in HOP_BY_HOP
            ]
            yield answer
        finally:
            await response.aclose()

    def _locate(self, host: str, target: bytes) -> tuple[str, str, bytes]:
        """The URL to connect to, the header `Host` and the path with the query."""
        if self._url is None:
            return f"https://{host}", host, target
        url = f"{self._url.scheme}://{self._url.netloc}"
        return url, host if self._is_local and host else self._url.netloc, self._url.path.rstrip("/").encode() + target


def text_headers(headers: RawHeaders) -> Headers:
    """Headers as text."""
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)


def parse_upstream(url: str) -> SplitResult:
    """Split the URL of an upstream. Raises StartError if requests cannot be sent there."""
    try:
        split = urlsplit(url.strip())
        is_valid = split.scheme in {"http", "https"} and bool(split.hostname) and split.port != 0
    except ValueError:
        is_valid, split = False, SplitResult("", "", "", "", "")
    if not is_valid or any(char.isspace() for char in split.geturl()):
        raise StartError(
            f'"{url}" is no URL of an upstream; expected one such as https://gateway.example.com or http://127.0.0.1:8080'
        )
    if split.username is not None:
        raise StartError("the URL of the upstream has a login, which would replace the program's own; leave it out")
    server = f"{split.scheme}://{split.netloc}"
    if split.query or split.fragment or "/projects/" in split.path:
        raise StartError(
            f'the upstream is named without the path of an endpoint, which each request brings: {server}, not "{url}"'
        )
    return split


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def cause_of(error: BaseException) -> BaseException:
    """The first cause of an exception: what the operating system has said."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    return error


def describe(error: BaseException) -> str:
    """What an exception of httpx means, as the end of a sentence."""
    first = cause_of(error)
    if isinstance(first, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({first.verify_message}); SSL_CERT_FILE names a file of more authorities"
        )
    if isinstance(first, TimeoutError) or "Timeout" in type(error).__name__:
        return f"no connection within {CONNECT_TIMEOUT:g} seconds"
    if isinstance(first, OSError) and first.strerror:
        return first.strerror.lower()
    return str(error).lower() or type(error).__name__


def _is_forwarded(name: bytes) -> bool:
    lowered = name.lower().decode("latin-1")
    return lowered not in HOP_BY_HOP and lowered not in {"host", "accept-encoding"}


def _trust() -> ssl.SSLContext:
    """Trusts the system's authorities, those of certifi and those that the environment names."""
    import certifi  # noqa: PLC0415  # httpx brings it

    context = ssl.create_default_context()
    for path in (certifi.where(), *(os.environ.get(name) for name in _BUNDLES)):
        if path:
            with suppress(OSError):
                context.load_verify_locations(path)
    return context
