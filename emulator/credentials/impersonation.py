"""Service account impersonation by the IAM Credentials API: `generateAccessToken` and `generateIdToken`."""

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any, TypeGuard

from emulator.credentials.id_tokens import make_id_token
from emulator.credentials.messages import (
    CredentialRequest,
    CredentialResponse,
    TokenIssuer,
    answer_json,
    answer_refusal,
    format_time,
)
from emulator.engine.error_answers import refuse
from emulator.server.authentication import check_credentials
from emulator.server.tokens import CLOUD_PLATFORM
from emulator.wire.errors import Refusal

IMPERSONATION = re.compile(r"/v1/projects/-/serviceAccounts/([^/:]+):(generateAccessToken|generateIdToken)")

_SCOPES: Collection[str] = (CLOUD_PLATFORM, "https://www.googleapis.com/auth/iam")
_DURATION = re.compile(r"(\d{1,6})(?:\.\d*)?s")
_MAX_LIFETIME = 12 * 3600
"""Seconds (documented: an hour, twelve where the organisation allows it)."""


def answer_impersonation(request: CredentialRequest, issuer: TokenIssuer) -> CredentialResponse:
    """Answer `generateAccessToken` and `generateIdToken` if the bearer token is valid."""
    found = IMPERSONATION.fullmatch(request.path)
    account, method = found.groups() if found else ("", "")
    problem = check_credentials(issuer.auth, request.credentials, issuer.mint, issuer.now, _SCOPES)
    if problem is not None:
        rpc = f"google.iam.credentials.v1.IAMCredentials.{method[:1].upper()}{method[1:]}"
        # Documented: this API names the reason of an expired token, as Vertex has been seen not to do.
        name = "expired_token_named" if problem.name == "expired_token" else problem.name
        return answer_refusal(_to_iam_error(refuse(name, {}, explanation=problem.explanation), rpc))
    if method == "generateIdToken":
        audience = request.text("audience")
        if not audience:
            return _refuse_argument("audience must be a text")
        return answer_json({"token": make_id_token(audience, account, issuer.now, issuer.lifetime)})
    scopes = request.form.get("scope")
    if not _is_text_list(scopes):
        return _refuse_argument("scope must be a list of scopes, with one at least")
    lifetime = _read_seconds(request.form.get("lifetime") or "3600s")
    if lifetime is None:
        return _refuse_argument('lifetime must be text such as "3600s", of at most 12 hours')
    token, seconds = issuer.issue(scopes, account, lifetime)
    return answer_json({"accessToken": token, "expireTime": format_time(int(issuer.now + seconds))})


def _is_text_list(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) and item for item in value)


def _read_seconds(value: Any) -> int | None:
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    seconds = int(found[1]) if found else 0
    return seconds if 0 < seconds <= _MAX_LIFETIME else None


def _refuse_argument(explanation: str) -> CredentialResponse:
    """The error that Google's APIs send for an invalid argument (assumed)."""
    message = "Request contains an invalid argument."
    return answer_refusal(
        Refusal(400, "INVALID_ARGUMENT", message, None, "object", None, "invalid_argument", "", explanation)
    )


def _to_iam_error(refusal: Refusal, rpc: str) -> Refusal:
    """Turn a refusal of Vertex into one of this API (assumed): a bare object whose details name this API's method."""
    metadata = {"method": rpc, "service": "iamcredentials.googleapis.com"}
    details = [{**detail, "metadata": metadata} for detail in refusal.details or []]
    return replace(refusal, details=details, framing="object")
