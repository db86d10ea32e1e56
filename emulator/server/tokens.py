"""Access tokens of the emulator's own: made and recognised with a secret, not with a list."""

import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Literal

PREFIX = "ya29.emulator-"
"""Google's access tokens begin with `ya29.` (observed)."""
LIFETIME = 3599
"""Seconds a token lives (observed: `expires_in` of Google's token endpoint)."""
_EXPIRY_BYTES, _NONCE_BYTES, _MAC_BYTES = 6, 8, 16
_TOKEN_BYTES = _EXPIRY_BYTES + _NONCE_BYTES + _MAC_BYTES


@dataclass(frozen=True, slots=True)
class Mint:
    """Makes and recognises tokens; everyone with the same secret recognises them."""

    secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)

    def issue(self, now: float, lifetime: float = LIFETIME) -> str:
        """A token that expires `lifetime` seconds after `now` (Unix time)."""
        content = int(now + lifetime).to_bytes(_EXPIRY_BYTES, "big") + os.urandom(_NONCE_BYTES)
        return PREFIX + urlsafe_b64encode(content + self._mac(content)).decode()

    def judge(self, token: str, now: float) -> Literal["valid", "expired", "foreign"]:
        """Whether a token is one of these, and still good at `now`."""
        try:
            packed = urlsafe_b64decode(token.removeprefix(PREFIX).encode())
        except ValueError:
            return "foreign"
        content, mac = packed[:-_MAC_BYTES], packed[-_MAC_BYTES:]
        if (
            not token.startswith(PREFIX)
            or len(packed) != _TOKEN_BYTES
            or not hmac.compare_digest(mac, self._mac(content))
        ):
            return "foreign"
        return "valid" if now < int.from_bytes(content[:_EXPIRY_BYTES], "big") else "expired"

    def _mac(self, content: bytes) -> bytes:
        return hmac.digest(self.secret, content, "sha256")[:_MAC_BYTES]
