"""Certificates that live as long as a run."""

import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator.errors import StartError
from emulator.intercept.certificate_authority import CertificateAuthority

LEGITIMATE = [
    "us-central1-aiplatform.googleapis.com",
    "aiplatform.googleapis.com",
    "oauth2.googleapis.com",
    "aiplatform.us.rep.googleapis.com",
    "aiplatform.eu.rep.googleapis.com",
    "aiplatform.europe-west4.rep.googleapis.com",
    "1234.us-central1-567.prediction.vertexai.goog",
    "localhost",
    "127.0.0.1",
    "vertex",
    "a.b.c.example",
]


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> dict[str, Any]:
    """Do a TLS handshake in memory, and return the certificate that was presented."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(down, up, server_hostname=name)
    theirs = server.wrap_bio(up, down, server_side=True)
    while not advance(ours):
        advance(theirs)
    return dict(ours.getpeercert() or {})


def advance(side: ssl.SSLObject) -> bool:
    """Continue a handshake as far as possible; return whether it is complete."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


@pytest.mark.parametrize("name", LEGITIMATE)
def test_every_name_gets_a_certificate(name: str, tmp_path: Path) -> None:
    """Strict verification passes for every name, also for names with many labels and unforeseen ones."""
    authority = CertificateAuthority()
    client = ssl.create_default_context(cadata=authority.certificate.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    assert handshake(authority.server_context(tmp_path), client, name)["subjectAltName"]
    assert list(tmp_path.iterdir()) == []


def test_invalid_server_names(tmp_path: Path) -> None:
    """For an invalid server name the default certificate is presented, which the client rejects."""
    authority = CertificateAuthority()
    client = ssl.create_default_context(cadata=authority.certificate.decode())
    with pytest.raises(ssl.SSLCertVerificationError, match=r"doesn't match|not valid for"):
        handshake(authority.server_context(tmp_path), client, "under_score.example")


def test_authorities_do_not_trust_each_other(tmp_path: Path) -> None:
    """Each run has its own key."""
    client = ssl.create_default_context(cadata=CertificateAuthority().certificate.decode())
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(CertificateAuthority().server_context(tmp_path), client, "aiplatform.googleapis.com")


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without trustme the message says what to install."""
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(
        StartError, match=r"^TLS needs the package trustme; pip install 'vertex-openai-emulator\[exec\]'$"
    ):
        CertificateAuthority()
