"""Impersonation, token info and revocation, below HTTP."""

from collections.abc import Callable
from typing import Any

import pytest

from emulator.credentials.app import answer_revocation, answer_token_info
from emulator.credentials.grants import read_assertion
from emulator.credentials.impersonation import answer_impersonation
from emulator.credentials.messages import CredentialRequest, TokenIssuer
from emulator.server.tokens import CLOUD_PLATFORM, Token

NOW = 1_750_000_000
ACCOUNT = "other@demo.iam.gserviceaccount.com"
ACCESS = f"/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"
IDENTITY = f"/v1/projects/-/serviceAccounts/{ACCOUNT}:generateIdToken"

MakeRequest = Callable[..., CredentialRequest]


@pytest.mark.parametrize(("lifetime", "seconds"), [("600s", 600), (None, 3599), ("3600s", 3599), ("1.5s", 1)])
def test_access_token(make_request: MakeRequest, issuer: TokenIssuer, lifetime: str | None, seconds: int) -> None:
    """The token belongs to the account of the path; its lifetime is the requested one, limited by the server's."""
    bearer = issuer.mint.issue(NOW)
    request = make_request(ACCESS, bearer=bearer, scope=[CLOUD_PLATFORM], lifetime=lifetime, delegates=None)
    answer = answer_impersonation(request, issuer)
    assert list(answer.fields) == ["accessToken", "expireTime"]
    assert issuer.mint.read(answer.fields["accessToken"]) == Token(NOW + seconds, (CLOUD_PLATFORM,), ACCOUNT)
    if seconds == 600:
        assert answer.fields["expireTime"] == "2025-06-15T15:16:40Z"


def test_id_token(make_request: MakeRequest, issuer: TokenIssuer) -> None:
    """An ID token of the account, for an audience."""
    request = make_request(IDENTITY, bearer=issuer.mint.issue(NOW), audience="https://run.test", includeEmail=True)
    id_token = read_assertion(answer_impersonation(request, issuer).fields["token"])
    assert id_token is not None
    assert (id_token.claims["aud"], id_token.claims["email"]) == ("https://run.test", ACCOUNT)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, ACCESS),
        ({"scope": []}, ACCESS),
        ({"scope": CLOUD_PLATFORM}, ACCESS),
        ({"scope": [1]}, ACCESS),
        ({"scope": [CLOUD_PLATFORM], "lifetime": "1h"}, ACCESS),
        ({"scope": [CLOUD_PLATFORM], "lifetime": 3600}, ACCESS),
        ({"scope": [CLOUD_PLATFORM], "lifetime": "0s"}, ACCESS),
        ({"scope": [CLOUD_PLATFORM], "lifetime": "99999s"}, ACCESS),
        ({}, IDENTITY),
    ],
)
def test_bad_arguments(make_request: MakeRequest, issuer: TokenIssuer, body: dict[str, Any], path: str) -> None:
    """Invalid arguments are refused with a bare error object."""
    answer = answer_impersonation(make_request(path, bearer="ya29.any", **body), issuer)
    assert answer.timeline.status == 400
    assert answer.fields["error"]["status"] == "INVALID_ARGUMENT"
    assert answer.timeline.body.startswith(b"{")


@pytest.mark.parametrize(
    ("bearer", "auth", "expected"),
    [
        (None, "any", (401, "CREDENTIALS_MISSING")),
        ("ya29.foreign", "issued", (401, "ACCESS_TOKEN_TYPE_UNSUPPORTED")),
        ("own, expired", "any", (401, "ACCESS_TOKEN_EXPIRED")),
        ("own, for storage", "any", (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT")),
        (None, "off", None),
        ("own, for iam", "issued", None),
    ],
)
def test_bearers(
    make_request: MakeRequest,
    make_issuer: Callable[..., TokenIssuer],
    bearer: str | None,
    auth: str,
    expected: tuple[int, str] | None,
) -> None:
    """The bearer token must be valid and have a scope that this API accepts."""
    issuer = make_issuer(auth=auth)
    own = {
        "own, expired": issuer.mint.issue(NOW, -1),
        "own, for storage": issuer.mint.issue(NOW, scopes=["https://www.googleapis.com/auth/devstorage.read_only"]),
        "own, for iam": issuer.mint.issue(NOW, scopes=["https://www.googleapis.com/auth/iam"]),
    }
    request = make_request(ACCESS, bearer=own.get(bearer or "", bearer), scope=[CLOUD_PLATFORM])
    answer = answer_impersonation(request, issuer)
    if expected is None:
        assert answer.refusal is None
        return
    detail = answer.fields["error"]["details"][0]
    assert (answer.timeline.status, detail["reason"]) == expected
    assert detail["metadata"] == {
        "method": "google.iam.credentials.v1.IAMCredentials.GenerateAccessToken",
        "service": "iamcredentials.googleapis.com",
    }


def test_token_info(make_request: MakeRequest, issuer: TokenIssuer) -> None:
    """A token's scopes, expiry and account, from the query or the body."""
    token = issuer.mint.issue(NOW, 60, ["openid", "email"], ACCOUNT)
    expected = {
        "scope": "openid email",
        "exp": str(NOW + 60),
        "expires_in": "60",
        "access_type": "online",
        "email": ACCOUNT,
        "email_verified": "true",
    }
    assert answer_token_info(make_request(query=f"access_token={token}", verb="GET"), issuer).fields == expected
    assert answer_token_info(make_request(access_token=token), issuer).fields == expected
    assert "email" not in answer_token_info(make_request(access_token=issuer.mint.issue(NOW)), issuer).fields


@pytest.mark.parametrize("token", ["ya29.foreign", "expired"])
def test_info_of_bad_tokens(make_request: MakeRequest, issuer: TokenIssuer, token: str) -> None:
    """Expired and foreign tokens are invalid values."""
    text = issuer.mint.issue(NOW, 0) if token == "expired" else token
    answer = answer_token_info(make_request(access_token=text), issuer)
    assert (answer.timeline.status, answer.fields) == (
        400,
        {"error": "invalid_token", "error_description": "Invalid Value"},
    )
    assert answer_token_info(make_request(), issuer).fields["error"] == "invalid_request"


def test_revocation(make_request: MakeRequest, issuer: TokenIssuer) -> None:
    """A revocation is answered, although it has no effect."""
    assert answer_revocation(make_request(query="token=1//0abc"), issuer).fields == {}
    assert answer_revocation(make_request(), issuer).timeline.status == 400
