"""`POST /embeddings` (documented for two models): request and response bodies.

The shape of the response is OpenAI's list object (assumed: no capture is known), keys alphabetical as everywhere on this service.
"""

import struct
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, with_config
from typing_extensions import TypedDict

from emulator.wire.json_text import dump
from emulator.wire.requests import REQUEST_CONFIG, ListOf


@with_config(REQUEST_CONFIG)
class EmbeddingsRequest(TypedDict, total=False):
    """The body of a request; unknown keys are kept and change nothing."""

    model: str | None
    input: str | ListOf[str] | ListOf[int] | ListOf[ListOf[int]]
    """One text, several, or the same as token ids."""
    encoding_format: str | None
    """`float` or `base64`."""


EMBEDDINGS_REQUEST = TypeAdapter(EmbeddingsRequest)


def embeddings_body(vectors: Sequence[Sequence[float]], model: str, tokens: int, *, base64: bool) -> bytes:
    """The whole body; base64 packs a vector as little-endian 32-bit floats, as OpenAI's clients request by default."""
    data: list[dict[str, Any]] = []
    for index, vector in enumerate(vectors):
        packed = b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if base64 else list(vector)
        data.append({"embedding": packed, "index": index, "object": "embedding"})
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return dump({"data": data, "model": model, "object": "list", "usage": usage})
