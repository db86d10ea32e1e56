"""Faults: where and how often they occur, what they do to an answer; and that none raises, whatever the answer."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.catalogue.faults import FAULT_NAMES, FAULTS, GarbleName
from emulator.engine.answer import Outcome, answer
from emulator.engine.randomness import AnswerInputs, Overrides
from emulator.engine.reply.fault_triggers import compile_faults
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import compile_rules
from emulator.engine.session import State
from emulator.scenario.faults import read_fault
from emulator.scenario.loading import read_text
from emulator.wire.sse import DONE
from emulator.wire.urls import Target

SAID = ["Eins.", " Zwei süß.", " Drei.", " Vier."]
GARBLES = get_args(GarbleName)
NO_FAULT: tuple[Any, ...] = ()
CALM = Overrides()


def play(
    reply: Any,
    *faults: Any,
    stream: bool = True,
    seed: str | None = "seed",
    entropy: bytes = bytes(16),
    project: str = "p",
    use: int = 1,
    n: int = 1,
    overrides: Overrides = CALM,
    **beside: Any,
) -> Outcome:
    """What becomes of one request to a rule with this reply and these faults."""
    text = json.dumps({"rules": [{"reply": reply, "fault": faults, **beside}]}, ensure_ascii=False)
    rules = compile_rules(read_text(text).scenarios)
    request: Any = {
        "messages": [{"role": "user", "content": "hi"}],
        "model": "google/gemini-2.5-flash",
        "n": n,
        "stream": stream,
    }
    facts = Facts(Target("v1", project, "global", "openapi"), [], request)
    uses = {rules.rules[0].key: use - 1}
    return answer([rules], facts, State(uses), AnswerInputs(1_767_225_600, seed, entropy, overrides))


def body_of(*faults: Any, reply: Any = None, stream: bool = True) -> bytes:
    """The bytes of a body with these faults, those before the client is cut off."""
    return play({"say": SAID} if reply is None else reply, *faults, stream=stream).timeline.body


def frames_of(*faults: Any) -> list[bytes]:
    """The frames of a stream of four chunks and [DONE]."""
    return [frame.data for frame in play({"say": SAID}, *faults).timeline.frames]


FRAMES = frames_of()
PLAIN = body_of(stream=False)


def test_every_fault_of_the_catalogue_can_be_read() -> None:
    """Names, catalogue and language agree."""
    assert set(FAULT_NAMES) == set(FAULTS)
    assert all(read_fault(fault.written) is not None and fault.effect for fault in FAULTS.values())
    assert set(GARBLES) <= set(FAULT_NAMES)


# Cuts and stalls


@pytest.mark.parametrize(
    ("spot", "sent"),
    [
        ({}, 2),
        ({"after_chunks": 0}, 0),
        ({"after_chunks": 1}, 1),
        ({"after_chunks": 4}, 4),
        ({"after_chunks": 99}, 5),
        ({"after_bytes": 0}, 0),
        ({"after_bytes": 10**9}, 5),
        ({"fraction": 0}, 0),
        ({"fraction": 1}, 5),
    ],
    ids=str,
)
def test_a_cut_is_at_its_place(spot: dict[str, Any], sent: int) -> None:
    """Behind so many whole events; without a place in the middle of the chunks."""
    timeline = play({"say": SAID}, {"cut": "close", **spot}).timeline
    assert (timeline.body, timeline.ending, timeline.head_at) == (b"".join(FRAMES[:sent]), "close", 0)


def test_a_cut_behind_the_whole_answer_is_warned_of() -> None:
    """The client has everything by then, so that a test of a cut answer would not be one."""
    assert play({"say": SAID}, {"cut": "reset", "after_chunks": 5}).warnings == ()
    assert play({"say": SAID}, {"cut": "reset", "after_chunks": 6}).warnings == (
        "fault behind the whole answer: the stream has 5 chunks, and it was to come behind 6",
    )


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_cut_after_bytes_divides_an_event(size: int) -> None:
    """To the byte."""
    assert body_of({"cut": "reset", "after_bytes": size}) == b"".join(FRAMES)[:size]


def test_a_cut_by_fraction_counts_bytes() -> None:
    """A quarter of the body."""
    whole = b"".join(FRAMES)
    assert body_of({"cut": "close", "fraction": 0.25}) == whole[: len(whole) // 4]
    assert body_of({"cut": "close", "fraction": 0.25}, stream=False) == PLAIN[: len(PLAIN) // 4]


@pytest.mark.parametrize("stream", [True, False])
def test_cuts_before_the_headers_send_nothing(stream: bool) -> None:
    """No head, no body; an end in order is not possible there, so it is a close."""
    for how, ending in (("reset", "reset"), ("close", "close"), ("end", "close")):
        timeline = play("Hi.", {"cut": how, "at": "before_headers"}, stream=stream).timeline
        assert (timeline.head_at, timeline.frames, timeline.ending) == (None, (), ending)


def test_a_cut_inside_a_frame_keeps_the_json() -> None:
    """The event has its JSON, not its end; plain JSON lacks its last brace."""
    sent = body_of("cut_inside_frame")
    last = sent.rpartition(b"\n\n")[2]
    assert json.loads(last.removeprefix(b"data: "))["choices"]
    assert b"".join(FRAMES).startswith(sent + b"\n\n")
    assert body_of("cut_inside_frame", stream=False) == PLAIN[:-1]


def test_a_cut_inside_json_leaves_no_json() -> None:
    """The last thing sent cannot be read."""
    for stream in (True, False):
        last = body_of("cut_inside_json", stream=stream).rpartition(b"\n\n")[2].removeprefix(b"data: ")
        assert last
        with pytest.raises(ValueError, match=r"Expecting|Unterminated|Invalid"):
            json.loads(last)


def test_a_cut_inside_a_character_leaves_no_text() -> None:
    """The bytes end in the middle of a UTF-8 sequence."""
    for stream in (True, False):
        with pytest.raises(UnicodeDecodeError, match="unexpected end of data"):
            body_of("cut_inside_character", stream=stream).decode()


def test_a_fault_without_a_place_warns() -> None:
    """A fault that cannot be applied leaves the answer unchanged, with a warning."""
    outcome = play("ASCII only.", "cut_inside_character")
    assert outcome.timeline == play("ASCII only.").timeline
    assert outcome.warnings == ("fault without effect: the answer has no character of several bytes to be cut in",)
    assert "no 9 chunks" in play("One.", {"fail": 503, "after_chunks": 9}).warnings[0]
    assert "this answer is plain" in play("One.", "no_done", stream=False).warnings[0]
    assert "no [DONE]" in play([{"say": "One."}, {"fail": 503}], "no_done").warnings[0]
    assert "no JSON" in play({"fail": "html_not_found"}, "empty_choices").warnings[0]
    assert "no JSON" in play({"fail": "html_not_found"}, "invalid_json").warnings[0]
    assert "a single chunk" in play("One.", "reordered_chunks").warnings[0]


def test_no_other_fault_applies_without_a_head() -> None:
    """After a cut before the headers no other fault has a place."""
    cut = {"cut": "reset", "at": "before_headers"}
    alone = play("One. Two.", cut).timeline
    for name in GARBLES:
        outcome = play("One. Two.", cut, {"garble": name, "after_chunks": 1})
        assert (outcome.timeline, len(outcome.warnings)) == (alone, 1)
    assert play("One. Two.", cut, {"fail": 503, "after_chunks": 0}).timeline == alone
    assert play([{**cut, "first": 1}, {"garble": "bom"}, {"say": "x"}][1:], cut).timeline == alone


def test_fault_steps_apply_at_their_position() -> None:
    """A step that cuts, stalls or garbles does so between the content before and after it."""
    cut = play([{"say": SAID[:1]}, {"cut": "reset"}]).timeline
    assert (len(cut.frames), cut.ending) == (1, "reset")
    assert play([{"cut": "reset", "chance": 1}, {"say": SAID}]).timeline.head_at is None
    stalled = play([{"say": SAID[:1]}, {"stall": 500}, {"say": SAID[1:]}]).timeline
    assert [frame.at for frame in stalled.frames] == [0, 0.5, 0.5, 0.5, 0.5]
    garbled = play([{"say": SAID[:1]}, {"garble": "unknown_event"}, {"say": SAID[1:]}]).timeline
    assert garbled.frames[1].data.startswith(b"event: ping\n")


def test_a_step_applies_at_the_same_fraction_of_a_plain_answer() -> None:
    """The content before the step decides how much of the body is sent; without any, nothing is."""
    reply = [{"say": "a" * 30}, {"cut": "close", "chance": 1}, {"say": "b" * 10}]
    plain = play(reply, stream=False)
    assert len(plain.timeline.body) == int(len(play([reply[0], reply[2]], stream=False).timeline.body) * 0.75)
    assert play(reply[1:], stream=False).timeline.head_at is None


def test_stalls_last() -> None:
    """For milliseconds, after which the rest follows; or for ever."""
    timeline = play({"say": SAID}, {"stall": 250, "after_chunks": 1}).timeline
    assert [frame.at for frame in timeline.frames] == [0, 0.25, 0.25, 0.25, 0.25]
    assert (timeline.head_at, timeline.end_at, timeline.ending) == (0, 0.25, "complete")
    late = play({"say": SAID}, {"stall": 250, "at": "before_headers"}).timeline
    assert (late.head_at, late.frames[0].at) == (0.25, 0.25)
    forever = play({"say": SAID}, "stall_mid_stream").timeline
    assert (len(forever.frames), forever.ending) == (2, "stall")
    assert play({"say": SAID}, "stall_before_headers").timeline.head_at is None


# Failures


def test_a_failure_instead_of_the_answer() -> None:
    """A `fail` of a rule without a place is the HTTP error, streamed or not."""
    for stream in (True, False):
        outcome = play("Hi.", {"fail": 429, "retry_after_s": 3}, stream=stream)
        assert (outcome.timeline.status, outcome.refusal and outcome.refusal.code) == (429, 429)
        assert ("retry-after", "3") in outcome.timeline.headers
        assert outcome.usage is None


def test_a_failure_inside_a_stream_is_bare() -> None:
    """Behind the chunks the object without `data:`, then nothing; the quirk makes it an event."""
    sent = frames_of("fail_mid_stream")
    assert sent[:2] == FRAMES[:2]
    assert json.loads(sent[2])["error"]["code"] == 503
    assert len(sent) == 3
    step = [{"say": SAID[:2]}, {"fail": 503}]
    assert [frame.data for frame in play(step).timeline.frames] == sent
    quirky = play(step, quirks=["data_errors"]).timeline.frames[-1].data
    assert json.loads(quirky.removeprefix(b"data: "))["error"]["code"] == 503
    beside = play({"say": SAID}, "fail_mid_stream", quirks=["data_errors"]).timeline.frames[-1].data
    assert beside == quirky


def test_a_failure_has_the_texts_of_the_scenario() -> None:
    """Message, details, status and body replace those of the catalogue; the message is a template."""
    said = {"fail": 429, "message": "{{ project }} is tired", "details": [{"@type": "x"}], "status": 200}
    timeline = play(said, project="blue").timeline
    error = json.loads(timeline.body)[0]["error"]
    assert (timeline.status, error["message"], error["details"]) == (200, "blue is tired", [{"@type": "x"}])
    assert play({"fail": 503, "body": {"a": 1}}).timeline.body.strip() == b'{"a":1}'
    page = play({"fail": 503, "status": 502, "body": "<html>Bad gateway"}).timeline
    assert (page.status, page.body.strip()) == (502, b"<html>Bad gateway")
    assert str(dict(page.headers)["content-type"]).startswith("text/html")


# Garbling


def test_garbled_streams() -> None:
    """Each kind changes the chunk in the middle as its name says, and nothing else."""
    one, two, three, four, done = FRAMES
    ping, comment = b'event: ping\ndata: {"type":"ping"}\n\n', b": keep-alive\n\n"
    assert frames_of("invalid_json") == [one, two, three.replace(b"{", b"", 1), four, done]
    half = three.rstrip()[: len(three.rstrip()) // 2]
    assert frames_of("truncated_json") == [one, two, half + b"\n\n", four, done]
    assert frames_of("duplicate_chunk") == [one, two, three, three, four, done]
    assert frames_of("reordered_chunks") == [one, two, four, three, done]
    assert frames_of("unknown_event") == [one, two, ping, three, four, done]
    assert frames_of("comment_lines") == [part for frame in FRAMES for part in (comment, frame)]
    assert frames_of("crlf") == [frame.replace(b"\n", b"\r\n") for frame in FRAMES]
    assert frames_of("no_done") == [one, two, three, four]
    assert frames_of("bom") == [b"\xef\xbb\xbf" + one, two, three, four, done]
    assert frames_of("wrong_content_type") == FRAMES
    emptied = frames_of("empty_choices")
    assert [emptied[:2], emptied[3:]] == [[one, two], [three, four, done]]
    assert json.loads(emptied[2].removeprefix(b"data: "))["choices"] == []


@pytest.mark.parametrize(("chunks", "at"), [(0, 0), (1, 1), (3, 3), (4, 3), (99, 3)])
def test_garbling_applies_to_the_named_chunk(chunks: int, at: int) -> None:
    """`after_chunks` names the chunk; [DONE] is none."""
    sent = frames_of({"garble": "duplicate_chunk", "after_chunks": chunks})
    assert sent == [*FRAMES[: at + 1], *FRAMES[at:]]


def test_garbled_plain_answers() -> None:
    """The kinds that apply to plain bodies change them."""
    assert body_of("invalid_json", stream=False) == PLAIN[1:]
    assert body_of("truncated_json", stream=False) == PLAIN[: len(PLAIN) // 2]
    assert body_of("bom", stream=False) == b"\xef\xbb\xbf" + PLAIN
    assert json.loads(body_of("empty_choices", stream=False)) == {**json.loads(PLAIN), "choices": []}


@pytest.mark.parametrize("stream", [True, False])
def test_a_wrong_content_type_changes_only_that(stream: bool) -> None:
    """The bytes stay, only the header changes."""
    timeline, right = (play("Hi.", *faults, stream=stream).timeline for faults in (["wrong_content_type"], NO_FAULT))
    assert (timeline.body, dict(timeline.headers)["content-type"]) == (right.body, "text/html")


# Odds


@pytest.mark.parametrize(
    ("odds", "happens"),
    [
        ({}, "xxxxxx"),
        ({"first": 2}, "xx...."),
        ({"after": 2}, "..xxxx"),
        ({"every": 3}, "..x..x"),
        ({"after": 1, "first": 3}, ".xx..."),
        ({"every": 2, "after": 2}, "...x.x"),
        ({"chance": 0}, "......"),
        ({"chance": 1}, "xxxxxx"),
        ({"chance": 1, "every": 2}, ".x.x.x"),
    ],
    ids=str,
)
def test_triggers_count_uses(odds: dict[str, Any], happens: str) -> None:
    """All conditions must hold, for faults of a rule and for steps."""
    fail = {"fail": 503, **odds}
    for reply, faults in (("Hi.", [fail]), ([fail, {"say": "Hi."}], [])):
        statuses = [play(reply, *faults, use=use).timeline.status for use in range(1, 7)]
        assert "".join("x" if status == 503 else "." for status in statuses) == happens


def fails(count: int, **how: Any) -> list[bool]:
    """Which of so many uses fail, at one in two."""
    return [play("Hi.", {"fail": 503, "chance": 0.5}, use=use, **how).timeline.status == 503 for use in range(count)]


def test_chance_follows_from_the_seed() -> None:
    """The same seed gives the same faults, another seed or project others; about half of them are triggered."""
    one = fails(40)
    assert fails(40, entropy=b"x" * 16) == one
    assert 8 < sum(one) < 32
    assert fails(40, seed="other") != one
    assert fails(40, project="q") != one


def test_chance_without_a_seed_is_new_each_time() -> None:
    """It follows from the entropy of the answer, and differs between projects with the same entropy."""
    one = fails(40, seed=None)
    assert fails(40, seed=None, entropy=b"x" * 16) != one
    assert fails(40, seed=None, project="q") != one


def test_faults_of_one_answer_are_triggered_independently() -> None:
    """Of two faults with a chance of one in two, of a rule, as steps or from the server, each occurs without the other."""
    cut, late = {"cut": "close", "chance": 0.5}, {"write_size": 7, "chance": 0.5}
    server = Overrides(faults=compile_faults([read_fault(cut), read_fault(late)], "server 0"))
    for faults, overrides in (([cut, late], CALM), ([], server), ([late], server)):
        seen = {
            (timeline.ending, timeline.write_size)
            for use in range(1, 30)
            for timeline in [play("A. B.", *faults, use=use, overrides=overrides).timeline]
        }
        assert len(seen) == 4


# Whatever is answered


TEXTS = st.text("aß😀. \n", max_size=30)
SAYING = st.one_of(
    st.builds(lambda text: {"say": text}, TEXTS),
    st.builds(lambda text: {"think": text}, TEXTS),
    st.just({"call": "f", "with": {"a": "ü"}}),
    st.just({"json": {"a": ["ü"]}}),
    st.just({"image": "auto"}),
    st.sampled_from([{"raw": ""}, {"raw": "ü\n"}, {"raw": [1]}, {"raw": {"choices": []}}, {"raw": "data: {"}]),
)
ODDS = st.sampled_from([{"chance": 1}, {"chance": 0.5}, {"first": 1}])
EFFECTS: Any = st.one_of(
    st.builds(lambda how: {"cut": how}, st.sampled_from(["reset", "close", "end"])),
    st.builds(lambda ms: {"stall": ms}, st.sampled_from([0, 10, "forever"])),
    st.builds(lambda name: {"garble": name}, st.sampled_from(GARBLES)),
    st.builds(lambda error: {"fail": error}, st.sampled_from([429, "html_not_found"])),
)
STEPS = (
    SAYING | st.builds(lambda ms: {"pause": ms}, st.just(5)) | st.builds(lambda *two: two[0] | two[1], EFFECTS, ODDS)
)
REPLIES = st.one_of(st.lists(STEPS, min_size=1, max_size=4), st.just([{"fail": 429}]), st.just([{"say": ""}]))
SPOTS: Any = st.one_of(
    st.just({}),
    st.builds(lambda at: {"at": at}, st.sampled_from(["before_headers", "inside_frame", "inside_json"])),
    st.just({"at": "inside_character"}),
    st.builds(lambda count: {"after_chunks": count}, st.integers(0, 5)),
    st.builds(lambda count: {"after_bytes": count}, st.integers(0, 2000)),
    st.builds(lambda part: {"fraction": part}, st.floats(0, 1)),
)


def _place(effect: dict[str, Any], spot: dict[str, Any]) -> dict[str, Any]:
    """A fault at a place that it may have."""
    chunks = {key: value for key, value in spot.items() if key == "after_chunks"}
    return {**effect, **(spot if "cut" in effect or "stall" in effect else chunks)}


FAULT = st.sampled_from(FAULT_NAMES) | st.builds(_place, EFFECTS, SPOTS)
ASKED = st.fixed_dictionaries({"stream": st.booleans(), "n": st.integers(1, 3)})


@given(REPLIES, st.lists(FAULT, max_size=3), ASKED)
def test_no_fault_raises(reply: Any, faults: list[Any], asked: dict[str, Any]) -> None:
    """Any reply with any faults, plain and streamed, is an answer whose times never decrease, the same for the same seed."""
    outcome = play(reply, *faults, **asked)
    assert outcome.result == "answer"
    timeline = outcome.timeline
    times = [timeline.head_at or 0.0, *(frame.at for frame in timeline.frames), timeline.end_at]
    assert times == sorted(times)
    assert timeline.head_at is not None or not timeline.frames
    again = play(reply, *faults, **asked, entropy=b"x" * 16)
    assert (again.timeline, again.warnings) == (timeline, outcome.warnings)


@pytest.mark.parametrize("name", FAULT_NAMES)
@given(reply=REPLIES, asked=ASKED)
def test_the_same_seed_gives_the_same_bytes_and_times(name: str, reply: Any, asked: dict[str, Any]) -> None:
    """For every fault of the catalogue, at a pace with jitter."""
    one, two = (play(reply, name, **asked, pace="slow-train", entropy=bytes([at]) * 16) for at in (1, 2))
    assert one.timeline == two.timeline


@given(st.lists(SAYING, min_size=1, max_size=4), SPOTS, ASKED, st.sampled_from(["reset", "close", "end"]))
def test_a_cut_sends_a_prefix(reply: Any, spot: dict[str, Any], asked: dict[str, Any], how: str) -> None:
    """What is sent before a cut is the beginning of what would have been sent."""
    whole, cut = play(reply, **asked), play(reply, {"cut": how, **spot}, **asked)
    assert whole.timeline.body.startswith(cut.timeline.body)
    assert cut.timeline.ending != "complete" or cut.warnings


@given(st.lists(SAYING, min_size=1, max_size=4), SPOTS, ASKED, st.integers(1, 9))
def test_stalls_and_small_writes_change_no_byte(reply: Any, spot: Any, asked: dict[str, Any], number: int) -> None:
    """They change when and how the bytes are sent."""
    whole = play(reply, **asked).timeline
    stalled = play(reply, {"stall": number, **spot}, **asked)
    assert (stalled.timeline.body, stalled.timeline.headers) == (whole.body, whole.headers)
    assert stalled.timeline.end_at == number / 1000 or stalled.warnings
    written = play(reply, {"write_size": number}, **asked).timeline
    assert (written.frames, written.write_size) == (whole.frames, number)


def test_done_stays_last() -> None:
    """Whatever garbles the chunks, a stream that has [DONE] ends with it."""
    for name in set(GARBLES) - {"no_done", "crlf"}:
        for chunks in range(6):
            assert frames_of({"garble": name, "after_chunks": chunks})[-1] == DONE
