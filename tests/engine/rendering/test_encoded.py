"""Answers that are encoded once and filled in for each request."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.answer import Outcome, answer
from emulator.engine.randomness import AnswerInputs, Overrides
from emulator.engine.rendering.encoded import LARGEST_ENCODED, SLOT_CACHED, SLOT_PROMPT, slot_identity
from emulator.engine.request.facts import Facts
from emulator.engine.request.options import RequestOptions
from emulator.engine.ruleset import compile_rules
from emulator.engine.session import State
from emulator.engine.timeline.directives import CompiledPace
from emulator.scenario.loading import read_text
from emulator.wire.urls import Target

RULES = compile_rules(
    read_text(
        """
rules:
  - {when: {last_user: text}, reply: {say: [Hello, " there, ", "größer \U0001f600"]}}
  - {when: {last_user: thoughts}, reply: [{think: Hm.}, {say: Well.}]}
  - {when: {last_user: json}, reply: {json: {a: [1, 2]}}, usage: {prompt: 3, completion: 4}}
  - {when: {last_user: empty}, reply: "", finish: length}
"""
    ).scenarios
)
RULESETS = (RULES,)
MODELS = [
    "google/gemini-2.5-flash",
    "google/gemini-3-pro-preview",
    "meta/llama-4-maverick-17b-128e-instruct-maas",
    "xai/grok-4.1-fast-reasoning",
    "deepseek-ai/deepseek-r1-0528-maas",
    "openai/gpt-oss-120b-maas",
    "own",
]


def ask(facts: Facts, moment: float, *, directly: bool = False) -> Outcome:
    """An encoded answer, or one that is made for this request alone, as a pace that takes no time has it."""
    overrides = Overrides(compiled_pace=CompiledPace()) if directly else Overrides()
    return answer(RULESETS, facts, State(), AnswerInputs(moment, None, moment.hex().encode().ljust(16), overrides))


@pytest.mark.parametrize("text", ["text", "thoughts", "json", "empty"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("more", [{}, {"stream": True}, {"n": 2}, {"stream": True, "max_tokens": 2}], ids=str)
@pytest.mark.parametrize("cached", [0, 2048])
def test_encoded_answers_are_filled_as_answers_are_made(
    text: str, model: str, more: dict[str, Any], cached: int
) -> None:
    """To the byte and in every frame, the first time and later; ids and times are each request's own."""
    endpoint = "1234" if model == "own" else "openapi"
    request: Any = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    facts = Facts(Target("v1", "p", "global", endpoint), [], request)
    bodies: list[bytes] = []
    for moment in (1_767_225_600.0, 1_767_225_661.5):
        if cached:
            # Another part of each prompt is cached.
            facts.implicit_tokens = cached + len(bodies)
        filled, made = ask(facts, moment).timeline, ask(facts, moment, directly=True).timeline
        (encoded,) = facts.encoded.values()
        # Grok counts more than tokens with the prompt.
        assert (encoded is None) is (model.startswith("xai/") and text != "json")
        assert filled.body == made.body
        assert filled.size == made.size == len(made.body)
        assert [frame.data for frame in filled.frames] == [frame.data for frame in made.frames]
        assert len(filled.frames) == len(made.frames)
        assert filled.frames[-1].data == made.frames[-1].data
        assert (filled.status, filled.headers, filled.is_instant) == (made.status, made.headers, True)
        slots = slot_identity("")
        assert not any(
            str(slot).encode() in filled.body for slot in (slots.id, slots.created, SLOT_PROMPT, SLOT_CACHED)
        )
        bodies.append(filled.body)
    assert ask(facts, 1_767_225_600.0).usage == ask(facts, 1_767_225_600.0, directly=True).usage
    # Some families' plain answers have neither id nor time.
    assert (bodies[0] != bodies[1]) is (b'"created"' in bodies[0])


def test_large_answers_are_not_kept() -> None:
    """They are made for each request."""
    rules = compile_rules(read_text(f"rules: [{{reply: {'x' * LARGEST_ENCODED}}}]").scenarios)
    request: Any = {"model": MODELS[0], "messages": [{"role": "user", "content": "hi"}]}
    facts = Facts(Target("v1", "p", "global", "openapi"), [], request)
    outcome = answer([rules], facts, State(), AnswerInputs(0, None, bytes(16)))
    assert outcome.timeline.body.count(b"x") >= LARGEST_ENCODED
    assert list(facts.encoded.values()) == [None]


def test_an_answer_that_looks_like_a_slot_is_not_encoded() -> None:
    """A text with the number that stands for the prompt's tokens is answered as any other."""
    rules = compile_rules(read_text(f"rules: [{{reply: 'It is {SLOT_PROMPT}.'}}]").scenarios)
    request: Any = {"model": MODELS[0], "messages": [{"role": "user", "content": "hi"}]}
    facts = Facts(Target("v1", "p", "global", "openapi"), [], request)
    outcome = answer([rules], facts, State(), AnswerInputs(0, None, bytes(16)))
    assert f"It is {SLOT_PROMPT}.".encode() in outcome.timeline.body
    assert list(facts.encoded.values()) == [None]


def share(request: Any, endpoint: str = "openapi", options: RequestOptions | None = None) -> Facts:
    """The facts of a request that shares options with others."""
    return Facts(Target("v1", "p", "global", endpoint), [], request, options=options)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_requests_that_differ_in_their_messages_share_encoded_answers(stream: bool, model: str) -> None:
    """Their answers are those that are made for each alone, usage and all."""
    endpoint = "1234" if model == "own" else "openapi"
    options: RequestOptions | None = None
    for words in ("", " and more", " and more words than before" * 9, ""):
        request: Any = {"model": model, "messages": [{"role": "user", "content": f"text{words}"}], "stream": stream}
        options = options or share(request, endpoint)
        filled = ask(share(request, endpoint, options), 1.0)
        made = ask(share(request, endpoint), 1.0, directly=True)
        assert filled.timeline.body == made.timeline.body
        assert filled.usage == made.usage
        assert len(options.encoded) == 1


_STEPS = st.one_of(
    st.builds(lambda text: {"say": text}, st.sampled_from(["", "Wait.", "Two words."])),
    st.builds(lambda text: {"think": text}, st.just("Hm.")),
    st.builds(
        lambda name, arguments, more: {"call": name, "with": arguments, **more},
        st.sampled_from(["look", "f"]),
        st.sampled_from([{}, {"a": [1, "größer"]}]),
        st.fixed_dictionaries(
            {}, optional={"id": st.sampled_from(["1", "look"]), "signature": st.sampled_from(["none", "own"])}
        ),
    ),
)


@given(
    steps=st.lists(_STEPS, min_size=1, max_size=4),
    model=st.sampled_from(MODELS),
    more=st.fixed_dictionaries(
        {}, optional={"stream": st.booleans(), "n": st.integers(1, 2), "max_tokens": st.integers(1, 9)}
    ),
    occasions=st.lists(
        st.builds(
            AnswerInputs,
            st.floats(1e9, 2e9),
            st.sampled_from([None, "7"]),
            st.binary(min_size=16, max_size=16),
            st.just(Overrides()),
        ),
        min_size=2,
        max_size=3,
    ),
    extra=st.sampled_from([{}, {"google": {"stream_function_call_arguments": True}}]),
)
def test_what_is_drawn_for_calls_stands_in_slots(
    steps: list[dict[str, Any]], model: str, more: dict[str, Any], occasions: list[AnswerInputs], extra: dict[str, Any]
) -> None:
    """Whoever speaks, streamed or not, with a seed or without: an encoded answer is that which is made for its request alone."""
    rules = compile_rules(read_text(json.dumps({"rules": [{"reply": steps}]})).scenarios)
    target = Target("v1", "p", "global", "1234" if model == "own" else "openapi")
    options: RequestOptions | None = None
    for inputs in occasions:
        request: Any = {"model": model, "messages": [{"role": "user", "content": "hi"}], **more, "extra_body": extra}
        options = options or Facts(target, [], request)
        filled = answer([rules], Facts(target, [], request, options=options), State(), inputs)
        alone = inputs._replace(overrides=Overrides(compiled_pace=CompiledPace()))
        made = answer([rules], Facts(target, [], request), State(), alone)
        assert filled.timeline.body == made.timeline.body
        assert filled.timeline.size == len(made.timeline.body)
        assert [frame.data for frame in filled.timeline.frames] == [frame.data for frame in made.timeline.frames]
        assert (filled.timeline.headers, filled.usage) == (made.timeline.headers, made.usage)


def test_calls_are_encoded_once() -> None:
    """Answers of requests with the same options differ in ids and signatures, which are drawn for each."""
    rules = compile_rules(read_text("rules: [{reply: [{call: f, with: {a: 1}}, {call: f, with: {a: 1}}]}]").scenarios)
    options: RequestOptions | None = None
    bodies = []
    for number in range(3):
        request: Any = {"model": MODELS[0], "messages": [{"role": "user", "content": f"hi {number}"}]}
        options = options or share(request)
        facts = share(request, options=options)
        bodies.append(answer([rules], facts, State(), AnswerInputs(0, None, bytes([number]) * 16)).timeline.body)
        assert len(options.encoded) == 1
    ids = {call["id"] for body in bodies for call in json.loads(body)["choices"][0]["message"]["tool_calls"]}
    assert len(ids) == 6


def test_an_answer_that_others_could_have_given_before_is_chosen_anew_each_time() -> None:
    """A rule that waits for a flag answers when it is set, though another answered the same request before."""
    first, last = (
        compile_rules(read_text(text).scenarios)
        for text in (
            """
rules:
  - {name: pay, when: {last_user: pay}, sets: paid, reply: Thanks.}
  - {name: waits, requires: paid, reply: Sent.}
""",
            "rules: [{name: any, reply: Wait.}]",
        )
    )
    request: Any = {"model": MODELS[0], "messages": [{"role": "user", "content": "hi"}]}
    facts, rulesets = Facts(Target("v1", "p", "global", "openapi"), [], request), (first, last)
    inputs = AnswerInputs(0, None, bytes(16))
    for state, name in ((State(), "any"), (State(), "any"), (State(flags={"paid"}), "waits"), (State(), "any")):
        chosen = answer(rulesets, facts, state, inputs).chosen
        assert chosen is not None
        assert (chosen.rule.name, chosen.counts) == (name, True)
