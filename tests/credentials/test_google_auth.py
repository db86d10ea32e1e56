"""google-auth, unchanged, against the server: every kind of credentials that needs no name redirected."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google.auth
import pytest
from google.auth import exceptions, impersonated_credentials
from google.auth.transport.requests import Request
from google.oauth2 import credentials as user_credentials
from google.oauth2 import service_account

from emulator.api.emulator import Emulator
from emulator.credentials.grants import read_assertion
from emulator.credentials.key_files import KeyFiles, write_key_files
from emulator.server.tokens import CLOUD_PLATFORM

Chat = Callable[[Emulator, str], tuple[int, Any]]
SCOPES = [CLOUD_PLATFORM]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the credentials and proxies of this machine."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], tuple[Any, str | None]]:
    """Let google-auth find a key file by itself."""

    def default(path: Path) -> tuple[Any, str | None]:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        found: tuple[Any, str | None] = google.auth.default(scopes=SCOPES)
        return found

    return default


def test_service_account(vertex: Emulator, keys: KeyFiles, load: Any, chat: Chat) -> None:
    """`default()` finds the file and its project, `refresh` gets a token that is accepted."""
    found, project = load(keys.service_account)
    assert project == "demo"
    found.refresh(Request())
    assert chat(vertex, found.token)[0] == 200
    token = vertex.service.mint.read(found.token)
    assert token is not None
    assert token.account == found.service_account_email


def test_service_account_without_the_extra(
    vertex: Emulator, keys: KeyFiles, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the emulator lacks PyJWT, google-auth shows what is missing and how to install it."""
    found, _project = load(keys.service_account)
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(exceptions.RefreshError) as caught:
        found.refresh(Request())
    assert caught.value.args[0].startswith(
        "missing_package: emulator: assertions of service accounts need the package pyjwt"
    )
    assert vertex.service.journal.entries[-1].result == "refusal"


def test_client_refreshes_in_time(vertex: Emulator, keys: KeyFiles, load: Any, chat: Chat, clock: Any) -> None:
    """A short-lived token is refused once it has expired, and a refreshed one is accepted."""
    found, _project = load(keys.service_account)
    found.refresh(Request())
    first = found.token
    clock.ahead = 301
    status, body = chat(vertex, first)
    assert (status, body[0]["error"]["details"][0]["reason"]) == (401, "ACCESS_TOKEN_TYPE_UNSUPPORTED")
    found.refresh(Request())
    assert found.token != first
    assert chat(vertex, found.token)[0] == 200


def test_wrong_key(vertex: Emulator, keys: KeyFiles, load: Any) -> None:
    """An account whose key was replaced gets Google's error and does not retry."""
    account = json.loads(keys.service_account.read_text())
    stranger = write_key_files(keys.service_account.parent / "stranger", url=vertex.url, project="demo")
    account["private_key"] = json.loads(stranger.service_account.read_text())["private_key"]
    keys.service_account.write_text(json.dumps(account))
    found, _project = load(keys.service_account)
    with pytest.raises(exceptions.RefreshError, match=r"invalid_grant: Invalid JWT Signature\.") as raised:
        found.refresh(Request())
    assert not raised.value.retryable


def test_clock_of_the_client_is_wrong(keys: KeyFiles, load: Any, clock: Any) -> None:
    """An assertion with wrong times is refused with Google's message."""
    found, _project = load(keys.service_account)
    clock.ahead = 3 * 3600
    with pytest.raises(exceptions.RefreshError, match="Token must be a short-lived token"):
        found.refresh(Request())


def test_no_scopes(keys: KeyFiles) -> None:
    """A service account without scopes is refused, as in the cloud."""
    found = service_account.Credentials.from_service_account_file(str(keys.service_account))  # type: ignore[no-untyped-call]  # google-auth lacks the types
    with pytest.raises(exceptions.RefreshError, match="Invalid OAuth scope or ID token audience provided"):
        found.refresh(Request())


def test_external_account(vertex: Emulator, keys: KeyFiles, load: Any, chat: Chat, monkeypatch: Any) -> None:
    """A federated identity, with the project from the environment."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "demo")
    found, project = load(keys.external_account)
    assert project == "demo"
    found.refresh(Request())
    assert chat(vertex, found.token)[0] == 200


def test_federated_impersonation(vertex: Emulator, keys: KeyFiles, load: Any, chat: Chat, monkeypatch: Any) -> None:
    """A federated identity that impersonates a service account uses both endpoints."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "demo")
    file = json.loads(keys.external_account.read_text())
    account = "other@demo.iam.gserviceaccount.com"
    file["service_account_impersonation_url"] = (
        f"{vertex.url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
    )
    keys.external_account.write_text(json.dumps(file))
    found, _project = load(keys.external_account)
    found.refresh(Request())
    assert chat(vertex, found.token)[0] == 200
    token = vertex.service.mint.read(found.token)
    assert token is not None
    assert token.account == account


def test_impersonation(vertex: Emulator, keys: KeyFiles, load: Any, chat: Chat) -> None:
    """One service account impersonates another."""
    source, _project = load(keys.service_account)
    account = "other@demo.iam.gserviceaccount.com"
    found: Any = impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]  # google-auth lacks the types
        source,
        account,
        SCOPES,
        lifetime=600,
        iam_endpoint_override=f"{vertex.url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken",
    )
    found.refresh(Request())
    assert chat(vertex, found.token)[0] == 200


def test_id_token(vertex: Emulator, keys: KeyFiles) -> None:
    """A service account gets an ID token for an audience; the service does not accept it as an access token."""
    found = service_account.IDTokenCredentials.from_service_account_file(  # type: ignore[no-untyped-call]  # google-auth lacks the types
        str(keys.service_account), target_audience="https://run.test"
    )
    found.refresh(Request())
    id_token = read_assertion(found.token)
    assert id_token is not None
    assert id_token.claims["aud"] == "https://run.test"
    assert vertex.service.mint.judge(found.token, 0) == "foreign"


def test_user(vertex: Emulator, keys: KeyFiles, chat: Chat) -> None:
    """A user's refresh token, at an endpoint that the program names itself."""
    file = json.loads(keys.authorized_user.read_text())
    found: Any = user_credentials.Credentials(  # type: ignore[no-untyped-call]  # google-auth lacks the types
        None,
        refresh_token=file["refresh_token"],
        client_id=file["client_id"],
        client_secret=file["client_secret"],
        token_uri=f"{vertex.url}/token",
        scopes=["openid", *SCOPES],
    )
    found.refresh(Request())
    assert chat(vertex, found.token)[0] == 200
    assert found.id_token


def test_metadata_server(vertex: Emulator, chat: Chat, tmp_path: Path) -> None:
    """With the two variables set, a program behaves as on Google's machines."""
    host = vertex.url.removeprefix("http://")
    program = (
        "import google.auth, google.auth.transport.requests as transport\n"
        f"found, project = google.auth.default(scopes={SCOPES!r})\n"
        "found.refresh(transport.Request())\n"
        "print(type(found).__module__, project, found.service_account_email, found.token)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(tmp_path),
            "GCE_METADATA_HOST": host,
            "GCE_METADATA_IP": host,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    module, project, account, token = done.stdout.split()
    assert (module, project) == ("google.auth.compute_engine.credentials", "demo")
    assert account == "vertex-emulator@demo.iam.gserviceaccount.com"
    assert chat(vertex, token)[0] == 200
