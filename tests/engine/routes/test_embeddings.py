"""Embedding vectors."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.routes.embeddings import embed


def closeness(one: str, other: str, dimensions: int = 384) -> float:
    """The cosine of the angle between the vectors of two texts."""
    return sum(a * b for a, b in zip(embed(one, dimensions), embed(other, dimensions), strict=True))


@given(st.text(), st.sampled_from([384, 1024]))
def test_vectors_are_of_length_one(text: str, dimensions: int) -> None:
    """Any text has a deterministic vector of 32-bit floats and length 1."""
    vector = embed(text, dimensions)
    assert len(vector) == dimensions
    assert math.isclose(math.sqrt(sum(one * one for one in vector)), 1, rel_tol=1e-6)
    assert vector == embed(text, dimensions)
    assert vector == list(struct.unpack(f"{dimensions}f", struct.pack(f"{dimensions}f", *vector)))


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("a cat sat on the mat", "the cat is on a mat", "quarterly revenue grew"),
        ("query: capital of France", "passage: Paris is the capital of France", "passage: bananas are yellow"),
        ("embedding", "embeddings", "weather"),
        ("今日は天気がいい", "今日は天気がわるい", "株価が下がった"),
    ],
)
@pytest.mark.parametrize("dimensions", [384, 1024])
def test_similar_texts_are_closer(text: str, near: str, far: str, dimensions: int) -> None:
    """Texts that share words or parts of them are closer than texts that do not."""
    assert closeness(text, near, dimensions) > closeness(text, far, dimensions) + 0.2


def test_case_and_width_do_not_matter() -> None:
    """Letter case and width variants make no difference."""
    assert closeness("Straße \uff21\uff22\uff23", "STRASSE abc") == pytest.approx(1)


def test_texts_without_words_differ() -> None:
    """Texts without words have different vectors too."""
    assert embed("", 384) != embed("!!!", 384)


def test_vectors_do_not_change() -> None:
    """A vector is the same on every machine and in every version: people keep them in files."""
    marks = {index: round(one, 6) for index, one in enumerate(embed("hello", 384)) if abs(one) > 0.2}
    assert marks == {3: -0.415227, 223: -0.415227, 289: 0.415227, 370: -0.415227}
