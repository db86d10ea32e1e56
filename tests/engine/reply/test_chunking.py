"""Chunking: pieces are always the text, and there are not too many of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.reply.chunking import MAX_CHUNKS, divide, limit_chunks
from emulator.engine.reply.parts import CallPart, Choice, TextPart, make_text
from emulator.scenario.steps import Sized
from emulator.wire.json_text import dump

MANY = 3 * MAX_CHUNKS + 1


@pytest.mark.parametrize("chunks", [Sized(size=1), Sized(size=2), "words", "whole", None, ["a. "] * MANY])
def test_a_long_text_has_a_bounded_number_of_chunks(chunks: object) -> None:
    """However it is to be divided, the pieces joined are the text."""
    text = "a. " * MANY
    pieces = divide(text, chunks)  # type: ignore[arg-type]  # as parameters they are objects
    assert "".join(pieces) == text
    assert len(pieces) <= MAX_CHUNKS


def test_texts_up_to_the_bound_are_divided_as_written() -> None:
    """The bound changes nothing for them."""
    assert divide("ab" * (MAX_CHUNKS // 2), Sized(size=1)) == ("a", "b") * (MAX_CHUNKS // 2)
    assert len(divide("a" * (MAX_CHUNKS + 1), Sized(size=1))) == MAX_CHUNKS // 2 + 1


@given(
    st.lists(st.lists(st.text('ab"\\\u00e4\U0001f600\n', max_size=3), min_size=1, max_size=4), max_size=4),
    st.integers(1, 8),
)
def test_joined_chunks_say_the_same(texts: list[list[str]], copies: int) -> None:
    """Texts and arguments stay, and each piece's JSON is that of the piece."""
    parts = [make_text(tuple(pieces * (MAX_CHUNKS // 10))) for pieces in texts]
    call = CallPart("f", "{}" * MAX_CHUNKS, "id", None, ("{}",) * MAX_CHUNKS)
    choice = Choice((*parts, call), "stop")
    limited = limit_chunks([choice] * copies)
    count = 0
    for one in limited:
        for before, part in zip(choice.parts, one.parts, strict=True):
            if isinstance(part, TextPart) and isinstance(before, TextPart):
                assert part.text == before.text == "".join(part.pieces)
                assert part.encoded[:50] == tuple(dump(piece) for piece in part.pieces[:50])
                count += len(part.pieces)
            elif isinstance(part, CallPart) and isinstance(before, CallPart):
                assert "".join(part.pieces or ()) == before.arguments
                count += len(part.pieces or ())
    assert count <= MAX_CHUNKS + len(parts) * copies + copies


def test_few_chunks_are_left_alone() -> None:
    """An answer within the bound is the same object."""
    choice = Choice((make_text(("a", "b")),), "stop")
    assert limit_chunks([choice])[0] is choice
