"""The credentials that programs find: a user's, a service account's, those of a machine, a federated identity's."""

import sys
from pathlib import Path
from typing import Any

import pytest

SKY = Path(__file__).with_name("sky.yaml")
PROGRAMS = Path(__file__).with_name("programs")
BLUE = "Because of Rayleigh scattering."
DEFAULT = PROGRAMS / "default_credentials.py"
KINDS = {
    "user": "google.oauth2.credentials.Credentials",
    "metadata": "google.auth.compute_engine.credentials.Credentials",
    "external": "google.auth.identity_pool.Credentials",
}


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_default_credentials_without_scopes(programs: Any, kind: str | None) -> None:
    """google.auth.default() without scopes works with all credentials but a service account's; a user's are the default."""
    options = ("--credentials", kind) if kind else ()
    done = programs.run(
        *options, "--verify", "--auth", "issued", "--project", "blue", SKY, "--", sys.executable, "-W", "error", DEFAULT
    )
    assert done.answers == {"kind": KINDS[kind or "user"], "project": "blue", "text": BLUE, "session": 200}
    assert done.left == []


def test_service_accounts_need_scopes(programs: Any) -> None:
    """A service account's credentials are refused without scopes, and the remedy is named."""
    done = programs.run("--credentials", "service-account", SKY, "--", sys.executable, DEFAULT)
    assert done.answers["kind"] == "google.oauth2.service_account.Credentials"
    assert done.answers["error"] == "invalid_scope: Invalid OAuth scope or ID token audience provided."
    summary, remedy = done.err.splitlines()
    assert summary.endswith("1 token request, 0 misses, 1 refusal, 0 leaks")
    assert remedy.startswith(
        "vertex-emulator: a service account's credentials were used without scopes (invalid_scope): "
    )
    assert remedy.endswith("by --credentials user (the default)")


def test_service_accounts_with_scopes(programs: Any) -> None:
    """With scopes, as the documentation has it, a service account works."""
    done = programs.run(
        *("--credentials", "service-account", "--verify", "--auth", "issued", SKY),
        *("--", sys.executable, PROGRAMS / "http_clients.py"),
    )
    assert set(done.answers.values()) == {BLUE}


def test_machines_find_no_login_of_the_user(programs: Any) -> None:
    """With --credentials metadata, a developer's own login is not found."""
    own = programs.folder / ".config" / "gcloud"
    own.mkdir(parents=True)
    (own / "application_default_credentials.json").write_text('{"type": "authorized_user"}', "utf-8")
    done = programs.run(
        *("--credentials", "metadata", SKY, "--", sys.executable, DEFAULT), env={"HOME": str(programs.folder)}
    )
    assert done.answers["kind"] == KINDS["metadata"]
