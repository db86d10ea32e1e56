"""Pace: when each part of an answer is sent; absolute times that follow from tokens, pace and seed."""

import json
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.catalogue.paces import PACE_NAMES, PACES, PaceName
from emulator.engine.answer import Outcome, answer
from emulator.engine.randomness import AnswerInputs, Overrides
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import compile_rules
from emulator.engine.session import State
from emulator.engine.timeline.directives import CompiledPace
from emulator.engine.timeline.pace import compile_pace
from emulator.engine.timeline.timeline import Timeline
from emulator.scenario.loading import read_text
from emulator.wire.urls import Target

CALM = Overrides()
PIECES = ["a" * 40, "b" * 20, "c" * 40]
TEN_TOKENS = {"completion": 10}
"""The usage of an answer whose pieces are 4, 2 and 4 tokens."""


def answer_to(
    reply: Any,
    *,
    stream: bool = True,
    seed: str | None = "seed",
    overrides: Overrides = CALM,
    request: dict[str, Any] | None = None,
    **beside: Any,
) -> Outcome:
    """What becomes of one request to a rule with this reply."""
    text = json.dumps({"rules": [{"reply": reply, **beside}]}, ensure_ascii=False)
    rules = compile_rules(read_text(text).scenarios)
    asked: Any = {
        "messages": [{"role": "user", "content": "hi"}],
        "model": "google/gemini-2.5-flash",
        "stream": stream,
        **(request or {}),
    }
    facts = Facts(Target("v1", "p", "global", "openapi"), [], asked)
    return answer([rules], facts, State(), AnswerInputs(1_767_225_600, seed, bytes(16), overrides))


def play(reply: Any, **how: Any) -> Timeline:
    """The timeline of an answer."""
    return answer_to(reply, **how).timeline


def times(reply: Any, **how: Any) -> list[float]:
    """When its frames are sent, in milliseconds, [DONE] included."""
    return [round(frame.at * 1000, 6) for frame in play(reply, **how).frames]


def test_every_pace_can_be_compiled() -> None:
    """Names and profiles agree, and only one takes no time."""
    assert get_args(PaceName) == PACE_NAMES == tuple(PACES)
    assert [name for name in PACE_NAMES if not compile_pace(name).takes_time] == ["instant"]


def test_without_pace_no_time_passes() -> None:
    """All is sent at once, so in one write."""
    assert play({"say": PIECES}).is_instant
    assert play({"say": PIECES}, pace="instant").is_instant


def test_a_chunk_comes_when_its_last_token_is_there() -> None:
    """First token at 300 ms, then one each 10 ms; [DONE] comes with the last chunk."""
    pace = {"first_token_ms": 300, "tokens_per_second": 100}
    assert times({"say": PIECES}, pace=pace, usage=TEN_TOKENS) == [330, 350, 390, 390]
    assert play({"say": PIECES}, pace=pace, usage=TEN_TOKENS).head_at == pytest.approx(0.33)


def test_time_follows_the_usage() -> None:
    """Twice the tokens take twice as long, whatever the text; a single token takes what the first one takes."""
    pace = {"tokens_per_second": 1}
    assert times({"say": PIECES}, pace=pace, usage={"completion": 20})[-1] == 19_000
    assert times({"say": PIECES}, pace=pace, usage={"completion": 11})[-1] == 10_000
    assert times({"say": PIECES}, pace={**pace, "first_token_ms": 5}, usage={"completion": 1})[-1] == 5
    assert times({"say": PIECES}, pace={**pace, "first_token_ms": 5}, usage={"completion": 0}) == [5, 5, 5, 5]


def test_the_estimate_is_what_the_usage_says() -> None:
    """Without scripted numbers the estimated ones decide."""
    outcome = answer_to({"say": PIECES}, pace={"tokens_per_second": 1})
    assert outcome.usage is not None
    assert outcome.timeline.end_at == pytest.approx(outcome.usage.sum - outcome.usage.prompt - 1)


def test_every_ms_is_between_chunks() -> None:
    """`every_ms` is the delay between chunks, however long they are; it replaces a profile's token rate."""
    assert times({"say": PIECES}, pace={"first_token_ms": 5, "every_ms": 20}) == [5, 25, 45, 45]
    profile = {"profile": "slow-train", "first_token_ms": 5, "every_ms": 20, "jitter": 0}
    assert times({"say": PIECES}, pace=profile) == [5, 25, 45, 45]


def test_keys_override_their_profile() -> None:
    """Given values win, the others are the profile's."""
    flash = PACES["gemini-flash"]
    assert flash.first_token_ms is not None
    assert flash.tokens_per_second is not None
    assert compile_pace("gemini-flash") == CompiledPace(
        flash.first_token_ms / 1000, 1 / flash.tokens_per_second, jitter=flash.jitter or 0
    )
    text = "rules: [{reply: Hi, pace: {profile: gemini-flash, first_token_ms: 0, jitter: 0}}]"
    (rule,) = compile_rules(read_text(text).scenarios).rules
    assert rule.compiled_pace == CompiledPace(0, 1 / flash.tokens_per_second)


def test_hidden_thoughts_take_time() -> None:
    """A client that does not see a thought waits for it; one that sees it gets it earlier, and the rest at the same time."""
    reply = [{"think": "t" * 50}, {"say": "s" * 50}]
    how: Any = {"pace": {"tokens_per_second": 10}, "usage": {"completion": 5, "reasoning": 5}}
    hidden = times(reply, **how)
    shown = times(reply, **how, request={"extra_body": {"google": {"thinking_config": {"include_thoughts": True}}}})
    assert hidden == [900, 900]
    assert shown == [400, 900, 900]


def test_pauses_take_time() -> None:
    """Before, between and after the content, with a pace and without."""
    reply = [{"pause": 50}, {"say": "One"}, {"pause": 100}, {"say": " two"}, {"pause": 30}]
    timeline = play(reply)
    assert times(reply) == [50, 150, 180]
    assert [timeline.head_at, timeline.end_at] == pytest.approx([0.05, 0.18])
    assert times(reply, pace={"first_token_ms": 7}) == [57, 157, 187]


def test_a_failure_waits_for_the_pauses_before_it() -> None:
    """The error comes after the directives before it, without the delay of a first token."""
    for stream in (True, False):
        timeline = play([{"pause": 250}, {"fail": 429}], stream=stream, pace={"first_token_ms": 999})
        assert (timeline.status, timeline.head_at, timeline.end_at) == (429, 0.25, 0.25)
    assert play({"fail": 429}, pace="slow-train").is_instant


def test_a_late_failure_takes_the_time_until_then() -> None:
    """The plain answer fails when the stream does."""
    reply = [{"say": PIECES}, {"pause": 100}, {"fail": 503}]
    pace = {"first_token_ms": 300, "tokens_per_second": 100}
    assert times(reply, pace=pace, usage=TEN_TOKENS)[-1] == 490
    plain = play(reply, pace=pace, usage=TEN_TOKENS, stream=False)
    assert plain.status == 503
    assert plain.end_at == pytest.approx(0.49)


def test_a_step_has_a_pace_of_its_own() -> None:
    """Its first token and its rate are its own; the next step has the pace of the answer again."""
    own = {"first_token_ms": 1000, "every_ms": 5}
    reply = [{"say": PIECES[:1]}, {"say": PIECES[1:], "pace": own}, {"say": ["d", "e"]}]
    assert times(reply, pace={"first_token_ms": 10, "every_ms": 100}) == [10, 1010, 1015, 1115, 1215, 1215]
    assert times([{"say": "a", "pace": "instant"}, {"say": "b"}], pace={"first_token_ms": 10}) == [0, 0, 0]


def test_a_plain_answer_takes_as_long_as_its_stream() -> None:
    """Head and body come when the stream would have ended, jitter and pauses included."""
    reply = [{"think": "Hm."}, {"say": "One. Two."}, {"pause": 10}, {"call": "f", "with": {"a": 1}}]
    stream = play(reply, pace="slow-train")
    plain = play(reply, pace="slow-train", stream=False)
    assert plain.end_at == stream.end_at > 2
    assert [plain.head_at, *(frame.at for frame in plain.frames)] == [stream.end_at] * 2


@pytest.mark.parametrize("stream", [True, False])
def test_speed_divides_all_times(stream: bool) -> None:
    """Ten times as fast is a tenth of every time: pace, pause and stall alike."""
    reply = [{"say": PIECES}, {"pause": 100}, {"say": "d"}]
    how: Any = {"pace": "slow-train", "fault": {"stall": 1000}, "stream": stream}
    slow, fast = (play(reply, **how, overrides=Overrides(speed=speed)) for speed in (1.0, 10.0))
    assert fast.body == slow.body
    assert [frame.at for frame in fast.frames] == pytest.approx([frame.at / 10 for frame in slow.frames])
    assert slow.head_at is not None
    assert (fast.head_at, fast.end_at) == pytest.approx((slow.head_at / 10, slow.end_at / 10))


def test_precedence_of_paces() -> None:
    """The pace of the request wins, then the rule's, then the server's."""
    server, asked = CompiledPace(first=1), CompiledPace(first=2)
    assert times("Hi", overrides=Overrides(compiled_pace=server))[0] == 1000
    assert times("Hi", pace={"first_token_ms": 5}, overrides=Overrides(compiled_pace=server))[0] == 5
    assert times("Hi", pace={"first_token_ms": 5}, overrides=Overrides(requested_pace=asked))[0] == 2000
    assert times("Hi", pace="slow-train", overrides=Overrides(requested_pace=CompiledPace())) == [0, 0]


def test_jitter_follows_from_the_seed() -> None:
    """The same seed gives the same times, another others."""
    how: Any = {"pace": {"first_token_ms": 100, "tokens_per_second": 10, "jitter": 0.5}}
    assert times({"say": PIECES}, **how) == times({"say": PIECES}, **how)
    assert times({"say": PIECES}, **how) != times({"say": PIECES}, **how, seed="other")


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_jitter_is_bounded(seed: int, jitter: float) -> None:
    """No delay varies by more than its share, in either direction."""
    pace = {"first_token_ms": 100, "every_ms": 50}
    timeline = play({"say": PIECES}, pace={**pace, "jitter": jitter}, seed=str(seed))
    at = [frame.at for frame in timeline.frames]
    waits = [at[0], *(later - earlier for earlier, later in pairwise(at))]
    for wait, planned in zip(waits, [0.1, 0.05, 0.05, 0], strict=True):
        assert planned * (1 - jitter) - 1e-9 <= wait <= planned * (1 + jitter) + 1e-9


PACE = st.sampled_from(PACE_NAMES) | st.fixed_dictionaries(
    {},
    optional={
        "profile": st.sampled_from(PACE_NAMES),
        "first_token_ms": st.integers(0, 1000),
        "jitter": st.floats(0, 1),
        "tokens_per_second": st.floats(0.5, 1000),
    },
)
STEP = st.one_of(
    st.builds(lambda text: {"say": text}, st.text("ab. ", max_size=20)),
    st.builds(lambda text, pace: {"say": text, "pace": pace}, st.text("ab. ", max_size=20), PACE),
    st.builds(lambda text: {"think": text}, st.text("ab. ", max_size=20)),
    st.builds(lambda ms: {"pause": ms}, st.integers(0, 1000)),
    st.builds(lambda pace: {"call": "f", "with": {"a": 1}, "pace": pace}, PACE),
    st.just({"raw": "x"}),
)


@given(st.lists(STEP, min_size=1, max_size=5), PACE, st.integers(1, 3))
def test_times_never_decrease(reply: Any, pace: Any, n: int) -> None:
    """For any reply and pace: times are in order, the end is last, the bytes are those without pace, and plain takes as long."""
    timeline = play(reply, pace=pace, request={"n": n})
    moments = [timeline.head_at or 0.0, *(frame.at for frame in timeline.frames), timeline.end_at]
    assert moments == sorted(moments)
    run_synchronously = play(
        [{key: one for key, one in step.items() if key != "pace"} for step in reply], request={"n": n}
    )
    if not any("call" in step for step in reply):
        assert timeline.body == run_synchronously.body
    assert play(reply, pace=pace, stream=False, request={"n": n}).end_at == timeline.end_at


def test_times_are_absolute() -> None:
    """A thousand chunks do not add up rounding errors: the last one comes at the sum of its delays."""
    timeline = play({"say": ["ab"] * 1000}, pace={"every_ms": 1}, usage={"completion": 1000})
    assert timeline.end_at == pytest.approx(0.999)
