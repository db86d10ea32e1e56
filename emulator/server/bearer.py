"""The bearer check: who is let in, and the 401 that everybody else gets."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs

from emulator.engine.refusing import refuse, values_for
from emulator.server.settings import Auth
from emulator.server.tokens import Mint
from emulator.wire.refusals import Refusal
from emulator.wire.targets import Target

# Keys of Google (`AIza…`, `AQ.…`) and of OpenAI (`sk-…`), none of which is an access token.
_API_KEY = re.compile(r"AIza[\w-]{10,}|AQ\.[\w-]{10,}|sk-.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brings to prove who it is."""

    bearer: str | None
    has_api_key: bool


def read_credentials(headers: list[tuple[bytes, bytes]], query: bytes) -> Credentials:
    """The bearer token, and whether there is an API key in a header or in the query."""
    bearer, has_api_key = None, b"key=" in query and bool(parse_qs(query.decode("latin-1")).get("key"))
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").strip().partition(" ")
            if scheme.lower() == "bearer" and token.strip():
                bearer = token.strip()
        elif name == b"x-goog-api-key":
            has_api_key = True
    return Credentials(bearer, has_api_key)


def check_bearer(auth: Auth, target: Target, credentials: Credentials, mint: Mint, now: float) -> Refusal | None:
    """The 401 for a request's credentials, or None if they pass.

    `any` lets every bearer pass that is neither an API key nor an expired token of the emulator's; `issued` only tokens of the
    emulator that are still good. Message and details of the bodies are observed; the array framing is inferred.
    """
    if auth == "off":
        return None
    values = values_for(target)
    bearer = credentials.bearer
    if bearer is None:
        if credentials.has_api_key:
            return refuse("api_key_not_supported", values, explanation="an API key was sent instead of a bearer token")
        return refuse(
            "missing_credentials", values, explanation="the header `Authorization: Bearer <token>` is missing"
        )
    if _API_KEY.fullmatch(bearer):
        return refuse(
            "invalid_token", values, explanation="the bearer is an API key; Vertex wants an OAuth access token"
        )
    verdict = mint.judge(bearer, now)
    if verdict == "expired":
        return refuse("expired_token", values, explanation="the token has expired")
    if auth == "issued" and verdict == "foreign":
        return refuse("invalid_token", values, explanation="the token was not issued by this emulator (--auth issued)")
    return None
