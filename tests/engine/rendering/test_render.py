"""Rendering: the same answer, plain and streamed."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.rendering.render import render
from emulator.engine.rendering.streaming import announce_index, fragment
from emulator.engine.reply.chunking import divide
from emulator.engine.reply.parts import (
    Answer,
    CallPart,
    Choice,
    FailPart,
    MediaPart,
    Part,
    RawPart,
    TextPart,
    make_text,
)
from emulator.engine.request.facts import Facts
from emulator.engine.timeline.timeline import Timeline
from emulator.scenario.steps import Sized
from emulator.wire.errors import Refusal
from emulator.wire.responses import Identity
from emulator.wire.sse import DONE
from emulator.wire.urls import Target
from emulator.wire.usage import Usage

IDENTITY = Identity("an-id", 1_770_852_204, "google/gemini-3-flash")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.text(max_size=8), JSON, max_size=4).map(json.dumps)
PIECES = st.lists(st.text(max_size=10), min_size=1, max_size=4).map(tuple)
TEXTS = st.builds(lambda pieces, thought: make_text(pieces, is_thought=thought), PIECES, st.booleans())
CALLS = st.builds(
    CallPart, st.text(min_size=1, max_size=5), ARGUMENTS, st.uuids().map(str), st.none() | st.just("sig"), st.none()
)
PARTS = st.lists(TEXTS | CALLS, min_size=1, max_size=6).map(tuple)
CHOICES = st.lists(st.builds(Choice, PARTS, st.sampled_from(["stop", "length"])), min_size=1, max_size=3).map(tuple)
ANSWERS = st.builds(Answer, CHOICES, st.just(Usage(1, 2, 3)))
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "thinking_config": st.fixed_dictionaries({"include_thoughts": st.booleans()}),
        "thought_tag_marker": st.sampled_from(["think", "t"]),
        "stream_function_call_arguments": st.booleans(),
    },
)


def play(answer: Answer, google: dict[str, Any], *, stream: bool) -> Timeline:
    """Render an answer to a request."""
    target = Target("v1", "p", "global", "openapi")
    return render(answer, IDENTITY, Facts(target, [], {"stream": stream, "extra_body": {"google": google}}))


def read_events(timeline: Timeline) -> list[Any]:
    """The chunks of a stream."""
    assert timeline.frames[-1].data == DONE
    return [json.loads(frame.data.removeprefix(b"data: ")) for frame in timeline.frames[:-1]]


def join(chunks: list[Any]) -> dict[int, dict[str, Any]]:
    """What a client makes of the chunks: the message and finish reason of each choice, calls told apart by id."""
    joined: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            whole = joined.setdefault(choice["index"], {"content": None, "calls": {}, "audio": None, "finish": None})
            delta = choice["delta"]
            assert delta["role"] == "assistant"
            if "content" in delta:
                whole["content"] = (whole["content"] or "") + delta["content"]
            whole["audio"] = delta.get("audio", whole["audio"])
            whole["finish"] = choice.get("finish_reason", whole["finish"])
            for call in delta.get("tool_calls", ()):
                known = whole["calls"].setdefault(call["id"], {"arguments": "", "signature": None})
                known["arguments"] += call["function"]["arguments"]
                known["name"] = call["function"]["name"]
                known["signature"] = known["signature"] or call.get("extra_content")
    return joined


@given(ANSWERS, OPTIONS)
def test_joined_chunks_are_the_plain_answer(answer: Answer, google: dict[str, Any]) -> None:
    """For any answer and any options, the chunks of a stream add up to the plain reply."""
    plain = json.loads(play(answer, google, stream=False).body)
    chunks = read_events(play(answer, google, stream=True))
    joined = join(chunks)
    for choice in plain["choices"]:
        message, whole = choice["message"], joined[choice["index"]]
        assert whole["content"] == message["content"]
        assert whole["finish"] == choice["finish_reason"]
        calls = message.get("tool_calls", [])
        assert [call["id"] for call in calls] == list(whole["calls"])
        for call in calls:
            known = whole["calls"][call["id"]]
            assert json.loads(known["arguments"]) == json.loads(call["function"]["arguments"])
            assert (known["name"], known["signature"]) == (call["function"]["name"], call.get("extra_content"))
    assert [("usage" in chunk) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1]["usage"] == plain["usage"]
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks} == {
        (plain["id"], plain["created"], plain["model"])
    }


@given(ARGUMENTS)
def test_fragments_join_to_the_arguments(arguments: str) -> None:
    """The fragments of any arguments are JSON of the same value when joined."""
    assert json.loads("".join(fragment(arguments))) == json.loads(arguments)


def test_fragments_stand_where_the_documentation_shows_them() -> None:
    """Key and text, closing quote, next key, ..., closing brace; other values in one piece."""
    assert fragment('{"location": "Boston, MA", "unit": "celsius"}') == (
        '{"location":"Boston, MA',
        '"',
        ',"unit":"celsius',
        '"',
        "}",
    )
    assert fragment('{"n": 3, "list": [1, "a"]}') == ('{"n":3', ',"list":[1,"a"]', "}")
    assert fragment("{}") == ("{}",)
    assert fragment("not JSON") == ("not JSON",)


def test_announcements_carry_the_other_calls_index() -> None:
    """Two calls swap; one call, and an odd one at the end, keep their own."""
    assert [announce_index(at, 2) for at in range(2)] == [1, 0]
    assert announce_index(0, 1) == 0
    assert [announce_index(at, 3) for at in range(3)] == [1, 0, 2]


@given(
    st.text(max_size=500),
    st.sampled_from([None, "words", "sentences", "whole"]) | st.integers(1, 9).map(lambda size: Sized(size=size)),
)
def test_pieces_join_to_the_text(text: str, chunks: Any) -> None:
    """However a text is divided, nothing is lost, and there is at least one piece."""
    pieces = divide(text, chunks)
    assert "".join(pieces) == text
    assert pieces


def test_texts_are_divided_as_asked() -> None:
    """Sentences by default, long ones between words; words keep the space behind them."""
    assert divide("One. Two! Three?", None) == ("One. ", "Two! ", "Three?")
    assert divide("3.14 is pi", None) == ("3.14 is pi",)
    assert divide("One two", "words") == ("One ", "two")
    assert divide("abcde", Sized(size=2)) == ("ab", "cd", "e")
    assert all(len(piece) <= 200 for piece in divide("word " * 300, None))


def one(*parts: Part) -> Answer:
    """An answer of one choice."""
    return Answer((Choice(parts, "stop"),), Usage(1, 1))


def test_thoughts_are_hidden_unless_asked_for() -> None:
    """Without include_thoughts nothing of a thought shows, nor an empty content where there was only a thought."""
    answer = one(make_text(("Hm.",), is_thought=True))
    assert json.loads(play(answer, {}, stream=False).body)["choices"][0]["message"]["content"] is None
    (chunk,) = read_events(play(answer, {}, stream=True))
    assert chunk["choices"][0]["delta"] == {"role": "assistant"}


def test_thoughts_are_wrapped_and_flagged() -> None:
    """One pair of tags around all pieces of a thought, each flagged in the stream; the answer is not."""
    answer = one(make_text(("Hm, ", "well."), is_thought=True), make_text(("Yes.",)))
    google = {"thinking_config": {"include_thoughts": True}, "thought_tag_marker": "think"}
    plain = json.loads(play(answer, google, stream=False).body)
    assert plain["choices"][0]["message"]["content"] == "<think>Hm, well.</think>Yes."
    deltas = [chunk["choices"][0]["delta"] for chunk in read_events(play(answer, google, stream=True))]
    assert [delta["content"] for delta in deltas] == ["<think>Hm, ", "well.</think>", "Yes."]
    assert [("extra_content" in delta) for delta in deltas] == [True, True, False]


def test_parallel_calls_share_a_chunk_without_the_flag() -> None:
    """Whole calls stand in one chunk, numbered from 0."""
    calls = [CallPart(f"f{at}", "{}", f"id{at}", None, None) for at in range(3)]
    chunk, last = read_events(play(one(*calls), {}, stream=True))
    assert [call["index"] for call in chunk["choices"][0]["delta"]["tool_calls"]] == [0, 1, 2]
    assert last["choices"][0]["delta"] == {"role": "assistant"}
    assert last["choices"][0]["finish_reason"] == "stop"


def test_scripted_pieces_name_the_call_once() -> None:
    """Fragments without the flag keep their index and leave name and id to the first."""
    call = CallPart("f", '{"a":1}', "id", "sig", ('{"a"', ":1}"))
    *chunks, _ = read_events(play(one(call), {}, stream=True))
    deltas = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in chunks]
    assert deltas[0]["function"] == {"arguments": '{"a"', "name": "f"}
    assert deltas[1] == {"function": {"arguments": ":1}"}, "index": 0}


def test_media_stand_in_the_audio_slot() -> None:
    """A picture comes as base64 in `audio`, plain and streamed, and text keeps its place beside it."""
    answer = one(make_text(("Here.",)), MediaPart("AAAA", "image/png", "sig"))
    message = json.loads(play(answer, {}, stream=False).body)["choices"][0]["message"]
    audio = {"data": "AAAA", "extra_content": {"google": {"mime_type": "image/png"}}}
    signature = {"google": {"thought_signature": "sig"}}
    assert message == {"audio": audio, "content": "Here.", "extra_content": signature, "role": "assistant"}
    last = read_events(play(answer, {}, stream=True))[-1]["choices"][0]
    assert last["delta"] == {"audio": audio, "extra_content": signature, "role": "assistant"}


def test_failures_end_streams_without_done() -> None:
    """A late failure is the bare error object, without `data:`; nothing follows, and nothing before it is final."""
    answer = one(make_text(("Once",)), FailPart(Refusal(503, "UNAVAILABLE", "Away.")), make_text(("never",)))
    timeline = play(answer, {}, stream=True)
    assert timeline.status == 200
    assert json.loads(timeline.frames[-1].data) == {"error": {"code": 503, "message": "Away.", "status": "UNAVAILABLE"}}
    assert b"finish_reason" not in timeline.body
    assert b"never" not in timeline.body
    assert play(answer, {}, stream=False).status == 503


def test_failures_at_the_start_are_http_errors() -> None:
    """Before any content, a failure is the whole answer, streamed or not."""
    answer = one(FailPart(Refusal(429, "RESOURCE_EXHAUSTED", "Later.")))
    assert play(answer, {}, stream=True) == play(answer, {}, stream=False)
    assert play(answer, {}, stream=True).status == 429


def test_raw_bytes_are_written_as_they_are() -> None:
    """In a stream at their place, in a plain answer instead of the body; alone, without [DONE]."""
    raw = RawPart(b"{}", b"data: {}\n\n")
    assert play(one(raw), {}, stream=True).body == b"data: {}\n\n"
    assert play(one(raw), {}, stream=False).body == b"{}"
    mixed = play(one(make_text(("a",)), raw), {}, stream=True)
    assert [frame.data for frame in mixed.frames[1:]] == [b"data: {}\n\n", DONE]


def test_text_parts_keep_their_pieces_encoded() -> None:
    """Each piece is encoded once."""
    assert make_text(("a\n", "“")).encoded == (b'"a\\n"', '"“"'.encode())
    assert isinstance(make_text(("a",)), TextPart)
