"""The client that looks closely."""

import json
from collections.abc import Sequence

import pytest

from benchmarks.asking import Answer, WrongAnswerError, check
from benchmarks.situations import ARGUMENTS, PICTURE, PLAIN, SITUATIONS, STREAM, TOOL, TOOL_CALL, Situation, say


def stream_of(pieces: Sequence[str], end: str = "data: [DONE]\n\n") -> Answer:
    """A stream of texts."""
    events = [json.dumps({"choices": [{"index": 0, "delta": {"content": piece}}]}) for piece in pieces]
    return Answer(200, (), ("".join(f"data: {event}\n\n" for event in events) + end).encode())


def plain_of(**message: object) -> Answer:
    """A plain answer."""
    return Answer(200, (), json.dumps({"choices": [{"message": message}]}).encode())


def right_pieces() -> list[str]:
    """The text of the situation in its eight pieces."""
    text = say(8)
    return [text[start : start + 4] for start in range(0, len(text), 4)]


def test_right_answers_pass() -> None:
    """Text, stream and call as they should be raise nothing."""
    check(plain_of(content=say(8)), PLAIN, 8)
    check(stream_of(right_pieces()), STREAM, 8)
    call = {"function": {"name": TOOL, "arguments": json.dumps(ARGUMENTS)}}
    check(plain_of(content=None, tool_calls=[call]), TOOL_CALL, 8)


@pytest.mark.parametrize(
    ("answer", "situation", "reason"),
    [
        (Answer(429, (), b"slow down"), PLAIN, "status 429: slow down"),
        (Answer(200, (), b"<html>"), PLAIN, "not of the documented shape"),
        (plain_of(content="something else"), PLAIN, "another text: 'something else'"),
        (plain_of(content=None), TOOL_CALL, "not of the documented shape"),
        (stream_of(right_pieces(), end=""), STREAM, "a stream that ends in"),
        (stream_of(right_pieces()[:-1]), STREAM, "another text"),
        (stream_of([say(8)]), STREAM, "1 chunks, not 8"),
    ],
)
def test_wrong_answers_are_told(answer: Answer, situation: Situation, reason: str) -> None:
    """Each says in what it is wrong."""
    with pytest.raises(WrongAnswerError, match=reason):
        check(answer, situation, 8)


def test_texts_divide_alike_by_words_and_by_size() -> None:
    """So that all who are measured send the same chunks."""
    assert [piece.strip() for piece in right_pieces()] == say(8).split()


def test_situations_are_what_they_are_called() -> None:
    """The picture has a megabyte; the names tell them apart."""
    assert 1_000_000 < len(PICTURE.body) * 3 / 4 < 1_020_000
    assert len({situation.name for situation in SITUATIONS}) == len(SITUATIONS)
