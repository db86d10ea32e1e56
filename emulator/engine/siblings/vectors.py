"""Vectors of texts, without a model: the same text gives the same vector, and texts that share words lie close together."""

import math
import re
import struct
import unicodedata
from collections.abc import Iterator
from hashlib import blake2b

_WORD = re.compile(r"\w+")
_WORD_WEIGHT = 1.0
_TRIGRAM_WEIGHT = 0.3
_PLACES = 4
"""In how many dimensions each feature leaves its mark."""


def embed(text: str, dimensions: int) -> list[float]:
    """A vector of length 1, made of hashed words and trigrams of letters; its numbers are 32-bit floats.

    Nothing random and nothing of the machine is in it: only sums, a square root and a division, which are the same everywhere.
    """
    sums = [0.0] * dimensions
    for feature, weight in sorted(_features(text).items()):
        digest = blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=4 * _PLACES).digest()
        for number in struct.unpack(f"<{_PLACES}I", digest):
            # The lowest bit is the sign, so that unrelated texts are as often against each other as with each other.
            sums[(number >> 1) % dimensions] += weight if number & 1 else -weight
    length = math.sqrt(sum(one * one for one in sums))
    if length == 0.0:
        sums[0] = length = 1.0
    return list(struct.unpack(f"<{dimensions}f", struct.pack(f"<{dimensions}f", *(one / length for one in sums))))


def _features(text: str) -> dict[str, float]:
    """What a text is made of, case and spelling variants of letters aside, with how much each counts."""
    found: dict[str, float] = {}
    for feature, weight in _weighted(unicodedata.normalize("NFKC", text).casefold()):
        found[feature] = found.get(feature, 0.0) + weight
    return found


def _weighted(text: str) -> Iterator[tuple[str, float]]:
    words = _WORD.findall(text)
    if not words:
        yield f"text {text}", _WORD_WEIGHT
    for word in words:
        yield f"word {word}", _WORD_WEIGHT
        framed = f" {word} "
        for start in range(len(framed) - 2):
            yield f"letters {framed[start : start + 3]}", _TRIGRAM_WEIGHT
