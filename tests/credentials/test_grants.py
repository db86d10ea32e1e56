"""The token endpoints, below HTTP."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.auth import crypt, jwt

from emulator.credentials.grants import ACCESS_TOKEN_TYPE, JWT_BEARER, TOKEN_EXCHANGE, answer_grant, read_assertion
from emulator.credentials.key_files import KeyFiles, write_key_files
from emulator.credentials.messages import CredentialRequest, CredentialResponse, TokenIssuer
from emulator.server.tokens import CLOUD_PLATFORM, Token

NOW = 1_750_000_000
ACCOUNT = "robot@demo.iam.gserviceaccount.com"
CLAIMS = {"iss": ACCOUNT, "iat": NOW - 10, "exp": NOW + 3590, "scope": CLOUD_PLATFORM, "aud": "https://anything.test"}
USER = {"client_id": "id", "client_secret": "secret", "refresh_token": "1//0abc"}

MakeRequest = Callable[..., CredentialRequest]


def write_jwt(claims: Any, header: Any = None) -> str:
    """Encode a token with an invalid signature."""
    own_header = {"alg": "RS256", "kid": "unknown"} if header is None else header
    parts = [json.dumps(part).encode() for part in (own_header, claims)]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, b"signature"))


def fail(answer: CredentialResponse) -> tuple[int, str, str]:
    """Return the status and both texts of an error."""
    fields = answer.fields
    assert answer.refusal is not None
    assert json.loads(answer.timeline.body) == fields
    return answer.timeline.status, fields["error"], fields.get("error_description", "")


def test_assertion_gets_a_token(make_request: MakeRequest, issuer: TokenIssuer) -> None:
    """A service account's assertion is exchanged for a token of its account and scopes; its audience does not matter."""
    claims = CLAIMS | {"scope": f"openid {CLOUD_PLATFORM}"}
    answer = answer_grant(make_request(grant_type=JWT_BEARER, assertion=write_jwt(claims)), issuer)
    reply = json.loads(answer.timeline.body)
    assert list(reply) == ["access_token", "expires_in", "token_type"]
    assert (reply["expires_in"], reply["token_type"]) == (3599, "Bearer")
    assert issuer.mint.read(reply["access_token"]) == Token(NOW + 3599, ("openid", CLOUD_PLATFORM), ACCOUNT)


def test_subject_of_an_assertion_is_the_account(make_request: MakeRequest, issuer: TokenIssuer) -> None:
    """With domain-wide delegation the token stands for the user."""
    claims = CLAIMS | {"sub": "somebody@example.com"}
    answer = answer_grant(make_request(grant_type=JWT_BEARER, assertion=write_jwt(claims)), issuer)
    token = issuer.mint.read(answer.fields["access_token"])
    assert token is not None
    assert token.account == "somebody@example.com"


def test_lifetime_is_the_servers(make_request: MakeRequest, make_issuer: Callable[..., TokenIssuer]) -> None:
    """`expires_in` and the token itself agree, and the server's lifetime is the limit."""
    issuer = make_issuer(lifetime=300).limited_to(7).limited_to(100)
    answer = answer_grant(make_request(grant_type=JWT_BEARER, assertion=write_jwt(CLAIMS)), issuer)
    token = issuer.mint.read(answer.fields["access_token"])
    assert token is not None
    assert (answer.fields["expires_in"], token.expiry) == (7, NOW + 7)


def test_target_audience_gets_an_id_token(make_request: MakeRequest, issuer: TokenIssuer) -> None:
    """An assertion with `target_audience` gets an ID token and nothing else."""
    claims = {key: value for key, value in CLAIMS.items() if key != "scope"} | {"target_audience": "https://run.test"}
    answer = answer_grant(make_request(grant_type=JWT_BEARER, assertion=write_jwt(claims)), issuer)
    assert list(answer.fields) == ["id_token"]
    read = read_assertion(answer.fields["id_token"])
    assert read is not None
    assert read.claims["aud"] == "https://run.test"
    assert (read.claims["email"], read.claims["exp"]) == (ACCOUNT, NOW + 3599)


TIME = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"iat": NOW - 7200, "exp": NOW - 3600}, "invalid_grant", TIME),
        ({"iat": NOW + 3600, "exp": NOW + 7200}, "invalid_grant", TIME),
        ({"exp": NOW + 24 * 3600}, "invalid_grant", TIME),
        ({"iat": None}, "invalid_grant", TIME),
        ({"exp": "soon"}, "invalid_grant", TIME),
        ({"iat": True}, "invalid_grant", TIME),
        ({"iss": ""}, "invalid_grant", "Invalid grant: account not found"),
        ({"iss": 5}, "invalid_grant", "Invalid grant: account not found"),
        ({"scope": ""}, "invalid_scope", "Invalid OAuth scope or ID token audience provided."),
        ({"scope": [CLOUD_PLATFORM]}, "invalid_scope", "Invalid OAuth scope or ID token audience provided."),
    ],
)
def test_bad_claims(make_request: MakeRequest, issuer: TokenIssuer, changes: Any, error: str, description: str) -> None:
    """Invalid claims are refused with Google's messages."""
    request = make_request(grant_type=JWT_BEARER, assertion=write_jwt(CLAIMS | changes))
    assert fail(answer_grant(request, issuer)) == (400, error, description)


@pytest.mark.parametrize(
    "assertion",
    ["x", "a.b.c", "é.é.é", "\ud800.a.b", "..", write_jwt([]), write_jwt("text"), write_jwt(CLAIMS, []), "a" * 100_000],
)
def test_no_json_web_token(make_request: MakeRequest, issuer: TokenIssuer, assertion: str) -> None:
    """A text that is not a JSON web token is a bad request."""
    request = make_request(grant_type=JWT_BEARER, assertion=assertion)
    assert fail(answer_grant(request, issuer)) == (400, "invalid_grant", "Bad Request")


def make_assertion(files: KeyFiles, kid: str | None = None) -> str:
    """Sign an assertion as google-auth does."""
    signer = crypt.RSASigner.from_service_account_file(str(files.service_account))  # type: ignore[no-untyped-call]  # google-auth lacks the types
    return str(jwt.encode(signer, CLAIMS, key_id=kid or files.key_id).decode())  # type: ignore[no-untyped-call]  # google-auth lacks the types


def test_signatures_of_known_keys_are_verified(
    make_request: MakeRequest, make_issuer: Callable[..., TokenIssuer], tmp_path: Path
) -> None:
    """Signatures are verified for keys of this process; assertions with other keys are accepted."""
    ours = write_key_files(tmp_path / "ours", url="http://127.0.0.1:1", project="demo")
    others = write_key_files(tmp_path / "others", url="http://127.0.0.1:1", project="demo")
    issuer = make_issuer(public_keys={ours.key_id: ours.public_key})

    def exchange(assertion: str) -> CredentialResponse:
        return answer_grant(make_request(grant_type=JWT_BEARER, assertion=assertion), issuer)

    assert exchange(make_assertion(ours)).refusal is None
    assert exchange(make_assertion(others)).refusal is None
    forged = exchange(make_assertion(others, kid=ours.key_id))
    assert fail(forged) == (400, "invalid_grant", "Invalid JWT Signature.")


def test_refresh_token(make_request: MakeRequest, issuer: TokenIssuer) -> None:
    """A user's refresh token gets a token for all of Google Cloud, or for the requested scopes."""
    plain = answer_grant(make_request(grant_type="refresh_token", **USER), issuer)
    assert list(plain.fields) == ["access_token", "expires_in", "token_type"]
    assert issuer.mint.judge(plain.fields["access_token"], NOW) == "valid"
    narrow = answer_grant(make_request(grant_type="refresh_token", **USER, scope="openid email"), issuer)
    assert list(narrow.fields) == ["access_token", "expires_in", "scope", "token_type", "id_token"]
    assert narrow.fields["scope"] == "openid email"
    assert issuer.mint.judge(narrow.fields["access_token"], NOW) == "mis-scoped"


def test_token_exchange(make_request: MakeRequest, issuer: TokenIssuer) -> None:
    """A federated identity's token is exchanged; the reply names the type of the issued token."""
    form = {"audience": "//iam.googleapis.com/pool", "subject_token": "s", "subject_token_type": "t"}
    answer = answer_grant(make_request("/v1/token", grant_type=TOKEN_EXCHANGE, scope=CLOUD_PLATFORM, **form), issuer)
    assert list(answer.fields) == ["access_token", "issued_token_type", "token_type", "expires_in"]
    assert answer.fields["issued_token_type"] == ACCESS_TOKEN_TYPE


@pytest.mark.parametrize(
    ("form", "missing"),
    [
        ({"grant_type": JWT_BEARER}, "assertion"),
        ({"grant_type": "refresh_token"}, "client_id"),
        ({"grant_type": "refresh_token", "client_id": "a", "client_secret": "b", "refresh_token": ""}, "refresh_token"),
        ({"grant_type": "refresh_token", "client_id": ["a"]}, "client_id"),
        ({"grant_type": TOKEN_EXCHANGE, "audience": "a"}, "subject_token"),
    ],
)
def test_missing_parameters(make_request: MakeRequest, issuer: TokenIssuer, form: dict[str, str], missing: str) -> None:
    """The error names the missing parameter."""
    expected = (400, "invalid_request", f"Missing required parameter: {missing}")
    assert fail(answer_grant(make_request(**form), issuer)) == expected


@pytest.mark.parametrize("grant", ["", "password"])
def test_unknown_grants(make_request: MakeRequest, issuer: TokenIssuer, grant: str) -> None:
    """The error names the unknown grant type."""
    expected = (400, "unsupported_grant_type", f"Invalid grant_type: {grant}")
    assert fail(answer_grant(make_request(grant_type=grant), issuer)) == expected
