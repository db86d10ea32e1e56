"""Requests to the token endpoints and the metadata server, and their responses."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from emulator.catalogue.errors import CatalogueError
from emulator.engine.error_answers import refuse
from emulator.engine.timeline.timeline import Timeline, plain_timeline, refusal_timeline
from emulator.server.authentication import Credentials
from emulator.server.settings import Auth
from emulator.server.tokens import LIFETIME, Mint
from emulator.wire.errors import Refusal
from emulator.wire.headers import Headers
from emulator.wire.json_text import dump, parse_or_text

_JSON_TYPE = "application/json; charset=utf-8"
# Observed: the responses of token endpoints must not be cached.
_NO_STORE: Headers = (("cache-control", "no-cache, no-store, max-age=0, must-revalidate"), ("pragma", "no-cache"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRequest:
    """A parsed request; `form` has the fields of its body, which is a form or a JSON object."""

    verb: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, Any]
    credentials: Credentials

    def text(self, name: str) -> str:
        """Return a text field of the body or else of the query; empty if it is missing or not a text."""
        value = self.form.get(name, self.query.get(name, ""))
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIssuer:
    """Issues access tokens at one moment, with the settings of the server."""

    mint: Mint
    now: float
    """Unix time in seconds."""
    lifetime: int = LIFETIME
    """The longest lifetime of a token, in seconds."""
    public_keys: Mapping[str, str]
    """Public keys (PEM) of known service accounts, by key id."""
    project: str
    """The project of the metadata server."""
    auth: Auth = "any"

    def issue(self, scopes: Sequence[str], account: str, lifetime: int | None = None) -> tuple[str, int]:
        """Return a new token and its lifetime in seconds."""
        seconds = self.lifetime if lifetime is None else min(lifetime, self.lifetime)
        return self.mint.issue(self.now, seconds, scopes, account), seconds

    def limited_to(self, seconds: int | None) -> "TokenIssuer":
        """Return a copy whose tokens live no longer than this; without a limit, itself."""
        return self if seconds is None else replace(self, lifetime=min(seconds, self.lifetime))


@dataclass(frozen=True, slots=True)
class CredentialResponse:
    """A response, with its fields and its error for the journal."""

    timeline: Timeline
    fields: Mapping[str, Any]
    """The JSON of the body; its secrets are not redacted yet."""
    refusal: Refusal | None = None
    is_scripted: bool = False
    """Whether the scenario's `tokens` made it fail."""


def parse_body(content_type: str, body: bytes) -> dict[str, Any]:
    """Parse a body that is a form or a JSON object; anything else has no fields."""
    text = body.decode("utf-8", "replace")
    if "json" in content_type.lower() or text.lstrip().startswith("{"):
        found = parse_or_text(text)
        return found if isinstance(found, dict) else {}
    return parse_query(text)


def parse_query(text: str) -> dict[str, str]:
    """Parse a form or a query string; of fields with the same name, the first counts."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return {}
    return dict(reversed(pairs))


def answer_json(
    fields: dict[str, Any], *, content_type: str = _JSON_TYPE, headers: Headers = _NO_STORE
) -> CredentialResponse:
    """A response of status 200 with the keys in the order given."""
    return CredentialResponse(plain_timeline(200, content_type, dump(fields), headers), fields)


def refuse_token(error: str | CatalogueError, explanation: str, **values: str) -> CredentialResponse:
    """An error response of a token endpoint, by its name in the catalogue."""
    refusal = refuse(error, values, explanation=explanation)
    # An empty description is left out of the body.
    flat = {key: value for key, value in (refusal.flat or {}).items() if value or key != "error_description"}
    return answer_refusal(replace(refusal, flat=flat), flat)


def answer_refusal(refusal: Refusal, fields: Mapping[str, Any] | None = None) -> CredentialResponse:
    """An error response; `fields` is its body where that is already known."""
    shown = json.loads(refusal.to_text()) if fields is None else fields
    return CredentialResponse(refusal_timeline(refusal, _NO_STORE), shown, refusal)


def format_time(seconds: float) -> str:
    """Format a Unix time as Google's APIs do: `2026-01-01T00:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
