"""ID tokens in the shape of Google's; they can be decoded but not verified."""

import hmac
import json
import os
from base64 import urlsafe_b64encode
from typing import Any

_SIGNATURE_BYTES = 256
"""The length of an RS256 signature by a key of 2048 bits."""


def make_id_token(audience: str, account: str, now: float, lifetime: float) -> str:
    """Return an ID token for an account, or for the audience itself where `account` is empty.

    `now` is a Unix time and `lifetime` a number of seconds. The signature is random.
    """
    # `sub` has to be the same number for an account each time.
    subject = str(int.from_bytes(hmac.digest(b"sub", account.encode(), "sha256")[:8], "big") + 10**20)
    claims: dict[str, Any] = {"aud": audience, "azp": account or audience}
    if account:
        claims |= {"email": account, "email_verified": True}
    claims |= {"exp": int(now + lifetime), "iat": int(now), "iss": "https://accounts.google.com", "sub": subject}
    header = {"alg": "RS256", "kid": os.urandom(20).hex(), "typ": "JWT"}
    parts = [json.dumps(part, separators=(",", ":")).encode() for part in (header, claims)]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, os.urandom(_SIGNATURE_BYTES)))
