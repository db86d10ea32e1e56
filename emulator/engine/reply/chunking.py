"""Chunking: how texts are divided into stream chunks. The pieces joined are always the text."""

import re
from itertools import pairwise

from emulator.scenario.steps import Chunks, Sized

# Observed: text chunks hold about a sentence, more than a token.
_SENTENCE = re.compile(r"(?<=[.!?\u2026])\s+(?=\S)|(?<=[\u3002\uff01\uff1f])|\n+(?=\S)")
_WORD = re.compile(r"\S+\s*|\s+")
LONGEST = 200
"""Characters; a longer sentence is divided between words."""


def divide(text: str, chunks: Chunks | None) -> tuple[str, ...]:
    """The pieces of a text; at least one, which may be empty."""
    match chunks:
        case list():
            return tuple(chunks)
        case Sized(size=size):
            return tuple(text[start : start + size] for start in range(0, len(text), size)) or ("",)
        case "whole":
            return (text,)
        case "words":
            return tuple(_WORD.findall(text)) or ("",)
        case _:
            return tuple(piece for sentence in _split_sentences(text) for piece in _split_long(sentence))


def _split_sentences(text: str) -> list[str]:
    ends = [match.end() for match in _SENTENCE.finditer(text)]
    cuts = [0, *(end for end in ends if 0 < end < len(text)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]


def _split_long(sentence: str) -> list[str]:
    if len(sentence) <= LONGEST:
        return [sentence]
    pieces = [""]
    for word in _WORD.findall(sentence):
        if pieces[-1] and len(pieces[-1]) + len(word) > LONGEST:
            pieces.append("")
        pieces[-1] += word
    return pieces
