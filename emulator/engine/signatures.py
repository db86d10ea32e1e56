"""Thought signatures: opaque base64 that any worker can recognise from the seed alone."""

from base64 import b64encode
from hashlib import blake2b

from emulator.catalogue.models import generation

_KEY = b"vertex-openai-emulator"
# Documented: Gemini 2.5 and later return signatures with tool calls. Observed: pictures of Gemini 3 carry one.
_FIRST_ON_CALLS = 2.5
_FIRST_ON_MEDIA = 3.0


def sign(what: str, salt: int, seed: str | None) -> str:
    """A signature over a text: 16 bytes of salt and a keyed digest, in standard base64."""
    start = salt.to_bytes(16, "big")
    key = blake2b((seed or "").encode(), key=_KEY, digest_size=32).digest()
    return b64encode(
        start + blake2b(start + what.encode("utf-8", "replace"), key=key, digest_size=32).digest()
    ).decode()


def signs_calls(model: str) -> bool:
    """Whether tool calls of this model carry a signature."""
    return (generation(model) or 0) >= _FIRST_ON_CALLS


def signs_media(model: str) -> bool:
    """Whether pictures of this model carry a signature."""
    return (generation(model) or 0) >= _FIRST_ON_MEDIA
