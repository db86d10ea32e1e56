"""JSON web tokens: the assertions that service accounts sign, and the ID tokens that they get."""

import hmac
import json
import os
from base64 import b64decode, urlsafe_b64encode
from typing import Any

from emulator.values import dataclass

_PARTS = 3
_LONGEST = 64 * 1024
_RSA_BYTES = 256


@dataclass(frozen=True, slots=True)
class Jwt:
    """A token taken apart."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes

    def text(self, claim: str) -> str:
        """A claim that is a text; empty if it is missing or something else."""
        value = self.claims.get(claim)
        return value if isinstance(value, str) else ""

    def moment(self, claim: str) -> float | None:
        """A claim that is a Unix time in seconds."""
        value = self.claims.get(claim)
        return None if isinstance(value, bool) or not isinstance(value, int | float) else value


def read_jwt(text: str) -> Jwt | None:
    """Take a token apart; None if it is none."""
    parts = text.split(".")
    if len(parts) != _PARTS or len(text) > _LONGEST:
        return None
    try:
        header, claims, signature = (b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True) for part in parts)
        read_header, read_claims = json.loads(header), json.loads(claims)
    except (ValueError, RecursionError):
        return None
    if not isinstance(read_header, dict) or not isinstance(read_claims, dict):
        return None
    return Jwt(read_header, read_claims, text.rpartition(".")[0].encode(), signature)


def is_signed_by(jwt: Jwt, public_key: str) -> bool:
    """Whether a token's signature was made with the private half of a key (PEM), by RS256."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # comes with the extra `exec`
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415  # as above
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415  # as above

    key = serialization.load_pem_public_key(public_key.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        key.verify(jwt.signature, jwt.signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def write_id_token(audience: str, account: str, now: float, lifetime: float) -> str:
    """An ID token of Google's shape; its signature is made up, so it can be read but not verified."""
    # A steady number for each account, as `sub` is.
    subject = str(int.from_bytes(hmac.digest(b"sub", account.encode(), "sha256")[:8], "big") + 10**20)
    claims: dict[str, Any] = {"aud": audience, "azp": account or audience}
    if account:
        claims |= {"email": account, "email_verified": True}
    claims |= {"exp": int(now + lifetime), "iat": int(now), "iss": "https://accounts.google.com", "sub": subject}
    header = {"alg": "RS256", "kid": os.urandom(20).hex(), "typ": "JWT"}
    parts = [json.dumps(part, separators=(",", ":")).encode() for part in (header, claims)]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, os.urandom(_RSA_BYTES)))
