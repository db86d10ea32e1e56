"""Redaction: makes what came with a request fit to be kept and shown, without secrets, control characters or line breaks, and not too long.

Secrets are known by their value (Google's and OpenAI's tokens and keys, JSON web tokens, private keys, anywhere in a text) and by
their place (fields such as `api_key`, credentials in a host). Whatever shows a request to people goes through `clean_line` or
`redact_json`: the log, the journal, verdicts, reports of misses and what commands print.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

REDACTED = "(redacted)"
MAX_LINE = 2_000
"""Characters of one line that the log, the journal, verdicts and reports show."""
MAX_HOST = 300
"""Characters of a Host header that are kept."""
MAX_FIELD = 300
"""Characters of a token request's field that are kept, and of its name."""
_MAX_ITEMS = 100
_PIECE, _OVERLAP = 1024 * 1024, 16


# Patterns are compiled by `re` when they are first used: most servers never see a secret in a body.
def _secret(start: str, rest: str, inside: str = "") -> tuple[str, str]:
    r"""The literal start of a kind of secret, and its pattern; it does not begin behind characters of the class `inside`.

    In JSON text, such a character may end an escape, as in `\nsk-…`. The pattern begins with the literal, so that searching is fast.
    """
    literal = re.escape(start)
    before = (
        rf"(?:(?<![{inside}]{literal})|(?<=\\[nrtbf]{literal})|(?<=\\u[0-9a-fA-F]{{4}}{literal}))" if inside else ""
    )
    return start, literal + before + rest


_SECRETS = (
    _secret("ya29.", r"[\w.-]{6,}"),  # Google's access tokens
    _secret("1//", r"[\w-]{20,}", r"\w+/"),  # its refresh tokens; in base64 such characters are frequent
    _secret("AIza", r"[\w-]{20,}", r"\w"),  # its API keys
    _secret("AQ.", r"[\w-]{20,}", r"\w"),
    _secret("GOCSPX-", r"[\w-]{6,}"),  # its client secrets
    _secret("sk-", r"(?=[\w-]*\d)[\w-]{16,}", r"\w-"),  # API keys of OpenAI and others
    _secret("eyJ", r"[\w-]{6,}\.eyJ[\w-]{2,}(?:\.[\w-]*)?", r"\w-"),  # JSON web tokens
    _secret(
        "-----BEGIN ",
        r"[A-Z ]{0,30}PRIVATE KEY-----(?:[A-Za-z0-9+/=\\\s:,]|-(?!-))*+(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?",
    ),
)
"""Kinds of secrets that are known by their value."""
_HOST_MARK = re.compile("|".join(["@", *(re.escape(start) for start, _ in _SECRETS)]))
"""What may begin a secret, or end the user-info of a host: for short texts, in which one search is faster than one for each."""

_SECRET_FIELDS = frozenset(
    {
        "accesskey", "accesstoken", "actortoken", "apikey", "apisecret", "apitoken", "assertion", "authorization", "authtoken",
        "bearertoken", "clientsecret", "cookie", "idtoken", "passphrase", "password", "privatekey", "proxyauthorization", "refreshtoken",
        "secret", "secretkey", "subjecttoken", "xapikey", "xgoogapikey",
    }
)  # fmt: skip
"""Names of fields and headers whose text is a secret, in lower case, without `-` and `_`."""
_FIELD_MARKS = ("api", "key", "token", "secret", "pass", "assertion", "authorization")
_FIELD_IN_TEXT = (
    r"(?i)\b((?:x[-_])?(?:goog[-_])?api[-_]?key|(?:access|refresh|id|auth|bearer|subject|actor)[-_]?token|(?:client|api)[-_]?secret|secret[-_]?key"
    r"|private[-_]?key|password|passphrase|assertion|(?:proxy-)?authorization|(?<=[?&])key)"
    r"""(\\*["']?\s*[:=]\s*\\*["']?(?:bearer\s+|basic\s+)?)([^\s"'&,;{}\[\]\\]+)"""
)
"""A secret's field in text that is not JSON: `client_secret=…`, `"api_key": "…`, `authorization: Bearer …`."""

# Beside control characters: line separators, halves of surrogate pairs, and what changes the direction of text.
_CONTROL = "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def redact(text: str) -> str:
    """Replace the secrets in a text that are known by their value."""
    if len(text) > _PIECE and not any(map(_may_be_secret, _pieces(text))):
        return text
    for start, pattern in _SECRETS:
        if start in text:
            text = re.sub(pattern, REDACTED, text)
    return text


def redact_raw(text: str) -> str:
    """Replace the secrets in a text of any syntax, such as a body that is not JSON: by value, and behind the names of secret fields."""
    return redact(re.sub(_FIELD_IN_TEXT, rf"\1\2{REDACTED}", text))


def find_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Where secrets stand in a text that are known by their value, or by the name of a secret field before them."""
    for start, pattern in _SECRETS:
        if start in text:
            yield from (found.span() for found in re.finditer(pattern, text, re.ASCII))
    lowered = text.lower()
    if any(mark in lowered for mark in _FIELD_MARKS):
        yield from (found.span(3) for found in re.finditer(_FIELD_IN_TEXT, text))


def may_have_secrets(text: str) -> bool:
    """Whether a text of JSON may contain a secret, as a value or in a secret's place; cheap."""
    for piece in _pieces(text):
        if "\\u" in piece or _may_be_secret(piece):
            return True
        lowered = piece.lower()
        if any(mark in lowered for mark in _FIELD_MARKS):
            return True
    return False


def is_secret_field(name: str) -> bool:
    """Whether the text of a field or header of this name is a secret."""
    return name.lower().replace("-", "").replace("_", "") in _SECRET_FIELDS


def redact_json(value: Any) -> Any:
    """A copy of a JSON value without secrets: by value in all texts and names, and by place in the fields of objects.

    In a JSON Schema, names under `properties` are those of arguments, so what they describe is kept.
    """
    return _redact_value(value, in_properties=False)


def _redact_value(value: Any, *, in_properties: bool) -> Any:
    match value:
        case str():
            return redact(value)
        case dict():
            return {
                redact(name): _redact_place(item)
                if not in_properties and is_secret_field(name)
                else _redact_value(item, in_properties=name == "properties" and not in_properties)
                for name, item in value.items()
            }
        case list():
            return [_redact_value(item, in_properties=False) for item in value]
    return value


def _redact_place(value: Any) -> Any:
    """Replace all texts and numbers of a value in a secret's place; names, empty texts, booleans and null stay."""
    match value:
        case dict():
            return {redact(name): _redact_place(item) for name, item in value.items()}
        case list():
            return [_redact_place(item) for item in value]
        case None | bool() | "":
            return value
    return REDACTED


def clean_line(text: str, limit: int = MAX_LINE) -> str:
    r"""A text on one line: without secrets, control characters as JSON escapes (`\n`, `\u001b`), cut at `limit` characters."""
    if len(text) > limit:
        # What is cut off need not be searched. A secret at the cut is shorter than what is looked at.
        text = redact(text[: 2 * limit + MAX_LINE])
        text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    else:
        text = redact(text)
    return escape_controls(text)


def escape_controls(text: str) -> str:
    """Replace control characters by JSON escapes, so that neither a line of a log nor a terminal can be broken; JSON stays the same."""
    # None of these characters is printable.
    return text if text.isprintable() else re.sub(_CONTROL, _escape, text)


def _escape(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}"


def clean_host(host: str) -> str:
    """A Host header without its user-info, on one line and cut; host names are short."""
    if len(host) <= MAX_HOST and host.isascii() and host.isprintable() and _HOST_MARK.search(host) is None:
        return host
    userinfo, at, name = host.rpartition("@")
    return clean_line(f"{REDACTED}@{name}" if at and userinfo else name, MAX_HOST)


def _pieces(text: str) -> Iterator[str]:
    """A text in pieces that overlap, for looking for short marks: in a long one, that would keep other threads from their turns."""
    if len(text) <= _PIECE:
        yield text
        return
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE + _OVERLAP]


def _may_be_secret(text: str) -> bool:
    return any(start in text for start, _ in _SECRETS)


# The fields of token requests and their answers that are kept; the values of all others are redacted.
_PUBLIC_FIELDS = frozenset(
    {
        "access_type", "audience", "client_id", "delegates", "email", "email_verified", "error", "error_description",
        "error_subtype", "error_uri", "exp", "expireTime", "expires_in", "grant_type", "includeEmail",
        "issued_token_type", "lifetime", "recursive", "requested_token_type", "scope", "scopes", "subject_token_type",
        "token_type",
    }
)  # fmt: skip
_FIELD_NAME = r"[a-z]+(?:_[a-z]+){0,4}|[a-z]+(?:[A-Z][a-z]+){0,4}"


def redact_request(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a token request without secrets: only values of public fields are kept, and names only where they can be names.

    A body that is no form, such as a bare token, is read as a field whose name it is.
    """
    return {_redact_name(name, value): _redact_field(name, value) for name, value in fields.items()}


def redact_answer(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a token endpoint's answer without secrets; error objects are kept."""
    return {
        name: _shorten_texts(value) if name == "error" else _redact_field(name, value) for name, value in fields.items()
    }


def _redact_name(name: str, value: Any) -> str:
    if name in _PUBLIC_FIELDS:
        return name
    is_name = value not in ("", None) and len(name) <= MAX_FIELD and re.fullmatch(_FIELD_NAME, name)
    return name if is_name or is_secret_field(name) or name == "token" else REDACTED


def _redact_field(name: str, value: Any) -> Any:
    if value in ("", None):
        return value
    if name not in _PUBLIC_FIELDS:
        return REDACTED
    match value:
        case str():
            return clean_line(value, MAX_FIELD)
        case list():
            return [clean_line(item, MAX_FIELD) if isinstance(item, str) else REDACTED for item in value[:_MAX_ITEMS]]
        case bool() | int() | float():
            return value
    return REDACTED


def _shorten_texts(value: Any) -> Any:
    match value:
        case str():
            return clean_line(value, MAX_FIELD)
        case dict():
            return {name: _shorten_texts(item) for name, item in value.items()}
        case list():
            return [_shorten_texts(item) for item in value[:_MAX_ITEMS]]
    return value
