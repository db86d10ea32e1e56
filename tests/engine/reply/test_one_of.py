"""Choices and hand-over: which of several replies is taken, and what `reply: default` answers."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import default_scenario_path, read_paths, read_text
from emulator.server.clock import ManualClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.wire.urls import Target

WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
EVENT = {
    "type": "json_schema",
    "json_schema": {"name": "event", "schema": {"type": "object", "properties": {"day": {"type": "string"}}}},
}


def serve(text: str, seed: str | None = "seed") -> Service:
    """A server of one scenario."""
    return Service(compile_rules(read_text(text).scenarios), Settings(auth="off", seed=seed), clock=ManualClock())


def ask(service: Service, text: str = "Hi", project: str = "demo", **more: Any) -> Exchange:
    """Ask once, and let the exchange end."""
    body = {"model": "google/gemini-3.5-flash", "messages": [{"role": "user", "content": text}], **more}
    exchange = service.handle(Target("v1", project, "global", "openapi"), b"", [], json.dumps(body).encode())
    service.finish(exchange)
    return exchange


def said(exchange: Exchange) -> str:
    """What the answer says."""
    return exchange.outcome.said


VARIED = "rules: [{reply: {one_of: [{weight: 6, reply: often}, seldom, {weight: 3, reply: at times}]}}]"


def test_each_reply_is_taken_as_often_as_its_weight_says() -> None:
    """Of a thousand answers each has about its part; without a weight it is 1."""
    service = serve(VARIED)
    counts = Counter(said(ask(service)) for _ in range(1000))
    assert counts.keys() == {"often", "seldom", "at times"}
    assert 540 < counts["often"] < 660
    assert 60 < counts["seldom"] < 140


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=8), st.sampled_from([None, "1", "2"]))
def test_the_same_requests_get_the_same_replies(texts: list[str], seed: str | None) -> None:
    """Neither another project nor another run changes what a session is answered, with a seed or without."""
    alone, crowded = serve(VARIED, seed), serve(VARIED, seed)
    expected = [said(ask(alone, text)) for text in texts]
    found = []
    for text in texts:
        ask(crowded, text, project="other")
        found.append(said(ask(crowded, text)))
    assert found == expected


def test_a_stream_says_the_same() -> None:
    """Whether a request is streamed plays no part in the choice."""
    plain, streamed = serve(VARIED), serve(VARIED)
    assert [said(ask(plain)) for _ in range(9)] == [said(ask(streamed, stream=True)) for _ in range(9)]


def test_choices_of_one_answer_and_of_one_reply_differ() -> None:
    """With `n` each choice is drawn by itself, and so is each `one_of` of a reply, one inside another too."""
    service = serve("rules: [{reply: [{one_of: [a, b]}, {one_of: [c, d]}, {one_of: [{one_of: [e, f]}, g]}]}]")
    found = {said(ask(service)) for _ in range(200)}
    assert found == {f"{x}{y}{z}" for x in "ab" for y in "cd" for z in "efg"}
    body = json.loads(ask(service, n=8).outcome.timeline.body)
    assert len({one["message"]["content"] for one in body["choices"]}) > 1


def test_all_kinds_of_replies_can_be_taken() -> None:
    """A failure, a call, steps in a row, the default's answer: what is taken is answered as it would be alone."""
    service = serve(
        """
rules:
  - reply:
      one_of: [{fail: 503}, {call: f, with: {x: 1}}, [{say: One}, {fail: 429}], default, {cut: reset}]
"""
    )
    found = [ask(service) for _ in range(100)]
    assert {one.status for one in found} == {200, 429, 503}
    texts = {said(one) for one in found}
    assert 'f({"x":1})' in texts
    assert any(text.startswith("Hi there") for text in texts)


def test_a_conversation_goes_on_whichever_was_taken() -> None:
    """What a client sends back of an assistant's turn with a choice is recognised, calls included."""
    service = serve(
        """
rules:
  - conversation:
      - user: [hello, good morning]
      - assistant: {one_of: [Hi!, {call: look_up}]}
      - user: ""
      - assistant: default
      - user: thanks
      - assistant: Bye.
"""
    )
    for reply in ("Hi!", "Good day"):
        messages = [
            {"role": "user", "content": "Good morning"},
            {"role": "assistant", "content": reply},
            {"role": "user", "content": "What is 2 + 2?"},
        ]
        answer = ask(service, messages=messages)
        assert "4" in said(answer)
        messages += [{"role": "assistant", "content": said(answer)}, {"role": "user", "content": "Thanks"}]
        assert said(ask(service, messages=messages)) == "Bye."


REQUESTS: list[dict[str, Any]] = [
    {"text": "Hello"},
    {"text": "What is the weather in Oslo?", "tools": [WEATHER]},
    {"text": "When?", "response_format": EVENT},
    {"text": "Draw a cat", "model": "google/gemini-2.5-flash-image", "modalities": ["image"]},
    {"text": "Tell me a story", "stream": True},
    {"text": "Hello again", "n": 3},
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: one["text"])
@pytest.mark.parametrize("reply", ["reply: default", "reply: auto", "reply: {one_of: [default]}"])
def test_hand_over_gives_the_bytes_of_the_default(request_: dict[str, Any], reply: str) -> None:
    """A rule that hands over answers as the default scenario does: bodies and token counts, to the byte."""
    default = Service(
        compile_rules(read_paths([default_scenario_path()]).scenarios),
        Settings(auth="off", seed="seed"),
        clock=ManualClock(),
    )
    expected = ask(default, **request_)
    found = ask(serve(f"rules: [{{{reply}}}]"), **request_)
    assert found.outcome.timeline.body == expected.outcome.timeline.body
    assert found.outcome.usage == expected.outcome.usage


def test_hand_over_in_a_sequence_keeps_what_stands_beside_it() -> None:
    """In a sequence only that answer is the default's; usage, finish and headers of the rule win."""
    service = serve(
        "rules: [{sequence: [{fail: 429}, default, Enough.], usage: {completion: 3}, finish: length, headers: {x-a: b}}]"
    )
    first, second, third = (ask(service, "Hello") for _ in range(3))
    assert (first.status, second.status, said(third)) == (429, 200, "Enough.")
    body = json.loads(second.outcome.timeline.body)
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 3
    assert ("x-a", "b") in second.outcome.timeline.headers


def test_the_words_themselves_can_be_said() -> None:
    """`default` is only special as a whole reply, `auto` only as a whole reply or text."""
    service = serve("rules: [{sequence: [{say: default}, {say: [auto]}, [{say: default}]]}]")
    assert [said(ask(service)) for _ in range(3)] == ["default", "auto", "default"]


@pytest.mark.parametrize(
    ("reply", "status", "report"),
    [
        ("{fail: '{{ last_user }}'}", 503, ""),
        ("{fail: '{{ 400 + 29 }}'}", 429, ""),
        ("{fail: 503, status: '{{ 500 + 2 }}'}", 502, ""),
        ("{fail: 503, status: '{{ turn }}{{ turn }}{{ turn }}'}", 418, '"status" makes "111"'),
        ("{fail: '{{ last_user }}x'}", 418, 'the error catalogue has no "unavailablex"; did you mean "unavailable"?'),
        ("{fail: '{{ [1] }}'}", 418, '"fail" makes a list'),
        ("{fail: '{{ stream }}'}", 418, '"fail" makes false'),
        ("{fail: 503, status: '{{ 99 }}'}", 418, '"status" makes 99; it must be a whole number from 200 to 599'),
        ("Hi, fault: {fail: '{{ last_user }}'}", 503, ""),
        ("Hi, finish: '{{ last_user * 30 }}'", 418, "which must be one short line"),
    ],
)
def test_templates_of_failures_are_looked_up_when_filled(reply: str, status: int, report: str) -> None:
    """An error, a status or a finish reason that a template makes is checked against the catalogue, with the rule's place."""
    exchange = ask(serve(f"rules: [{{name: it, reply: {reply}}}]"), "unavailable")
    assert exchange.status == status
    assert report in exchange.outcome.report
    assert ('rule "it", <scenario>:1:9' in exchange.outcome.report) is (status == 418)


def test_details_of_a_failure_are_templates_too() -> None:
    """Texts in `details` are filled as those of `message` are."""
    exchange = ask(serve("rules: [{reply: {fail: 429, message: '{{ last_user }}', details: [{a: '{{ turn }}'}]}}]"))
    (error,) = json.loads(exchange.outcome.timeline.body)
    assert (error["error"]["message"], error["error"]["details"]) == ("Hi", [{"a": 1}])


def test_a_finish_reason_that_is_not_known_is_warned_of() -> None:
    """What a template makes is sent as it is, with a warning; an empty one leaves the usual reason."""
    service = serve("rules: [{reply: Hi, finish: '{{ last_user }}'}]")
    unknown, known = ask(service, "MAX_TOKENS"), ask(service, "length")
    assert json.loads(unknown.outcome.timeline.body)["choices"][0]["finish_reason"] == "MAX_TOKENS"
    assert unknown.warnings == ('"MAX_TOKENS" is a finish reason of the native routes; this one sends "length" for it',)
    assert known.warnings == ()
    empty = ask(serve("rules: [{reply: Hi, finish: '{{ \"\" }}'}]"))
    assert json.loads(empty.outcome.timeline.body)["choices"][0]["finish_reason"] == "stop"
