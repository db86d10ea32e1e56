"""The ASGI application of Google's token endpoints and metadata server; all other paths of Google get their 404 here."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from emulator.catalogue.errors import find_token_error
from emulator.credentials.grants import MissingPackageError, answer_grant, read_assertion
from emulator.credentials.impersonation import IMPERSONATION, answer_impersonation
from emulator.credentials.messages import (
    CredentialRequest,
    CredentialResponse,
    TokenIssuer,
    answer_json,
    answer_refusal,
    parse_body,
    parse_query,
    refuse_token,
)
from emulator.credentials.metadata_server import TOKEN_SUFFIX, answer_metadata, default_account, is_metadata_request
from emulator.engine.answer import EMULATOR_STATUS
from emulator.engine.timeline.timeline import Timeline
from emulator.http.sending import Receive, Scope, Send, play_at_once
from emulator.redaction import MAX_LINE, clean_line, redact_answer, redact_request
from emulator.server.app import read_body, too_large
from emulator.server.authentication import read_credentials
from emulator.server.service import Service
from emulator.server.unrouted import answer_unrouted, not_found_at
from emulator.store.exchange import TokenExchange
from emulator.store.interface import StoreUnreachableError
from emulator.wire.errors import Refusal


def answer_token_info(request: CredentialRequest, issuer: TokenIssuer) -> CredentialResponse:
    """Describe an access token of this emulator; numbers are texts, as Google writes them (observed)."""
    text = request.text("access_token")
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


def answer_revocation(request: CredentialRequest, _issuer: TokenIssuer) -> CredentialResponse:
    """Accept the revocation of a token without effect: tokens are not stored, so it stays valid until it expires."""
    if not request.text("token"):
        return refuse_token("token_parameter_missing", "the request has no `token`", PARAMETER="token")
    return answer_json({})


def refuse_lookup(request: CredentialRequest, _issuer: TokenIssuer) -> CredentialResponse:
    """Answer 404 to a lookup of where credentials may be used; clients then take it that there is no restriction (observed)."""
    return answer_refusal(not_found_at("iamcredentials.googleapis.com", request.path))


MAX_BODY_BYTES = 1024 * 1024
_MAX_ACCOUNT = 300
"""Characters of an account's email address that are read and kept."""
_TOKEN_INFO_PATHS = ("/tokeninfo", "/oauth2/v1/tokeninfo", "/oauth2/v2/tokeninfo", "/oauth2/v3/tokeninfo")
_REVOCATION_PATHS = ("/revoke", "/o/oauth2/revoke")
_GRANT_PATHS = ("/token", "/oauth2/v4/token", "/o/oauth2/token", "/v1/token")
_SERVICE_ACCOUNT = re.compile(r"[^@]+@([^@.]+)\.iam\.gserviceaccount\.com")
# Asked by google-auth in the background where it is told to (observed); programs neither see the request nor its answer.
_ALLOWED_LOCATIONS = re.compile(r"/v1/[^?]+/allowedLocations")


@dataclass(frozen=True, slots=True)
class Route:
    """The handler of one kind of request."""

    handler: Callable[[CredentialRequest, TokenIssuer], CredentialResponse]
    issues_tokens: bool = True
    """Whether the `tokens` of a scenario apply to it."""
    in_journal: bool = True


_GRANT = Route(answer_grant)
_IMPERSONATION = Route(answer_impersonation)
_TOKEN_INFO = Route(answer_token_info, issues_tokens=False)
_REVOCATION = Route(answer_revocation, issues_tokens=False)
_METADATA = Route(answer_metadata, issues_tokens=False, in_journal=False)
_METADATA_TOKEN = Route(answer_metadata)
_LOOKUP = Route(refuse_lookup, issues_tokens=False, in_journal=False)


def find_route(verb: str, path: str, flavor: str = "") -> Route | None:
    """The route of a request to any host; `flavor` is the header `Metadata-Flavor`. None where nothing is routed."""
    if is_metadata_request(verb, path, flavor):
        return _METADATA_TOKEN if path.endswith(TOKEN_SUFFIX) and flavor else _METADATA
    if path in _TOKEN_INFO_PATHS and verb in {"GET", "POST"}:
        return _TOKEN_INFO
    if path in _REVOCATION_PATHS and verb in {"GET", "POST"}:
        return _REVOCATION
    if verb == "GET" and _ALLOWED_LOCATIONS.fullmatch(path):
        return _LOOKUP
    if verb != "POST":
        return None
    if path in _GRANT_PATHS:
        return _GRANT
    return _IMPERSONATION if IMPERSONATION.fullmatch(path) else None


class CredentialsApp:
    """Token endpoints and metadata server of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; unrouted paths get the 404 of their host."""
        verb, path = scope["method"], scope["path"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        route = find_route(verb, path, headers.get("metadata-flavor", ""))
        if route is None:
            is_wrong_method = path in (*_GRANT_PATHS, *_TOKEN_INFO_PATHS, *_REVOCATION_PATHS)
            await answer_unrouted(
                self._service, scope, send, "no such method; this path answers POST" if is_wrong_method else ""
            )
            return
        body = await read_body(receive, MAX_BODY_BYTES)
        if body is None:
            return
        if len(body) > MAX_BODY_BYTES:
            await play_at_once(too_large(), (), send)
            return
        request = CredentialRequest(
            verb=verb,
            path=path,
            headers=headers,
            query=parse_query(scope["query_string"].decode("latin-1")),
            form=parse_body(headers.get("content-type", ""), body),
            credentials=read_credentials(dict(scope["headers"]), b""),
        )
        clock = self._service.clock
        started = clock.elapsed()
        timeline, exchange = await self._respond(route, request)
        await play_at_once(timeline, (), send)
        exchange.duration = clock.elapsed() - started
        if route.in_journal:
            self._service.finish_token_request(exchange)

    async def _respond(self, route: Route, request: CredentialRequest) -> tuple[Timeline, TokenExchange]:
        """Answer a request as the session's scenario wants it; the caller puts the exchange into the journal."""
        service, settings = self._service, self._service.settings
        issuer = TokenIssuer(
            mint=service.mint,
            now=service.clock.now(),
            lifetime=settings.token_lifetime,
            public_keys=service.public_keys,
            project=settings.project,
            auth=settings.auth,
        )
        account = session = ""
        try:
            account = find_account(request, settings.project)
            found = _SERVICE_ACCOUNT.fullmatch(account)
            session = found[1] if found else ""
            response = await self._run_handler(route, request, issuer, session)
        except (MissingPackageError, StoreUnreachableError) as error:
            name = "missing_package" if isinstance(error, MissingPackageError) else "store_unreachable"
            # As token endpoints word their errors, so that clients show the text.
            flat = {"error": name, "error_description": f"emulator: {error}"}
            response = answer_refusal(
                Refusal(EMULATOR_STATUS, None, str(error), flat=flat, rule=name, explanation=str(error)), flat
            )
        refused = response.refusal
        return response.timeline, TokenExchange(
            number=service.store.next_number() if route.in_journal else 0,
            started=issuer.now,
            session=clean_line(session, _MAX_ACCOUNT),
            path=clean_line(request.path, MAX_LINE),
            account=clean_line(account, _MAX_ACCOUNT),
            status=response.timeline.status,
            request=redact_request({**request.query, **request.form}),
            answer=redact_answer(response.fields),
            refusal=refused.rule if refused else "",
            explanation=clean_line(refused.explanation) if refused else "",
            is_scripted=response.is_scripted,
        )

    async def _run_handler(
        self, route: Route, request: CredentialRequest, issuer: TokenIssuer, session: str
    ) -> CredentialResponse:
        """Call the route's handler, unless the `tokens` of the session's scenario make the request fail."""
        if not route.issues_tokens:
            return route.handler(request, issuer)
        script, number = await self._service.start_token_request(session)
        error = find_token_error(script.fail) if script.fail is not None else None
        if error is not None and (script.times is None or number <= script.times):
            refused = refuse_token(error, f"the scenario's `tokens` let token request {number} fail")
            return replace(refused, is_scripted=True)
        return route.handler(request, issuer.limited_to(script.lifetime_s))


def find_account(request: CredentialRequest, project: str) -> str:
    """The email address of the account that a request names; empty where it names none.

    Raises MissingPackageError if it has an assertion and PyJWT is not installed.
    """
    if found := IMPERSONATION.fullmatch(request.path):
        return found[1]
    if request.verb == "GET" and request.path.endswith(TOKEN_SUFFIX):
        return default_account(project)
    text = request.text("assertion")
    assertion = read_assertion(text) if text else None
    return assertion.text("iss")[:_MAX_ACCOUNT] if assertion else ""
