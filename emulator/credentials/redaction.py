"""What the journal keeps of token requests: nothing that opens a door."""

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "(redacted)"

# Everything else is taken for a secret.
_HARMLESS = frozenset(
    {
        "access_type", "audience", "client_id", "delegates", "email", "email_verified", "error", "error_description",
        "error_subtype", "error_uri", "exp", "expireTime", "expires_in", "grant_type", "includeEmail",
        "issued_token_type", "lifetime", "recursive", "requested_token_type", "scope", "scopes", "subject_token_type",
        "token_type",
    }
)  # fmt: skip
# Tokens of Google's and JSON web tokens, wherever somebody put them.
_SECRET = re.compile(r"ya29\.[\w.-]+|eyJ[\w-]+\.[\w.-]+|1//[\w-]{20,}|GOCSPX-[\w-]+|-----BEGIN.*", re.DOTALL)
_LONGEST = 300


def redact(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request or an answer without their secrets."""
    return {str(name)[:_LONGEST]: _show(value) if name in _HARMLESS else _hide(value) for name, value in fields.items()}


def _hide(value: Any) -> Any:
    # The error of an API is an object, which holds no secrets but might repeat one.
    return REDACTED if value else value


def _show(value: Any) -> Any:
    match value:
        case str():
            return _SECRET.sub(REDACTED, value)[:_LONGEST]
        case Mapping():
            return {str(name)[:_LONGEST]: _show(item) for name, item in value.items()}
        case list():
            return [_show(item) for item in value[:100]]
    return value
