"""Impersonation: one account's token -> a token of another account, by the IAM Credentials API."""

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any, TypeGuard

from emulator.credentials.jwts import write_id_token
from emulator.credentials.messages import Answer, Asked, Issuer, answer_json, answer_refusal, write_moment
from emulator.engine.refusals import refuse
from emulator.server.authentication import judge_bearer
from emulator.server.tokens import CLOUD_PLATFORM
from emulator.wire.errors import Refusal

IMPERSONATION = re.compile(r"/v1/projects/-/serviceAccounts/([^/:]+):(generateAccessToken|generateIdToken)")

_SCOPES: Collection[str] = (CLOUD_PLATFORM, "https://www.googleapis.com/auth/iam")
_SECONDS = re.compile(r"(\d{1,6})(?:\.\d*)?s")
_LONGEST_LIFE = 12 * 3600
"""Seconds (documented: an hour, twelve where the organisation allows it)."""


def answer_impersonation(asked: Asked, issuer: Issuer) -> Answer:
    """Answer `generateAccessToken` and `generateIdToken`, for whoever brings a good bearer."""
    found = IMPERSONATION.fullmatch(asked.path)
    account, method = found.groups() if found else ("", "")
    fault = judge_bearer(issuer.auth, asked.credentials, issuer.mint, issuer.now, _SCOPES)
    if fault is not None:
        rpc = f"google.iam.credentials.v1.IAMCredentials.{method[:1].upper()}{method[1:]}"
        return answer_refusal(_as_iam(refuse(fault.name, {}, explanation=fault.explanation), rpc))
    if method == "generateIdToken":
        return _answer_id_token(asked, issuer, account)
    scopes = asked.form.get("scope")
    if not _is_texts(scopes):
        return _refuse_argument("scope must be a list of scopes, with one at least")
    lifetime = _read_seconds(asked.form.get("lifetime") or "3600s")
    if lifetime is None:
        return _refuse_argument('lifetime must be text such as "3600s", of at most 12 hours')
    token, seconds = issuer.issue(scopes, account, lifetime)
    return answer_json({"accessToken": token, "expireTime": write_moment(int(issuer.now + seconds))})


def _answer_id_token(asked: Asked, issuer: Issuer, account: str) -> Answer:
    audience = asked.text("audience")
    if not audience:
        return _refuse_argument("audience must be a text")
    return answer_json({"token": write_id_token(audience, account, issuer.now, issuer.lifetime)})


def _is_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) and item for item in value)


def _read_seconds(value: Any) -> int | None:
    found = _SECONDS.fullmatch(value) if isinstance(value, str) else None
    seconds = int(found[1]) if found else 0
    return seconds if 0 < seconds <= _LONGEST_LIFE else None


def _refuse_argument(explanation: str) -> Answer:
    """Assumed: the plain error that Google's APIs send for an argument."""
    message = "Request contains an invalid argument."
    return answer_refusal(
        Refusal(400, "INVALID_ARGUMENT", message, None, "object", None, "invalid_argument", "", explanation)
    )


def _as_iam(refusal: Refusal, rpc: str) -> Refusal:
    """A refusal of Vertex's as this API sends it (assumed): a bare object that names its own method."""
    metadata = {"method": rpc, "service": "iamcredentials.googleapis.com"}
    details = [{**detail, "metadata": metadata} for detail in refusal.details or []]
    return replace(refusal, details=details, framing="object")
