"""The OAuth token endpoint: exchanges an assertion, a refresh token or a federated token for an access token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from emulator.credentials.id_tokens import make_id_token
from emulator.credentials.messages import CredentialRequest, CredentialResponse, TokenIssuer, answer_json, refuse_token
from emulator.errors import EmulatorError
from emulator.server.tokens import CLOUD_PLATFORM

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
REFRESH_TOKEN = "refresh_token"  # noqa: S105  # the name of a grant
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  # the name of a grant
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  # the name of a type

_MAX_ASSERTION_LIFETIME = 3600
"""Seconds."""
_MAX_CLOCK_SKEW = 300
"""Seconds that clocks may differ (assumed)."""
_MAX_ASSERTION_LENGTH = 64 * 1024
_MAX_SCOPES_LENGTH = 8 * 1024


class MissingPackageError(EmulatorError):
    """A request needs a package of the extra `exec` that is not installed."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """The JSON web token that a service account signs to get an access token; its signature has not been verified."""

    encoded: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    def text(self, claim: str) -> str:
        """Return a claim that is a text; empty if it is missing or of another type."""
        value = self.claims.get(claim)
        return value if isinstance(value, str) else ""

    def time(self, claim: str) -> float | None:
        """Return a claim that is a Unix time in seconds; None if it is missing or of another type."""
        value = self.claims.get(claim)
        return None if isinstance(value, bool) or not isinstance(value, int | float) else value

    def is_signed_by(self, public_key: str) -> bool:
        """Whether it was signed by RS256 with the private half of a key (PEM)."""
        from jwt import PyJWS, PyJWTError  # noqa: PLC0415  # as below

        try:
            PyJWS().decode(self.encoded, public_key, algorithms=["RS256"])
        except PyJWTError:
            return False
        return True


def read_assertion(text: str) -> Assertion | None:
    """Decode a JSON web token; None if it is none. Raises MissingPackageError if PyJWT is not installed."""
    try:
        from jwt import PyJWS, PyJWTError  # noqa: PLC0415  # only in the extra, and slow to import
    except ModuleNotFoundError:
        raise MissingPackageError(
            "assertions of service accounts need the package pyjwt where the emulator runs; pip install 'vertex-openai-emulator[exec]'"
        ) from None
    if len(text) > _MAX_ASSERTION_LENGTH:
        return None
    try:
        token = PyJWS().decode_complete(text, options={"verify_signature": False})
        # Strictly: what is kept and shown of the claims has neither halves of surrogate pairs nor NaN.
        claims = from_json(token["payload"], allow_inf_nan=False)
    except (PyJWTError, ValueError, RecursionError):  # ValueError: a lone surrogate
        return None
    return Assertion(text, token["header"], claims) if isinstance(claims, dict) else None


def answer_grant(request: CredentialRequest, issuer: TokenIssuer) -> CredentialResponse:
    """Answer a request for a token by its `grant_type`. Raises MissingPackageError if PyJWT is needed but not installed."""
    grant = request.text("grant_type")
    if grant == JWT_BEARER:
        return _answer_assertion(request, issuer)
    if grant == REFRESH_TOKEN:
        return _answer_refresh_token(request, issuer)
    if grant == TOKEN_EXCHANGE:
        return _answer_token_exchange(request, issuer)
    known = f"{JWT_BEARER}, {REFRESH_TOKEN} or {TOKEN_EXCHANGE}"
    return refuse_token("token_unsupported_grant_type", f"grant_type must be {known}", GRANT_TYPE=grant[:200])


def _answer_assertion(request: CredentialRequest, issuer: TokenIssuer) -> CredentialResponse:
    if not request.text("assertion"):
        return _refuse_missing("assertion")
    assertion = read_assertion(request.text("assertion"))
    if assertion is None:
        return refuse_token("token_refresh_bad_request", "the assertion is no JSON web token")
    error = _check_assertion(assertion, issuer)
    if error is not None:
        return refuse_token(*error)
    account = assertion.text("sub") or assertion.text("iss")
    audience = assertion.text("target_audience")
    if audience:
        return answer_json({"id_token": make_id_token(audience, account, issuer.now, issuer.lifetime)})
    scopes = _split_scopes(assertion.text("scope"))
    if not scopes:
        return refuse_token("token_invalid_scope", "the assertion has neither `scope` nor `target_audience`")
    token, lifetime = issuer.issue(scopes, account)
    return answer_json({"access_token": token, "expires_in": lifetime, "token_type": "Bearer"})


def _check_assertion(assertion: Assertion, issuer: TokenIssuer) -> tuple[str, str] | None:
    """What is wrong with an assertion: the name of the error in the catalogue and an explanation.

    The audience is not checked: clients name Google's endpoint whatever they call (observed). The signature is verified where the key
    is known; the keys of other processes are not, so their assertions are accepted unverified.
    """
    issued, expiry = assertion.time("iat"), assertion.time("exp")
    if issued is None or expiry is None:
        return "token_invalid_jwt_time", "the assertion lacks `iat` or `exp`"
    if not issued - _MAX_CLOCK_SKEW <= issuer.now < expiry + _MAX_CLOCK_SKEW:
        when = "has expired" if issuer.now >= expiry else "was made in the future"
        return "token_invalid_jwt_time", f"the assertion {when} by the emulator's clock"
    if expiry - issued > _MAX_ASSERTION_LIFETIME + _MAX_CLOCK_SKEW:
        return "token_invalid_jwt_time", "the assertion lives longer than an hour"
    if not assertion.text("iss"):
        return "token_account_not_found", "the assertion lacks `iss`, the account's email address"
    public_key = issuer.public_keys.get(str(assertion.header.get("kid")))
    if public_key is not None and not assertion.is_signed_by(public_key):
        return "token_invalid_jwt_signature", "the assertion was not signed with the key that it names"
    return None


def _answer_refresh_token(request: CredentialRequest, issuer: TokenIssuer) -> CredentialResponse:
    for name in ("client_id", "client_secret", "refresh_token"):
        if not request.text(name):
            return _refuse_missing(name)
    scopes = _split_scopes(request.text("scope"))
    token, lifetime = issuer.issue(scopes or (CLOUD_PLATFORM,), "")
    reply: dict[str, Any] = {"access_token": token, "expires_in": lifetime}
    if scopes:
        reply["scope"] = " ".join(scopes)
    reply |= {"token_type": "Bearer"}
    if "openid" in scopes:
        reply["id_token"] = make_id_token(request.text("client_id"), "", issuer.now, lifetime)
    return answer_json(reply)


def _answer_token_exchange(request: CredentialRequest, issuer: TokenIssuer) -> CredentialResponse:
    for name in ("audience", "subject_token", "subject_token_type"):
        if not request.text(name):
            return _refuse_missing(name)
    token, lifetime = issuer.issue(_split_scopes(request.text("scope")) or (CLOUD_PLATFORM,), "")
    return answer_json(
        {
            "access_token": token,
            "issued_token_type": ACCESS_TOKEN_TYPE,
            "token_type": "Bearer",
            "expires_in": lifetime,
        }
    )


def _refuse_missing(name: str) -> CredentialResponse:
    return refuse_token("token_parameter_missing", f"the request has no `{name}`", PARAMETER=name)


def _split_scopes(scopes: str) -> tuple[str, ...]:
    return tuple(scopes[:_MAX_SCOPES_LENGTH].split())
