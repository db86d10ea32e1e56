"""The error catalogue: what the real service was observed or is documented to send, found by number, status or name.

The entries are in `errors.json`, in the format of `CatalogueError`.
"""

import json
import re
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

Framing = Literal["array", "object", "html", "raw", "oauth", "vllm"]
Service = Literal["vertex", "gemini_api", "oauth", "self_deployed"]
Confidence = Literal["high", "medium", "low"]

_PLACEHOLDER = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")

# The entries that a plain number or a plain status stands for; the catalogue has several errors of most kinds.
_BY_NUMBER = {
    400: "generic_invalid_argument",
    401: "invalid_token",
    403: "permission_denied_predict",
    404: "publisher_model_not_found",
    429: "resource_exhausted",
    499: "cancelled",
    500: "internal",
    503: "unavailable",
    504: "deadline_exceeded",
}
_BY_STATUS = {
    "INVALID_ARGUMENT": "generic_invalid_argument",
    "FAILED_PRECONDITION": "publisher_model_not_allowed",
    "UNAUTHENTICATED": "invalid_token",
    "PERMISSION_DENIED": "permission_denied_predict",
    "NOT_FOUND": "publisher_model_not_found",
    "RESOURCE_EXHAUSTED": "resource_exhausted",
    "CANCELLED": "cancelled",
    "INTERNAL": "internal",
    "UNAVAILABLE": "unavailable",
    "DEADLINE_EXCEEDED": "deadline_exceeded",
}

# The errors of a token endpoint that a plain number stands for (assumed); clients retry after 408, 429 and 5xx.
_TOKEN_BY_NUMBER = {
    400: "token_refresh_bad_request",
    401: "token_invalid_client",
    408: "token_internal_failure",
    429: "token_internal_failure",
    500: "token_internal_failure",
    502: "token_internal_failure",
    503: "token_internal_failure",
    504: "token_internal_failure",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueError:
    """One error body, with placeholders such as `{MODEL}` where the real one names something of the request.

    `framing` says how the body was seen: `array` and `object` hold Google's error object; `html` is a page, which is
    the whole `message`; `raw` is an error object written into a stream that began with status 200; `oauth` is what a
    token endpoint sends, with `message` as its `error_description`; `vllm` is the flat object of a vLLM container.
    """

    name: str
    http_status: int
    status: str | None
    """The google.rpc status; None where the body has none."""
    code: int
    """The number in the body; it differs from `http_status` only where an error comes after the head was sent."""
    message: str
    details: list[dict[str, Any]] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """Other keys of the body besides message, code, status and details, such as the `error` of a token endpoint."""
    defaults: dict[str, str] = field(default_factory=dict)
    """Values for placeholders that do not follow from a request, such as the range of a number."""
    framing: Framing
    service: Service
    strict_only: bool = False
    """Whether requests are refused with it under `--vetting strict` only, because it is not known of this route; else they are warned of."""
    when: str
    source: str
    """Where the text comes from, and whether it is documented, observed or assumed."""
    confidence: Confidence

    def fill(self, **values: str) -> tuple[str, list[dict[str, Any]] | None]:
        """Return message and details with placeholders replaced; one with neither a value nor a default stays."""
        known = self.defaults | values
        return _fill(self.message, known), _fill(self.details, known)


def find(key: int | str) -> CatalogueError | None:
    """Return the error that an HTTP status (429, "429"), a status name in any case or an entry's name stands for."""
    text = str(key).strip()
    name = _BY_NUMBER.get(int(text)) if text.isdecimal() else _BY_STATUS.get(text.upper(), text.lower())
    return _by_name().get(name) if name else None


def entry(name: str) -> CatalogueError:
    """Return the entry of that exact name. Raises KeyError."""
    return _by_name()[name]


def all_errors() -> tuple[CatalogueError, ...]:
    """Return every entry, in the order of the data file."""
    return tuple(_by_name().values())


def names() -> tuple[str, ...]:
    """Return all keys that `find` accepts: the names, then the statuses, then the numbers."""
    return (*_by_name(), *_BY_STATUS, *map(str, _BY_NUMBER))


@cache
def _by_name() -> dict[str, CatalogueError]:
    entries = json.loads(Path(__file__).with_name("errors.json").read_text("utf-8"))
    return {each["name"]: CatalogueError(**{"code": each["http_status"]} | each) for each in entries}


def _fill(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, str):
        # One pass, so that a value which looks like a placeholder is not itself replaced.
        return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [_fill(each, values) for each in value]
    if isinstance(value, dict):
        return {key: _fill(each, values) for key, each in value.items()}
    return value


def find_token_error(key: int | str) -> CatalogueError | None:
    """Return the error of a token endpoint that an HTTP status (503, "503") or an entry's name stands for."""
    text = str(key).strip()
    if text.isdecimal():
        name = _TOKEN_BY_NUMBER.get(int(text))
        return replace(entry(name), http_status=int(text), code=int(text)) if name else None
    return next((each for each in all_errors() if each.service == "oauth" and each.name == text.lower()), None)


def token_error_names() -> tuple[str, ...]:
    """Return all keys that `find_token_error` accepts: the names, then the numbers."""
    return (*(each.name for each in all_errors() if each.service == "oauth"), *map(str, _TOKEN_BY_NUMBER))
