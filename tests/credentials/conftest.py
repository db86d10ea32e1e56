"""A server whose clock is moved by hand, and requests to it."""

import json
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from emulator.api.emulator import Emulator
from emulator.credentials.key_files import KeyFiles, write_key_files
from emulator.credentials.messages import CredentialRequest, TokenIssuer, parse_query
from emulator.server.authentication import Credentials
from emulator.server.clock import SystemClock
from emulator.server.settings import Settings
from emulator.server.tokens import Mint

NOW = 1_750_000_000.0


class MovedClock(SystemClock):
    """The system clock plus an offset that a test sets."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        """Unix time in seconds."""
        return time.time() + self.ahead


@pytest.fixture
def clock() -> MovedClock:
    """The server's clock."""
    return MovedClock()


@pytest.fixture
def make_issuer() -> Callable[..., TokenIssuer]:
    """Create token issuers at a fixed time."""

    def make(**settings: Any) -> TokenIssuer:
        known: dict[str, Any] = {"mint": Mint(b"secret"), "now": NOW, "public_keys": {}, "project": "demo"}
        return TokenIssuer(**known | settings)

    return make


@pytest.fixture
def issuer(make_issuer: Callable[..., TokenIssuer]) -> TokenIssuer:
    """A token issuer."""
    return make_issuer()


@pytest.fixture
def make_request() -> Callable[..., CredentialRequest]:
    """Create requests."""

    def make(
        path: str = "/token",
        verb: str = "POST",
        query: str = "",
        bearer: str | None = None,
        headers: dict[str, str] | None = None,
        **form: Any,
    ) -> CredentialRequest:
        return CredentialRequest(
            verb=verb,
            path=path,
            headers=headers or {},
            query=parse_query(query),
            form=form,
            credentials=Credentials(bearer, has_api_key=False),
        )

    return make


@pytest.fixture
def vertex(clock: MovedClock) -> Iterator[Emulator]:
    """A server of the built-in scenario that accepts only tokens of its own."""
    with Emulator(settings=Settings(auth="issued", token_lifetime=300), clock=clock) as running:
        yield running


@pytest.fixture
def keys(vertex: Emulator, tmp_path: Path) -> KeyFiles:
    """Key files for the server, with the key registered at the server."""
    files = write_key_files(tmp_path / "keys", url=vertex.url, project="demo")
    vertex.service.public_keys[files.key_id] = files.public_key
    return files


@pytest.fixture
def send() -> Callable[..., tuple[int, Any]]:
    """Send a request to a server; return status and body, parsed where it is JSON."""

    def ask(
        vertex: Emulator, verb: str, path: str, form: dict[str, str] | None = None, body: Any = None, **headers: str
    ) -> tuple[int, Any]:
        connection = HTTPConnection(vertex.url.removeprefix("http://"), timeout=30)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        content = urlencode(form) if form is not None else json.dumps(body) if body is not None else None
        connection.request(verb, path, content, sent)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, json.loads(text) if text[:1] in {"{", "["} else text

    return ask


@pytest.fixture
def chat(send: Callable[..., tuple[int, Any]]) -> Callable[[Emulator, str], tuple[int, Any]]:
    """Send a chat request with a token."""

    def ask(vertex: Emulator, token: str) -> tuple[int, Any]:
        path = "/v1/projects/demo/locations/us-central1/endpoints/openapi/chat/completions"
        body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}]}
        return send(vertex, "POST", path, body=body, Authorization=f"Bearer {token}")

    return ask
