"""The metadata server, below HTTP."""

import json
from collections.abc import Callable

import pytest

from emulator.credentials.grants import read_assertion
from emulator.credentials.messages import CredentialRequest, CredentialResponse, TokenIssuer, parse_body
from emulator.credentials.metadata_server import answer_metadata
from emulator.server.tokens import CLOUD_PLATFORM, Token

NOW = 1_750_000_000
ACCOUNT = "vertex-emulator@demo.iam.gserviceaccount.com"
DEFAULT = "/computeMetadata/v1/instance/service-accounts/default"

Get = Callable[..., CredentialResponse]


@pytest.fixture
def get(make_request: Callable[..., CredentialRequest], issuer: TokenIssuer) -> Get:
    """Send a request to the metadata server as Google's libraries do."""

    def ask(path: str, query: str = "", flavor: str = "Google") -> CredentialResponse:
        headers = {"metadata-flavor": flavor} if flavor else {}
        return answer_metadata(make_request(path, "GET", query, headers=headers), issuer)

    return ask


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/", "computeMetadata/\n"),
        ("/computeMetadata/v1/", "instance/\nproject/\nuniverse/\n"),
        ("/computeMetadata/v1/instance", "service-accounts/\nzone\n"),
        ("/computeMetadata/v1/instance/service-accounts/", f"default/\n{ACCOUNT}/\n"),
        ("/computeMetadata/v1/project/project-id", "demo"),
        ("/computeMetadata/v1/universe/universe-domain", "googleapis.com"),
        (f"{DEFAULT}/email", ACCOUNT),
        (f"/computeMetadata/v1/instance/service-accounts/{ACCOUNT}/email", ACCOUNT),
        (f"{DEFAULT}/scopes", f"{CLOUD_PLATFORM}\n"),
        (f"{DEFAULT}/aliases", "default"),
        (f"{DEFAULT}/", "aliases\nemail\nidentity\nscopes\ntoken\n"),
    ],
)
def test_texts(get: Get, path: str, text: str) -> None:
    """Paths are answered with plain text."""
    answer = get(path)
    assert answer.timeline.status == 200
    assert answer.timeline.body.decode() == text
    assert dict(answer.timeline.headers)["metadata-flavor"] == "Google"


def test_account(get: Get) -> None:
    """`recursive=true` returns the account as JSON."""
    answer = get(f"{DEFAULT}/", "recursive=true")
    assert json.loads(answer.timeline.body) == {"aliases": ["default"], "email": ACCOUNT, "scopes": [CLOUD_PLATFORM]}
    assert dict(answer.timeline.headers)["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("query", "scopes"),
    [
        ("", (CLOUD_PLATFORM,)),
        ("scopes=openid,email", ("openid", "email")),
        (f"scopes={CLOUD_PLATFORM}", (CLOUD_PLATFORM,)),
    ],
)
def test_token(get: Get, issuer: TokenIssuer, query: str, scopes: tuple[str, ...]) -> None:
    """A token of the machine's account, for the requested scopes."""
    answer = get(f"{DEFAULT}/token", query)
    assert list(answer.fields) == ["access_token", "expires_in", "token_type"]
    assert issuer.mint.read(answer.fields["access_token"]) == Token(NOW + 3599, scopes, ACCOUNT)


def test_identity(get: Get) -> None:
    """An ID token for an audience, which is required."""
    id_token = read_assertion(get(f"{DEFAULT}/identity", "audience=https://run.test").timeline.body.decode())
    assert id_token is not None
    assert id_token.claims["aud"] == "https://run.test"
    assert get(f"{DEFAULT}/identity").timeline.status == 400


@pytest.mark.parametrize("flavor", ["", "google", "Amazon"])
@pytest.mark.parametrize("path", [f"{DEFAULT}/token", "/computeMetadata/v1/project/project-id"])
def test_requests_without_the_header_are_refused(get: Get, flavor: str, path: str) -> None:
    """A request without `Metadata-Flavor: Google` gets 403 and no token."""
    answer = get(path, flavor=flavor)
    assert answer.timeline.status == 403
    assert b"Metadata-Flavor" in answer.timeline.body
    assert b"ya29" not in answer.timeline.body


@pytest.mark.parametrize("path", ["/computeMetadata/v1/nothing", f"{DEFAULT}/nothing", f"{DEFAULT}/token/x"])
def test_other_paths(get: Get, path: str) -> None:
    """Unknown paths get a 404 with the headers of the metadata server."""
    answer = get(path)
    assert answer.timeline.status == 404
    assert dict(answer.timeline.headers)["metadata-flavor"] == "Google"


@pytest.mark.parametrize(
    ("content_type", "body", "fields"),
    [
        ("application/x-www-form-urlencoded", b"a=1&b=%20x&a=2", {"a": "1", "b": " x"}),
        ("application/json", b'{"scope": ["x"]}', {"scope": ["x"]}),
        ("", b'{"scope": ["x"]}', {"scope": ["x"]}),
        ("application/json", b"[1]", {}),
        ("application/json", b"{", {}),
        ("application/json", b"[" * 100_000, {}),
        ("application/json", b'{"a": NaN}', {}),
        ("application/json", rb'{"a": "\ud800"}', {}),
        ("", b"\xff\xfe", {"\ufffd\ufffd": ""}),
        ("", b"&".join(b"a" for _ in range(1000)), {}),
        ("", b"", {}),
    ],
)
def test_bodies(content_type: str, body: bytes, fields: dict[str, object]) -> None:
    """Forms and JSON objects are read, everything else has no fields."""
    assert parse_body(content_type, body) == fields
