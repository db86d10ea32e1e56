"""Thought signatures: opaque base64, made and recognised with a key that follows from the seed alone."""

import binascii
from base64 import b64decode, b64encode
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from pydantic_core import from_json

from emulator.catalogue.models import generation
from emulator.wire.json_text import dump

BYPASSES = frozenset(
    {"skip_thought_signature_validator", b64encode(b"skip_thought_signature_validator").decode()},
)
"""Values accepted in place of a signature (observed: pydantic/pydantic-ai#3881): plain and, because SDKs encode it, as base64."""
PLACEHOLDER = "<THOUGHT_SIGNATURE>"
"""The placeholder of the documented sample (documented: seed); the real service cannot accept it."""

_KEY = b"vertex-openai-emulator"
_SALT_BYTES, _DIGEST_BYTES = 16, 32
# Documented: Gemini 2.5 and later return signatures with tool calls. Observed: pictures of Gemini 3 carry one.
_FIRST_ON_CALLS = 2.5
_FIRST_ON_MEDIA = 3.0


def sign(text: str, salt: int, seed: str | None) -> str:
    """A signature over a text: 16 bytes of salt and a keyed digest, in standard base64."""
    return _sign(text, salt.to_bytes(_SALT_BYTES, "big"), seed)


def sign_call(text: str, model: str, salt: int, seed: str | None) -> str:
    """A signature of a model over `text_of_call`; it stays valid when a client writes the same arguments differently."""
    return sign(_of_model(text, model), salt, seed)


def fits_call(signature: str, name: str, arguments: str | None, model: str, seed: str | None) -> bool:
    """Whether `sign_call` made this signature for this call of this model.

    That another model's is not valid is observed for models of other vendors, and claimed for Gemini's.
    """
    try:
        packed = b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    return (
        len(packed) == _SALT_BYTES + _DIGEST_BYTES
        and _sign(_of_model(text_of_call(name, arguments or "{}"), model), packed[:_SALT_BYTES], seed) == signature
    )


def signs_calls(model: str) -> bool:
    """Whether tool calls of this model carry a signature."""
    return (generation(model) or 0) >= _FIRST_ON_CALLS


def signs_media(model: str) -> bool:
    """Whether pictures of this model carry a signature."""
    return (generation(model) or 0) >= _FIRST_ON_MEDIA


def _of_model(text: str, model: str) -> str:
    # With and without its publisher it is the same model.
    return f"{model.rpartition('/')[2]}\0{text}"


def _sign(text: str, salt: bytes, seed: str | None) -> str:
    digest = blake2b(salt + text.encode("utf-8", "replace"), key=_key_of(seed), digest_size=_DIGEST_BYTES).digest()
    return b64encode(salt + digest).decode()


@lru_cache(maxsize=64)
def _key_of(seed: str | None) -> bytes:
    return blake2b((seed or "").encode("utf-8", "replace"), key=_KEY, digest_size=32).digest()


def text_of_call(name: str, arguments: str) -> str:
    """The canonical text of a call, which `sign_call` signs: the same however a client writes the same arguments."""
    try:
        value = from_json(arguments.encode("utf-8", "surrogatepass"))
    except ValueError:
        # A scenario may send arguments that are no JSON; they are signed as they are.
        return f"{name}\0{arguments}"
    return f"{name}\0{dump(_canonical(value)).decode()}"


def _canonical(value: Any) -> Any:
    """A value whose JSON is the same after any parser and writer: keys sorted, numbers as JavaScript has them."""
    match value:
        case dict():
            return {key: _canonical(value[key]) for key in sorted(value)}
        case list():
            return [_canonical(one) for one in value]
        case bool() | str() | None:
            return value
        case _:
            try:
                # Adding zero makes -0.0, which JavaScript writes as 0, the same number as 0.
                return float(value) + 0.0
            except OverflowError:
                return float("inf")
