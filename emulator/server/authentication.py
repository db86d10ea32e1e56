"""The bearer check: credentials of a request, and the 401 or 403 for those that do not pass."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import parse_qs
from zlib import crc32

from emulator.engine.error_answers import refuse, values_for
from emulator.redaction import clean_host
from emulator.server.settings import Auth
from emulator.server.tokens import VERTEX_SCOPES, Mint
from emulator.store.exchange import Sender
from emulator.wire.errors import Refusal
from emulator.wire.urls import Target

# Keys of Google (`AIza…`, `AQ.…`) and of OpenAI (`sk-…`), none of which is an access token.
_API_KEY = re.compile(r"AIza[\w-]{10,}|AQ\.[\w-]{10,}|sk-.*", re.DOTALL)
_COMMANDS = (b"curl/", b"Wget/")
_RETRY_COUNT = b"x-stainless-retry-count"
_KEY_STARTS = frozenset({"AI", "AQ", "sk"})


class Credentials(NamedTuple):
    """The credentials of a request, and its Host header."""

    bearer: str | None
    has_api_key: bool
    """Whether there is an API key in `x-goog-api-key` or in the query."""
    is_api_key: bool = False
    """Whether the bearer is an API key."""
    host: str = ""
    """The Host header without user-info; empty if there is none."""
    user_agent: int = 0
    """As in `Sender`."""
    is_retry: bool = False
    """As in `Sender`."""


@dataclass(frozen=True, slots=True)
class AuthenticationFailure:
    """Why credentials do not pass: the name of a catalogue entry, and an explanation."""

    name: str
    explanation: str


def read_credentials(headers: Mapping[bytes, bytes], query: bytes) -> Credentials:
    """Read bearer token, API keys and host; header names are in lower case."""
    bearer, is_api_key = None, False
    authorization = headers.get(b"authorization")
    if authorization is not None:
        scheme, _, token = authorization.decode("latin-1").strip().partition(" ")
        if scheme.lower() == "bearer":
            token = token.strip()
            bearer = token or None
            is_api_key = token[:2] in _KEY_STARTS and _API_KEY.fullmatch(token) is not None
    has_api_key = b"x-goog-api-key" in headers or (
        b"key=" in query and bool(parse_qs(query.decode("latin-1")).get("key"))
    )
    user_agent = headers.get(b"user-agent", b"")
    checksum = 0 if user_agent.startswith(_COMMANDS) else crc32(user_agent)
    host = clean_host(headers.get(b"host", b"").decode("latin-1"))
    return Credentials(bearer, has_api_key, is_api_key, host, checksum, headers.get(_RETRY_COUNT, b"0") != b"0")


def describe_sender(credentials: Credentials, key: bytes, connection: int = 0) -> Sender:
    """The sender as the journal keeps it; a digest keyed with a random `key` stands for the bearer token."""
    bearer, has_api_key, is_api_key, host, user_agent, is_retry = credentials
    if bearer is None:
        return Sender(host, has_api_key, "", user_agent, is_retry, connection)
    digest = blake2b(bearer.encode("latin-1", "replace"), key=key, digest_size=8).hexdigest()
    return Sender(host, is_api_key, digest, user_agent, is_retry, connection)


def check_bearer(auth: Auth, target: Target, credentials: Credentials, mint: Mint, now: float) -> Refusal | None:
    """The 401 or 403 for a request's credentials, or None if they pass.

    `any` accepts every bearer that is neither an API key nor a token of the emulator that has expired or lacks the scope;
    `issued` accepts only valid tokens of the emulator. Message and details of the 401s are observed, their array framing is
    inferred; the 403 is assumed to be that of other Google APIs.
    """
    failure = check_credentials(auth, credentials, mint, now)
    return None if failure is None else refuse(failure.name, values_for(target), explanation=failure.explanation)


def check_credentials(
    auth: Auth, credentials: Credentials, mint: Mint, now: float, wanted: Collection[str] = VERTEX_SCOPES
) -> AuthenticationFailure | None:
    """Why a request's credentials do not pass, or None; any one of the wanted scopes suffices."""
    if auth == "off":
        return None
    bearer = credentials.bearer
    if bearer is None:
        if credentials.has_api_key:
            return AuthenticationFailure("api_key_not_supported", "an API key was sent instead of a bearer token")
        return AuthenticationFailure("missing_credentials", "the header `Authorization: Bearer <token>` is missing")
    if credentials.is_api_key:
        return AuthenticationFailure("invalid_token", "the bearer is an API key; Vertex wants an OAuth access token")
    status = mint.judge(bearer, now, wanted)
    if status == "expired":
        return AuthenticationFailure("expired_token", "the token has expired")
    if status == "mis-scoped":
        return AuthenticationFailure("insufficient_scopes", f"the token's scopes lack {' or '.join(sorted(wanted))}")
    if auth == "issued" and status == "foreign":
        return AuthenticationFailure("invalid_token", "the token was not issued by this emulator (--auth issued)")
    return None
