"""Redaction of secrets in what the journal keeps of token requests and their responses."""

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "(redacted)"

# The fields that are kept; the values of all others are redacted.
_PUBLIC_FIELDS = frozenset(
    {
        "access_type", "audience", "client_id", "delegates", "email", "email_verified", "error", "error_description",
        "error_subtype", "error_uri", "exp", "expireTime", "expires_in", "grant_type", "includeEmail",
        "issued_token_type", "lifetime", "recursive", "requested_token_type", "scope", "scopes", "subject_token_type",
        "token_type",
    }
)  # fmt: skip
# Google's access tokens, refresh tokens, client secrets and keys, and JSON web tokens, anywhere in a kept value.
_SECRET = re.compile(r"ya29\.[\w.-]+|eyJ[\w-]+\.[\w.-]+|1//[\w-]{20,}|GOCSPX-[\w-]+|-----BEGIN.*", re.DOTALL)
_MAX_LENGTH = 300


def redact(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request or a response with their secrets replaced; empty values stay as they are."""
    return {
        str(name)[:_MAX_LENGTH]: _remove_secrets(value) if name in _PUBLIC_FIELDS else REDACTED if value else value
        for name, value in fields.items()
    }


def _remove_secrets(value: Any) -> Any:
    match value:
        case str():
            return _SECRET.sub(REDACTED, value)[:_MAX_LENGTH]
        case Mapping():
            return {str(name)[:_MAX_LENGTH]: _remove_secrets(item) for name, item in value.items()}
        case list():
            return [_remove_secrets(item) for item in value[:100]]
    return value
