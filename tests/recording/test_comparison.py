"""The shape of answers: what belongs to it, and what a model may say as it likes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.recording.answers import Answer
from emulator.recording.comparison import compare_shapes, read_shape
from emulator.recording.recording import Frame, RecordedAnswer

JSON = (("content-type", "application/json"), ("date", "today"), ("vary", "Origin"), ("vary", "Referer"))


def answer(body: Any, status: int = 200, headers: Any = JSON) -> Answer:
    """An answer with a body of text or JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer(RecordedAnswer(status, headers, 0.0, (Frame(0.0, text.encode()),), "complete", 0.0))


def stream(*chunks: Any, end: str = "data: [DONE]\n\n") -> Answer:
    """A stream of chunks."""
    text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end
    return answer(text, headers=(("content-type", "text/event-stream"),))


def chunk(content: str, **more: Any) -> Any:
    """A chunk with some words."""
    return {"choices": [{"delta": {"content": content}, **more}]}


MESSAGE = {
    "choices": [{"finish_reason": "stop", "message": {"content": "Hi.", "role": "assistant"}}],
    "id": "a",
    "usage": {"n": 1},
}
ERROR = {"error": {"code": 400, "message": "has 3 of `a`", "status": "INVALID_ARGUMENT"}}


def changed(path: str, value: Any) -> Any:
    """The message above with one value changed, or a key removed."""
    copy = json.loads(json.dumps(MESSAGE))
    *parts, last = path.split(".")
    place = copy
    for part in parts:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return copy


@pytest.mark.parametrize(
    ("new", "differences"),
    [
        (answer(changed("choices.0.message.content", "Bye!")), []),
        (answer(changed("usage.n", 7)), []),
        (answer(MESSAGE, headers=(*JSON, ("x-emulator-rule", "a"), ("x-request-id", "7"))), []),
        (answer(MESSAGE, headers=(*JSON, ("x-new", "7"))), ["header x-new: expected nothing, found present"]),
        (answer(MESSAGE, headers=JSON[:3]), ["header vary: expected Origin | Referer, found Origin"]),
        (answer(ERROR, 400), ["status: expected 200, found 400 (has # of …)"]),
        (answer(changed("choices.0.finish_reason", "length")), ['choices.*.finish_reason: expected "stop", found "length"']),
        (answer(changed("usage", None)), ["usage: expected an object, found nothing"]),
        (answer(changed("new", {"a": 1})), ["new: expected nothing, found an object"]),
        (answer(changed("id", ["a"])), ["id: expected a text, found a list", "id.*: expected nothing, found a text"]),
        (answer(dict(reversed(MESSAGE.items()))), ["order of body: expected choices, id, usage, found usage, id, choices"]),
        (answer(json.dumps(MESSAGE, indent=2)), ["framing: expected an object, found an object on several lines"]),
        (answer([MESSAGE]), ["framing: expected an object, found an array of one"]),
        (answer("busy"), ["framing: expected an object, found text", "body: expected an object, found nothing"]),
    ],
)  # fmt: skip
def test_plain_answers(new: Answer, differences: list[str]) -> None:
    """Status, headers, framing, keys, their order, and the kinds of values."""
    assert [str(one) for one in compare_shapes(read_shape(answer(MESSAGE)), read_shape(new))] == differences


def test_error_texts() -> None:
    """What they name of a request is left out; other words are a change."""
    old = read_shape(answer(ERROR, 400))
    other = {"error": {**ERROR["error"], "message": "has 7 of `b`"}}
    assert compare_shapes(old, read_shape(answer(other, 400))) == []
    other = {"error": {**ERROR["error"], "message": "lacks 7 of `b`"}}
    assert [str(one) for one in compare_shapes(old, read_shape(answer(other, 400)))] == [
        "message: expected has # of …, found lacks # of …"
    ]


LAST = chunk("", finish_reason="stop", usage={})


@pytest.mark.parametrize(
    ("new", "differences"),
    [
        (stream(chunk("a"), LAST), []),
        (stream(chunk("a"), chunk("b"), chunk("c"), LAST), []),
        (stream(chunk("a"), chunk("b"), LAST, end=""), ["framing: expected a stream, \\n\\n, [DONE], found a stream, \\n\\n, no [DONE]"]),
        (stream(chunk("a", finish_reason=None), LAST), ["chunks.choices.*.finish_reason: expected nothing, found null"]),
        (stream(chunk("a"), chunk("", finish_reason="stop")), ["last chunk.choices.*.usage: expected an object, found nothing"]),
        (
            stream(chunk("a"), LAST, end='{"error": {"code": 503}}\n'),
            [
                "framing: expected a stream, \\n\\n, [DONE], found a stream, other line ends, no [DONE], a bare error",
                "error in the stream: expected nothing, found an object",
            ],
        ),
    ],
)  # fmt: skip
def test_streams(new: Answer, differences: list[str]) -> None:
    """However many chunks there are, what all have and what the last one has."""
    old = read_shape(stream(chunk("a"), chunk("b"), LAST))
    assert [str(one) for one in compare_shapes(old, read_shape(new))] == differences


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.one_of(st.binary(max_size=100), VALUES.map(lambda value: json.dumps(value).encode())), st.booleans())
def test_any_answer_is_like_itself(body: bytes, as_stream: bool) -> None:
    """Whatever it is, its shape can be read, and does not differ from itself."""
    headers = (("content-type", "text/event-stream" if as_stream else "application/json"),)
    data = b"data: " + body + b"\n\n" if as_stream else body
    shapes = [
        read_shape(Answer(RecordedAnswer(200, headers, 0.0, (Frame(0.0, data),), "complete", 0.0))) for _ in range(2)
    ]
    assert compare_shapes(*shapes) == []
