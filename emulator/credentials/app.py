"""The ASGI application of everything about credentials; it also answers for Google's other services, that they are not there."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from emulator.catalogue.errors import find_token_error
from emulator.credentials.grants import answer_grant
from emulator.credentials.impersonation import IMPERSONATION, answer_impersonation
from emulator.credentials.jwts import read_jwt
from emulator.credentials.messages import (
    Answer,
    Asked,
    Issuer,
    answer_json,
    answer_refusal,
    read_fields,
    read_query,
    refuse_token,
)
from emulator.credentials.metadata_server import TOKEN_ENDING, answer_metadata, default_account, is_metadata
from emulator.credentials.redaction import redact
from emulator.engine.timeline.timeline import Timeline
from emulator.http.sending import Receive, Send, play_at_once
from emulator.server.app import Scope, not_found, read_body, too_large
from emulator.server.authentication import read_credentials
from emulator.server.service import Service
from emulator.store.exchange import TokenExchange
from emulator.wire.errors import Refusal


def answer_info(asked: Asked, issuer: Issuer) -> Answer:
    """What a token of ours is good for; numbers are texts, as Google writes them (observed)."""
    text = asked.text("access_token")
    if not text:
        return refuse_token("token_parameter_missing", "the request has no `access_token`", PARAMETER="access_token")
    token = issuer.mint.read(text)
    if token is None or issuer.now >= token.expiry:
        explanation = "the token was not issued by this emulator" if token is None else "the token has expired"
        return refuse_token("token_invalid_value", explanation)
    reply: dict[str, Any] = {
        "scope": " ".join(token.scopes),
        "exp": str(token.expiry),
        "expires_in": str(int(token.expiry - issuer.now)),
        "access_type": "online",
    }
    if token.account:
        reply |= {"email": token.account, "email_verified": "true"}
    return answer_json(reply)


def answer_revocation(asked: Asked, _issuer: Issuer) -> Answer:
    """Say that a token is revoked; nobody remembers it, so it stays good until it expires."""
    if not asked.text("token"):
        return refuse_token("token_parameter_missing", "the request has no `token`", PARAMETER="token")
    return answer_json({})


_MOST = 1024 * 1024
"""The largest body that is read, in bytes."""

_INFO = ("/tokeninfo", "/oauth2/v1/tokeninfo", "/oauth2/v2/tokeninfo", "/oauth2/v3/tokeninfo")
_REVOCATION = ("/revoke", "/o/oauth2/revoke")
_GRANTS = ("/token", "/oauth2/v4/token", "/o/oauth2/token", "/v1/token")
_PROJECT = re.compile(r"[^@]+@([^@.]+)\.iam\.gserviceaccount\.com")
# Vertex's own hosts answer unrouted paths with a page (observed), others of Google with an error object.
_VERTEX_HOST = re.compile(r"(?:[a-z0-9-]+-)?aiplatform\.(?:[a-z0-9-]+\.rep\.)?googleapis\.com")


@dataclass(frozen=True, slots=True)
class Desk:
    """Who answers requests of one kind, and whether it is tokens that they ask for."""

    answer: Callable[[Asked, Issuer], Answer]
    issues: bool = True
    is_noted: bool = True
    """Whether the journal keeps the requests."""


_GRANTING = Desk(answer_grant)
_IMPERSONATING = Desk(answer_impersonation)
_INSPECTING = Desk(answer_info, issues=False)
_REVOKING = Desk(answer_revocation, issues=False)
_METADATA = Desk(answer_metadata, issues=False, is_noted=False)
_METADATA_TOKEN = Desk(answer_metadata)


def find_desk(verb: str, path: str, flavor: str = "") -> Desk | None:
    """Who answers a request, whatever its host; `flavor` is the header `Metadata-Flavor`. None where nothing is routed."""
    if is_metadata(verb, path, flavor):
        return _METADATA_TOKEN if path.endswith(TOKEN_ENDING) and flavor else _METADATA
    if path in _INFO and verb in {"GET", "POST"}:
        return _INSPECTING
    if path in _REVOCATION and verb in {"GET", "POST"}:
        return _REVOKING
    if verb != "POST":
        return None
    if path in _GRANTS:
        return _GRANTING
    return _IMPERSONATING if IMPERSONATION.fullmatch(path) else None


class CredentialsApp:
    """Token endpoints and metadata server of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; what nobody answers gets the 404 of its host."""
        verb, path = scope["method"], scope["path"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        desk = find_desk(verb, path, headers.get("metadata-flavor", ""))
        if desk is None:
            await play_at_once(*refuse_unrouted(path, headers.get("host", "")), send)
            return
        body = await read_body(receive, _MOST)
        if body is None:
            return
        if len(body) > _MOST:
            await play_at_once(too_large(), (), send)
            return
        asked = Asked(
            verb=verb,
            path=path,
            headers=headers,
            query=read_query(scope["query_string"].decode("latin-1")),
            form=read_fields(headers.get("content-type", ""), body),
            credentials=read_credentials(scope["headers"], b""),
        )
        await self._answer(desk, asked, send)

    async def _answer(self, desk: Desk, asked: Asked, send: Send) -> None:
        clock = self._service.clock
        started = clock.elapsed()
        answer, exchange = await self.handle(desk, asked)
        await play_at_once(answer.timeline, (), send)
        exchange.duration = clock.elapsed() - started
        if desk.is_noted:
            self._service.finish_token(exchange)

    async def handle(self, desk: Desk, asked: Asked) -> tuple[Answer, TokenExchange]:
        """Answer a request, as the session's scenario has it; the exchange is not in the journal yet."""
        service, settings = self._service, self._service.settings
        account = find_account(asked, settings.project)
        found = _PROJECT.fullmatch(account)
        session = found[1] if found else ""
        issuer = Issuer(
            mint=service.mint,
            now=service.clock.now(),
            lifetime=settings.token_lifetime,
            public_keys=service.public_keys,
            project=settings.project,
            auth=settings.auth,
        )
        answer = await self._follow_script(desk, asked, issuer, session) if desk.issues else desk.answer(asked, issuer)
        refusal = answer.refusal
        return answer, TokenExchange(
            number=service.store.next_number() if desk.is_noted else 0,
            started=issuer.now,
            session=session,
            path=asked.path,
            account=account,
            status=answer.timeline.status,
            request=redact({**asked.query, **asked.form}),
            answer=redact(answer.fields),
            refusal=refusal.rule if refusal else "",
            explanation=refusal.explanation if refusal else "",
        )

    async def _follow_script(self, desk: Desk, asked: Asked, issuer: Issuer, session: str) -> Answer:
        """What the scenario's `tokens` make of a request for a token."""
        script, number = await self._service.begin_token(session)
        error = find_token_error(script.fail) if script.fail is not None else None
        if error is not None and (script.times is None or number <= script.times):
            return refuse_token(error, f"the scenario's `tokens` let token request {number} fail")
        return desk.answer(asked, issuer.with_lifetime(script.lifetime_s))


def find_account(asked: Asked, project: str) -> str:
    """The email address of the account that a request speaks for; empty where there is none to be seen."""
    if found := IMPERSONATION.fullmatch(asked.path):
        return found[1]
    if asked.verb == "GET" and asked.path.endswith(TOKEN_ENDING):
        return default_account(project)
    jwt = read_jwt(asked.text("assertion"))
    return jwt.text("iss")[:300] if jwt else ""


def refuse_unrouted(path: str, host: str) -> tuple[Timeline, tuple[str, ...]]:
    """The 404 of a host, and a warning where it belongs to a service of Google's that is not emulated.

    Google's services other than Vertex answer with an error object (assumed: the wording of those that speak gRPC).
    """
    name = _name_of(host)
    if not name.endswith(".googleapis.com") or _VERTEX_HOST.fullmatch(name):
        return not_found(path), ()
    refusal = Refusal(404, "NOT_FOUND", "Method not found.", framing="object")
    return answer_refusal(refusal).timeline, (f"{name} is not emulated",)


def _name_of(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""
