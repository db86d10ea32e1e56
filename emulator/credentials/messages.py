"""What the token endpoints and the metadata server are asked, and how they answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from emulator.catalogue.errors import CatalogueError
from emulator.engine.refusals import refuse
from emulator.engine.timeline.timeline import Timeline, plain_timeline, refusal_timeline
from emulator.server.authentication import Credentials
from emulator.server.settings import Auth
from emulator.server.tokens import LIFETIME, Mint
from emulator.wire.errors import Refusal
from emulator.wire.headers import Headers
from emulator.wire.json_text import dump

_JSON = "application/json; charset=utf-8"
# Observed: what a token endpoint answers is not kept by anybody.
_NOT_KEPT: Headers = (("cache-control", "no-cache, no-store, max-age=0, must-revalidate"), ("pragma", "no-cache"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request: its path, its query and its body, a form or JSON."""

    verb: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, Any]
    credentials: Credentials

    def text(self, name: str) -> str:
        """A field of the body, or else of the query; empty if it is missing or no text."""
        value = self.form.get(name, self.query.get(name, ""))
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who makes tokens, at one moment."""

    mint: Mint
    now: float
    """Unix time in seconds."""
    lifetime: int = LIFETIME
    """Seconds that tokens live, at most."""
    public_keys: Mapping[str, str]
    """Public keys (PEM) of known service accounts, by their ids."""
    project: str
    """The project of the metadata server."""
    auth: Auth = "any"

    def issue(self, scopes: Sequence[str], account: str, lifetime: int | None = None) -> tuple[str, int]:
        """A token, and the seconds that it lives."""
        seconds = self.lifetime if lifetime is None else min(lifetime, self.lifetime)
        return self.mint.issue(self.now, seconds, scopes, account), seconds

    def with_lifetime(self, most: int | None) -> "Issuer":
        """The same, with tokens that live no longer than that."""
        return self if most is None else replace(self, lifetime=min(most, self.lifetime))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, with what the journal wants to know of it."""

    timeline: Timeline
    fields: Mapping[str, Any]
    """The JSON of the body, secrets and all."""
    refusal: Refusal | None = None


def read_fields(content_type: str, body: bytes) -> dict[str, Any]:
    """The fields of a body, a form or a JSON object; none if it is neither."""
    text = body.decode("utf-8", "replace")
    if "json" in content_type.lower() or text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}
    return read_query(text)


def read_query(text: str) -> dict[str, str]:
    """The fields of a form or of a query; the first of each name counts."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return {}
    return dict(reversed(pairs))


def answer_json(fields: dict[str, Any], *, content_type: str = _JSON, headers: Headers = _NOT_KEPT) -> Answer:
    """An answer of status 200, its keys in the order given."""
    return Answer(plain_timeline(200, content_type, dump(fields), headers), fields)


def refuse_token(error: str | CatalogueError, explanation: str, **values: str) -> Answer:
    """An error of a token endpoint, by its name in the catalogue."""
    refusal = refuse(error, values, explanation=explanation)
    flat = {key: value for key, value in (refusal.flat or {}).items() if value or key != "error_description"}
    return answer_refusal(replace(refusal, flat=flat), flat)


def answer_refusal(refusal: Refusal, fields: Mapping[str, Any] | None = None) -> Answer:
    """An error in Google's own shape."""
    shown = json.loads(refusal.to_text()) if fields is None else fields
    return Answer(refusal_timeline(refusal, _NOT_KEPT), shown, refusal)


def write_moment(moment: float) -> str:
    """A Unix time as Google's APIs write it: `2026-01-01T00:00:00Z`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
