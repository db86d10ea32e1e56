"""Access tokens of the emulator's own: made and recognised with a secret, not with a list."""

import hmac
import json
import os
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

PREFIX = "ya29.c.b0"
"""Google's access tokens begin with `ya29.`, those of service accounts with `ya29.c.` (observed)."""
LIFETIME = 3599
"""Seconds a token lives (observed: `expires_in` of Google's token endpoint)."""
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
"""The scope that opens all of Google Cloud."""
VERTEX_SCOPES = frozenset({CLOUD_PLATFORM})
"""Any of these scopes opens Vertex AI (documented: the authentication guide asks for this one)."""
_EXPIRY_BYTES, _NONCE_BYTES, _MAC_BYTES = 6, 8, 16
_LATEST = 2 ** (8 * _EXPIRY_BYTES) - 1

Judgement = Literal["valid", "expired", "foreign", "mis-scoped"]
"""What a token is worth: good, too old, not one of ours, or not for this service."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says of itself."""

    expiry: int
    """Unix time in seconds at which it stops being good."""
    scopes: tuple[str, ...]
    account: str
    """The email address of the account it stands for; empty where none was named."""


@dataclass(frozen=True, slots=True)
class Mint:
    """Makes and recognises tokens; everyone with the same secret recognises them."""

    secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)

    def issue(
        self, now: float, lifetime: float = LIFETIME, scopes: Sequence[str] = (CLOUD_PLATFORM,), account: str = ""
    ) -> str:
        """A token that expires `lifetime` seconds after `now` (Unix time)."""
        expiry = min(max(int(now + lifetime), 0), _LATEST).to_bytes(_EXPIRY_BYTES, "big")
        content = expiry + os.urandom(_NONCE_BYTES) + json.dumps([account, *scopes], separators=(",", ":")).encode()
        return PREFIX + _encode(content + self._mac(content))

    def read(self, token: str) -> Token | None:
        """What one of these tokens says, expired or not; None for any other text."""
        return _read(self.secret, token)

    def judge(self, token: str, now: float, wanted: Collection[str] = VERTEX_SCOPES) -> Judgement:
        """Whether a token is one of these, still good at `now`, and has one of the wanted scopes."""
        found = self.read(token)
        if found is None:
            return "foreign"
        if now >= found.expiry:
            return "expired"
        return "mis-scoped" if set(found.scopes).isdisjoint(wanted) else "valid"

    def _mac(self, content: bytes) -> bytes:
        return _mac(self.secret, content)


def _mac(secret: bytes, content: bytes) -> bytes:
    return hmac.digest(secret, content, "sha256")[:_MAC_BYTES]


def _read(secret: bytes, token: str) -> Token | None:
    if not token.startswith(PREFIX):
        return None
    text = token.removeprefix(PREFIX)
    try:
        packed = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    content, mac = packed[:-_MAC_BYTES], packed[-_MAC_BYTES:]
    # Texts that decode alike are not the same token.
    if token != PREFIX + _encode(packed) or not hmac.compare_digest(mac, _mac(secret, content)):
        return None
    account, *scopes = json.loads(content[_EXPIRY_BYTES + _NONCE_BYTES :])
    return Token(int.from_bytes(content[:_EXPIRY_BYTES], "big"), tuple(scopes), account)


def _encode(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
