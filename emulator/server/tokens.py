"""The emulator's access tokens: issued and verified with a secret (HMAC), so that none need be stored."""

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
"""The scope that grants access to all of Google Cloud."""
VERTEX_SCOPES = frozenset({CLOUD_PLATFORM})
"""Any one of these scopes grants access to Vertex AI (documented: the authentication guide asks for this one)."""
_EXPIRY_BYTES, _NONCE_BYTES, _MAC_BYTES = 6, 8, 16
_LATEST = 2 ** (8 * _EXPIRY_BYTES) - 1

TokenStatus = Literal["valid", "expired", "foreign", "mis-scoped"]
"""`foreign`: not issued with this secret; `mis-scoped`: without a wanted scope."""


@dataclass(frozen=True, slots=True)
class Token:
    """The content of a token."""

    expiry: int
    """Unix time in seconds at which it expires."""
    scopes: tuple[str, ...]
    account: str
    """The email address of its account; empty if none was given."""


@dataclass(frozen=True, slots=True)
class Mint:
    """Issues and verifies tokens; all with the same secret accept each other's tokens."""

    secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)

    def issue(
        self, now: float, lifetime: float = LIFETIME, scopes: Sequence[str] = (CLOUD_PLATFORM,), account: str = ""
    ) -> str:
        """Issue a token that expires `lifetime` seconds after `now` (Unix time)."""
        expiry = min(max(int(now + lifetime), 0), _LATEST).to_bytes(_EXPIRY_BYTES, "big")
        content = expiry + os.urandom(_NONCE_BYTES) + json.dumps([account, *scopes], separators=(",", ":")).encode()
        return PREFIX + _encode(content + self._mac(content))

    def read(self, token: str) -> Token | None:
        """The content of a token issued with this secret, expired or not; None for any other text."""
        if not token.startswith(PREFIX):
            return None
        text = token.removeprefix(PREFIX)
        try:
            packed = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError:
            return None
        content, mac = packed[:-_MAC_BYTES], packed[-_MAC_BYTES:]
        # Base64 has several spellings of the same bytes; only the canonical one is a token.
        if token != PREFIX + _encode(packed) or not hmac.compare_digest(mac, self._mac(content)):
            return None
        account, *scopes = json.loads(content[_EXPIRY_BYTES + _NONCE_BYTES :])
        return Token(int.from_bytes(content[:_EXPIRY_BYTES], "big"), tuple(scopes), account)

    def judge(self, token: str, now: float, wanted: Collection[str] = VERTEX_SCOPES) -> TokenStatus:
        """Verify a token: issued with this secret, not expired at `now`, and with one of the wanted scopes."""
        found = self.read(token)
        if found is None:
            return "foreign"
        if now >= found.expiry:
            return "expired"
        return "mis-scoped" if set(found.scopes).isdisjoint(wanted) else "valid"

    def _mac(self, content: bytes) -> bytes:
        return hmac.digest(self.secret, content, "sha256")[:_MAC_BYTES]


def _encode(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
