"""Token endpoints and metadata server over a real socket."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator.api.emulator import Emulator
from emulator.credentials.app import find_route
from emulator.credentials.grants import JWT_BEARER, TOKEN_EXCHANGE
from emulator.server.log import log_line
from emulator.server.settings import Settings
from emulator.server.tokens import CLOUD_PLATFORM

REFRESH = {
    "grant_type": "refresh_token",
    "client_id": "id",
    "client_secret": "GOCSPX-hush",
    "refresh_token": "1//0hush",
}
METADATA_TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"

Send = Callable[..., tuple[int, Any]]
Chat = Callable[[Emulator, str], tuple[int, Any]]


@pytest.mark.parametrize("path", ["/token", "/oauth2/v4/token", "/o/oauth2/token", "/v1/token"])
@pytest.mark.parametrize("host", ["127.0.0.1", "oauth2.googleapis.com", "sts.googleapis.com"])
def test_tokens_are_accepted_by_the_service(vertex: Emulator, send: Send, chat: Chat, path: str, host: str) -> None:
    """A token from any of the paths, on any host, is accepted by the service."""
    status, reply = send(vertex, "POST", path, REFRESH, Host=host)
    assert (status, reply["expires_in"]) == (200, 300)
    assert chat(vertex, reply["access_token"])[0] == 200


def test_tokens_expire(vertex: Emulator, send: Send, chat: Chat, clock: Any) -> None:
    """An expired token is refused, and a new one is accepted."""
    token = send(vertex, "POST", "/token", REFRESH)[1]["access_token"]
    clock.ahead = 301
    status, body = chat(vertex, token)
    assert (status, body[0]["error"]["details"][0]["reason"]) == (401, "ACCESS_TOKEN_TYPE_UNSUPPORTED")
    assert chat(vertex, send(vertex, "POST", "/token", REFRESH)[1]["access_token"])[0] == 200


def test_tokens_for_something_else(vertex: Emulator, send: Send, chat: Chat) -> None:
    """A token without the scope of Google Cloud gets the 403 that names the scopes."""
    form = REFRESH | {"scope": "https://www.googleapis.com/auth/devstorage.read_only"}
    status, body = chat(vertex, send(vertex, "POST", "/token", form)[1]["access_token"])
    assert status == 403
    error = body[0]["error"]
    assert (error["message"], error["status"]) == (
        "Request had insufficient authentication scopes.",
        "PERMISSION_DENIED",
    )
    assert error["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"


def test_info_and_revocation(vertex: Emulator, send: Send) -> None:
    """Token info by GET and POST, revocation with the token in the query."""
    token = send(vertex, "POST", "/token", REFRESH)[1]["access_token"]
    assert send(vertex, "GET", f"/tokeninfo?access_token={token}")[1]["scope"] == CLOUD_PLATFORM
    assert send(vertex, "POST", "/oauth2/v3/tokeninfo", {"access_token": token})[0] == 200
    assert send(vertex, "POST", f"/revoke?token={token}") == (200, {})


def test_token_exchange_takes_json(vertex: Emulator, send: Send) -> None:
    """The exchange takes JSON as well as a form."""
    body = {"grant_type": TOKEN_EXCHANGE, "audience": "a", "subject_token": "s", "subject_token_type": "t"}
    assert send(vertex, "POST", "/v1/token", body=body)[0] == 200


def test_metadata_server(vertex: Emulator, send: Send, chat: Chat) -> None:
    """The root answers requests with the header; the token is accepted by the service."""
    assert send(vertex, "GET", "/", Metadata_Flavor="Google")[0] == 200
    assert send(vertex, "GET", "/")[0] == 404
    assert send(vertex, "GET", METADATA_TOKEN)[0] == 403
    status, reply = send(vertex, "GET", METADATA_TOKEN, Metadata_Flavor="Google")
    assert status == 200
    assert chat(vertex, reply["access_token"])[0] == 200


def test_background_lookups_of_google_auth(vertex: Emulator, send: Send) -> None:
    """They get a 404 at once, and are not reported, because programs do not know of them."""
    path = "/v1/projects/-/serviceAccounts/a@p.iam.gserviceaccount.com/allowedLocations"
    status, body = send(vertex, "GET", path, Host="iamcredentials.googleapis.com")
    assert (status, body["error"]["status"]) == (404, "NOT_FOUND")
    assert vertex.unrouted == ()


def test_wrong_method_of_a_token_endpoint(vertex: Emulator, send: Send) -> None:
    """A token endpoint that is asked by another method is not routed, and the journal says why."""
    send(vertex, "PUT", "/token", Host="oauth2.googleapis.com")
    (request,) = vertex.unrouted
    assert request.report == "PUT /token: no such method; this path answers POST"
    assert not request.is_leak


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/token"),
        ("PUT", "/token"),
        ("POST", "/token/"),
        ("POST", "/computeMetadata/v1/"),
        ("GET", "/v1/projects/-/serviceAccounts/a:generateAccessToken"),
        ("POST", "/v1/projects/-/serviceAccounts/a:signBlob"),
        ("POST", "/v1/projects/-/serviceAccounts/a/b:generateAccessToken"),
        ("DELETE", "/tokeninfo"),
    ],
)
def test_unrouted_requests(verb: str, path: str) -> None:
    """Other methods and paths have no route."""
    assert find_route(verb, path) is None


def test_large_bodies_are_refused(vertex: Emulator, send: Send) -> None:
    """A body of more than a megabyte is refused."""
    assert send(vertex, "POST", "/token", {"assertion": "a" * 1_100_000})[0] == 413


def test_journal_keeps_token_requests_without_secrets(
    vertex: Emulator, send: Send, keys: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The journal has requests and responses with their secrets redacted; exchanges with the model are counted apart."""
    token = send(vertex, "POST", "/token", REFRESH)[1]["access_token"]
    path = "/v1/projects/-/serviceAccounts/other@blue.iam.gserviceaccount.com:generateAccessToken"
    send(vertex, "POST", path, body={"scope": [CLOUD_PLATFORM]}, Authorization=f"Bearer {token}")
    send(vertex, "GET", f"/tokeninfo?access_token={token}")
    send(vertex, "GET", METADATA_TOKEN, Metadata_Flavor="Google")
    send(vertex, "GET", "/computeMetadata/v1/project/project-id", Metadata_Flavor="Google")
    send(vertex, "POST", "/token", {"grant_type": "eyJhbGciOi.eyJpc3MiOi.c2ln", "password": "hush"})
    status, body = send(vertex, "GET", "/__emulator__/journal")
    assert status == 200
    found = body["exchanges"]
    assert [one["outcome"] for one in found] == ["token", "token", "token", "token", "refusal"]
    assert [one["session"] for one in found] == ["", "blue", "", "demo", ""]
    assert [one["number"] for one in found] == [1, 2, 3, 4, 5]
    assert found[4]["refusal"]["name"] == "token_unsupported_grant_type"
    text = json.dumps(found) + "".join(log_line(one) for one in vertex.service.journal.entries)
    for secret in ("hush", "ya29", "eyJ", token):
        assert secret not in text
    assert list(vertex.service.journal) == []
    assert len(send(vertex, "GET", "/__emulator__/journal?session=blue&outcome=token")[1]["exchanges"]) == 1
    assert send(vertex, "GET", "/__emulator__/journal?rule=x")[1]["exchanges"] == []
    assert send(vertex, "POST", "/__emulator__/reset?session=blue")[0] == 204
    assert len(vertex.service.journal.entries) == 4


def write_scenario(folder: Path, tokens: str) -> Path:
    """Write a scenario with `tokens`."""
    path = folder / "tokens.yaml"
    path.write_text(f"tokens: {tokens}\nrules: [{{reply: Hi.}}]\n", "utf-8")
    return path


@pytest.mark.parametrize(
    ("fail", "status", "body"),
    [
        ("503", 503, {"error": "internal_failure"}),
        ("429", 429, {"error": "internal_failure"}),
        (
            "token_refresh_revoked",
            400,
            {"error": "invalid_grant", "error_description": "Token has been expired or revoked."},
        ),
        ("401", 401, {"error": "invalid_client", "error_description": "The OAuth client was not found."}),
    ],
)
def test_scripted_failures(tmp_path: Path, send: Send, fail: str, status: int, body: dict[str, str]) -> None:
    """The first requests fail as the scenario says, later ones get tokens."""
    with Emulator(write_scenario(tmp_path, f"{{fail: {fail}, times: 2}}")) as vertex:
        assert [send(vertex, "POST", "/token", REFRESH) for _ in range(2)] == [(status, body)] * 2
        assert send(vertex, "POST", "/token", REFRESH)[0] == 200
        # Each session counts for itself; that of the metadata server's account has asked for nothing yet.
        assert send(vertex, "GET", METADATA_TOKEN, Metadata_Flavor="Google")[0] == status
        assert send(vertex, "GET", "/computeMetadata/v1/project/project-id", Metadata_Flavor="Google")[0] == 200
        assert send(vertex, "POST", "/__emulator__/reset")[0] == 204
        assert send(vertex, "POST", "/token", REFRESH)[0] == status


def test_scripted_failures_without_end(tmp_path: Path, send: Send) -> None:
    """Without `times` no request gets a token."""
    with Emulator(write_scenario(tmp_path, "{fail: token_account_not_found}")) as vertex:
        assert {send(vertex, "POST", "/token", REFRESH)[0] for _ in range(5)} == {400}


def test_scripted_lifetime(tmp_path: Path, send: Send) -> None:
    """A scenario shortens the lifetime of tokens, and never lengthens it."""
    with Emulator(write_scenario(tmp_path, "{lifetime_s: 5}")) as vertex:
        assert send(vertex, "POST", "/token", REFRESH)[1]["expires_in"] == 5
    with Emulator(write_scenario(tmp_path, "{lifetime_s: 5}"), settings=Settings(token_lifetime=2)) as vertex:
        assert send(vertex, "POST", "/token", REFRESH)[1]["expires_in"] == 2


def test_pushed_scenario_fails_its_own_session(send: Send) -> None:
    """A scenario pushed for a project applies to the accounts of that project only."""
    with Emulator() as vertex:
        vertex.service.push("blue", "tokens: {fail: 503}\nrules: [{reply: Hi.}]\n")
        paths = [
            f"/v1/projects/-/serviceAccounts/me@{project}.iam.gserviceaccount.com:generateAccessToken"
            for project in ("blue", "red")
        ]
        body = {"scope": [CLOUD_PLATFORM]}
        assert [send(vertex, "POST", path, body=body, Authorization="Bearer ya29.x")[0] for path in paths] == [503, 200]


def test_assertions_without_the_extra(vertex: Emulator, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyJWT an assertion gets an error of the emulator that names the extra; other grants work."""
    monkeypatch.setitem(sys.modules, "jwt", None)
    form = {"grant_type": JWT_BEARER, "assertion": "a.b.c"}
    status, reply = send(vertex, "POST", "/token", form)
    assert (status, reply["error"]) == (418, "missing_package")
    assert reply["error_description"] == (
        "emulator: assertions of service accounts need the package pyjwt where the emulator runs; "
        "pip install 'vertex-openai-emulator[exec]'"
    )
    entry = vertex.service.journal.entries[-1].to_json()
    assert (entry["status"], entry["outcome"], entry["refusal"]["name"]) == (418, "refusal", "missing_package")
    assert send(vertex, "POST", "/token", REFRESH)[0] == 200
