"""Chunking: how texts are divided into stream chunks. The pieces joined are always the text."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from emulator.engine.reply.parts import CallPart, Choice, Part, TextPart
from emulator.scenario.steps import Chunks, Sized

# Observed: text chunks hold about a sentence, more than a token.
_SENTENCE = re.compile(r"(?<=[.!?\u2026])\s+(?=\S)|(?<=[\u3002\uff01\uff1f])|\n+(?=\S)")
_WORD = re.compile(r"\S+\s*|\s+")
LONGEST = 200
"""Characters; a longer sentence is divided between words."""
MAX_CHUNKS = 20_000
"""How many chunks the texts and calls of an answer are divided into, those of all its choices together; with more, chunks are joined."""
FEW_CHUNKS = 2_000
"""Chunks of an answer, all choices together, that are made quickly: in some 10 ms."""


def divide(text: str, chunks: Chunks | None) -> tuple[str, ...]:
    """The pieces of a text; at least one, which may be empty, and at most `MAX_CHUNKS`."""
    pieces = _divide(text, chunks)
    return pieces if len(pieces) <= MAX_CHUNKS else join_adjacent(pieces, _step(len(pieces)))


def join_adjacent(pieces: Sequence[str], step: int) -> tuple[str, ...]:
    """Join so many adjacent pieces each time."""
    return tuple("".join(pieces[start : start + step]) for start in range(0, len(pieces), step))


def count_chunks(parts: Sequence[Part]) -> int:
    """How many pieces the texts and calls of a choice have."""
    return sum([len(part.pieces or ()) for part in parts if isinstance(part, TextPart | CallPart)])


def limit_chunks(choices: Sequence[Choice]) -> tuple[Choice, ...]:
    """The choices of an answer with at most about `MAX_CHUNKS` chunks: with more, so many adjacent pieces of each text and call are joined."""
    total = sum(count_chunks(choice.parts) for choice in choices)
    if total <= MAX_CHUNKS:
        return tuple(choices)
    step = _step(total)
    return tuple(replace(choice, parts=tuple(_join_pieces(part, step) for part in choice.parts)) for choice in choices)


def _step(pieces: int) -> int:
    return -(-pieces // MAX_CHUNKS)


def _join_pieces(part: Part, step: int) -> Part:
    match part:
        case TextPart(pieces=pieces, encoded=encoded):
            # JSON strings without their quotation marks.
            inner = [piece[1:-1] for piece in encoded]
            joined = tuple(b'"%b"' % b"".join(inner[at : at + step]) for at in range(0, len(inner), step))
            return replace(part, pieces=join_adjacent(pieces, step), encoded=joined)
        case CallPart(pieces=tuple(pieces)):
            return replace(part, pieces=join_adjacent(pieces, step))
        case _:
            return part


def _divide(text: str, chunks: Chunks | None) -> tuple[str, ...]:
    match chunks:
        case list():
            return tuple(chunks)
        case Sized(size=size):
            # As large as they have to be, instead of a million pieces that are joined again.
            size *= max(_step(-(-len(text) // size)), 1)
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
