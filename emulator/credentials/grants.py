"""The token endpoints: a service account's assertion, a user's refresh token, a federated identity's token -> an access token."""

from typing import Any

from emulator.credentials.jwts import Jwt, is_signed_by, read_jwt, write_id_token
from emulator.credentials.messages import Answer, Asked, Issuer, answer_json, refuse_token
from emulator.server.tokens import CLOUD_PLATFORM

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
REFRESH_TOKEN = "refresh_token"  # noqa: S105  # the name of a grant
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  # the name of a grant
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  # the name of a type

_LONGEST_LIFE = 3600
_SKEW = 300
"""Seconds that clocks may differ (assumed)."""
_LONGEST_SCOPES = 8 * 1024


def answer_grant(asked: Asked, issuer: Issuer) -> Answer:
    """Answer a request for a token; the grant type says what is brought in exchange."""
    match asked.text("grant_type"):
        case grant if grant == JWT_BEARER:
            return _answer_assertion(asked, issuer)
        case grant if grant == REFRESH_TOKEN:
            return _answer_refresh(asked, issuer)
        case grant if grant == TOKEN_EXCHANGE:
            return _answer_exchange(asked, issuer)
        case grant:
            known = f"{JWT_BEARER}, {REFRESH_TOKEN} or {TOKEN_EXCHANGE}"
            return refuse_token("token_unsupported_grant_type", f"grant_type must be {known}", GRANT_TYPE=grant[:200])


def _answer_assertion(asked: Asked, issuer: Issuer) -> Answer:
    if not asked.text("assertion"):
        return _lacks("assertion")
    jwt = read_jwt(asked.text("assertion"))
    if jwt is None:
        return refuse_token("token_refresh_bad_request", "the assertion is no JSON web token")
    fault = _find_fault(jwt, issuer)
    if fault is not None:
        return refuse_token(*fault)
    account = jwt.text("sub") or jwt.text("iss")
    audience = jwt.text("target_audience")
    if audience:
        return answer_json({"id_token": write_id_token(audience, account, issuer.now, issuer.lifetime)})
    scopes = _split(jwt.text("scope"))
    if not scopes:
        return refuse_token("token_invalid_scope", "the assertion has neither `scope` nor `target_audience`")
    token, lifetime = issuer.issue(scopes, account)
    return answer_json({"access_token": token, "expires_in": lifetime, "token_type": "Bearer"})


def _find_fault(jwt: Jwt, issuer: Issuer) -> tuple[str, str] | None:
    """What is wrong with an assertion: a catalogue entry's name and an explanation.

    The audience is not looked at: clients name Google's endpoint whatever they call (observed). A signature is verified where the key
    is known; keys of other processes are not, so their assertions are taken as they are.
    """
    issued, expiry = jwt.moment("iat"), jwt.moment("exp")
    if issued is None or expiry is None:
        return "token_invalid_jwt_time", "the assertion lacks `iat` or `exp`"
    if not issued - _SKEW <= issuer.now < expiry + _SKEW:
        when = "has expired" if issuer.now >= expiry else "was made in the future"
        return "token_invalid_jwt_time", f"the assertion {when} by the emulator's clock"
    if expiry - issued > _LONGEST_LIFE + _SKEW:
        return "token_invalid_jwt_time", "the assertion lives longer than an hour"
    if not jwt.text("iss"):
        return "token_account_not_found", "the assertion lacks `iss`, the account's email address"
    public_key = issuer.public_keys.get(str(jwt.header.get("kid")))
    if public_key is not None and not is_signed_by(jwt, public_key):
        return "token_invalid_jwt_signature", "the assertion was not signed with the key that it names"
    return None


def _answer_refresh(asked: Asked, issuer: Issuer) -> Answer:
    for name in ("client_id", "client_secret", "refresh_token"):
        if not asked.text(name):
            return _lacks(name)
    scopes = _split(asked.text("scope"))
    token, lifetime = issuer.issue(scopes or (CLOUD_PLATFORM,), "")
    reply: dict[str, Any] = {"access_token": token, "expires_in": lifetime}
    if scopes:
        reply["scope"] = " ".join(scopes)
    reply |= {"token_type": "Bearer"}
    if "openid" in scopes:
        reply["id_token"] = write_id_token(asked.text("client_id"), "", issuer.now, lifetime)
    return answer_json(reply)


def _answer_exchange(asked: Asked, issuer: Issuer) -> Answer:
    for name in ("audience", "subject_token", "subject_token_type"):
        if not asked.text(name):
            return _lacks(name)
    token, lifetime = issuer.issue(_split(asked.text("scope")) or (CLOUD_PLATFORM,), "")
    return answer_json(
        {
            "access_token": token,
            "issued_token_type": ACCESS_TOKEN_TYPE,
            "token_type": "Bearer",
            "expires_in": lifetime,
        }
    )


def _lacks(name: str) -> Answer:
    return refuse_token("token_parameter_missing", f"the request has no `{name}`", PARAMETER=name)


def _split(scopes: str) -> tuple[str, ...]:
    return tuple(scopes[:_LONGEST_SCOPES].split())
