"""Quirks: what each does to an answer."""

import json
from typing import Any, get_args

import pytest

from emulator.catalogue.quirks import PROFILES, QUIRK_NAMES, QUIRKS, QuirkName, expand
from emulator.engine.answer import Outcome, answer
from emulator.engine.randomness import AnswerInputs, Overrides
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import compile_rules
from emulator.engine.session import State
from emulator.engine.signatures import fits_call
from emulator.scenario.loading import read_text
from emulator.wire.sse import DONE
from emulator.wire.urls import Target

SCENARIO = """
rules:
  - when: {last_user: calls}
    reply:
      - {call: f, with: {text: "one\\ntwo", n: 1}, id: a, signature: s}
      - {call: g, with: {text: "x"}, id: b}
  - {when: {last_user: picture}, reply: [{say: Here.}, {image: auto, signature: none}]}
  - {when: {last_user: thoughts}, reply: [{think: Hm.}, {say: Yes.}]}
  - {when: {last_user: cut}, reply: Some, finish: length}
  - {when: {last_user: breaks doubled}, reply: [{say: Once}, {fail: 400, message: "Bad. Again.. Learn more... at a../b"}]}
  - {when: {last_user: breaks}, reply: [{say: Once}, {fail: 503}]}
  - {when: {last_user: fails}, reply: {fail: 429}}
  - {when: {last_user: more}, reply: [{call: f, with: {a: 1}}, {call: g, with: {b: 2}}]}
  - {when: {last_user: signed}, reply: [{call: f, with: {a: 1}}, {call: g, with: {b: 2}}], quirks: [signature_on_every_call]}
  - {when: {last_user: {equals: doubled}}, reply: {fail: 400, message: "Bad. Again.. Learn more... at a../b"}}
  - {reply: One sentence. Another one.}
"""
RULES = compile_rules(read_text(SCENARIO).scenarios)
FRAGMENTS = {"stream_function_call_arguments": True}


def play(
    text: str, *quirks: QuirkName, stream: bool = False, google: dict[str, Any] | None = None, **more: Any
) -> Outcome:
    """Answer one request with quirks on."""
    request: Any = {
        "model": "google/gemini-3-flash",
        "messages": [{"role": "user", "content": text}],
        "stream": stream,
        "extra_body": {"google": google or {}},
        **more,
    }
    endpoint = "1234" if request["model"] == "own" else "openapi"
    facts = Facts(Target("v1", "p", "global", endpoint), [], request)
    overrides = Overrides(frozenset(quirks))
    return answer([RULES], facts, State(), AnswerInputs(1_767_225_600, "seed", b"", overrides))


def plain(text: str, *quirks: QuirkName, google: dict[str, Any] | None = None) -> Any:
    """The plain body."""
    return json.loads(play(text, *quirks, google=google).timeline.body)


def chunks(text: str, *quirks: QuirkName, google: dict[str, Any] | None = None) -> list[Any]:
    """The chunks of a stream that ends as it should."""
    frames = play(text, *quirks, stream=True, google=google).timeline.frames
    assert frames[-1].data == DONE
    return [json.loads(frame.data.removeprefix(b"data: ")) for frame in frames[:-1]]


def calls_in(found: list[Any]) -> list[Any]:
    """The tool calls of chunks."""
    return [call for chunk in found for call in chunk["choices"][0]["delta"].get("tool_calls", ())]


def test_every_quirk_is_described() -> None:
    """Names, table and profiles agree."""
    assert set(get_args(QuirkName)) == set(QUIRKS) == set(QUIRK_NAMES)
    assert all(quirk.effect and quirk.source for quirk in QUIRKS.values())
    assert expand(frozenset({"gemini_api"})) == PROFILES["gemini_api"]
    assert expand(frozenset()) == frozenset()


def test_announce_index_uses_one_index_per_call() -> None:
    """Without the quirk the announcements are swapped."""
    assert [call["index"] for call in calls_in(chunks("calls", google=FRAGMENTS))][:2] == [1, 0]
    found = calls_in(chunks("calls", "announce_index", google=FRAGMENTS))
    assert {(call["id"], call["index"]) for call in found} == {("a", 0), ("b", 1)}


def test_name_once_names_a_call_in_its_first_chunk_only() -> None:
    """Fragments have only arguments and index, as OpenAI sends them."""
    first, *rest = calls_in(chunks("calls", "name_once", google=FRAGMENTS))
    assert (first["id"], first["function"]["name"]) == ("a", "f")
    assert [call["index"] for call in rest if "id" in call] == [1]
    assert all(set(call) == {"function", "index"} for call in rest if "id" not in call)


def test_raw_newlines_make_arguments_that_are_no_json() -> None:
    """The joined fragments hold a real line break."""
    found = [call for call in calls_in(chunks("calls", "raw_newlines", google=FRAGMENTS)) if call["id"] == "a"]
    joined = "".join(call["function"]["arguments"] for call in found)
    assert "one\ntwo" in joined
    with pytest.raises(json.JSONDecodeError):
        json.loads(joined)


def test_stop_on_calls_and_missing_indices_and_ids() -> None:
    """How the Gemini API streams calls."""
    found = chunks("calls", "stop_on_calls", "no_call_index", "empty_call_ids")
    assert found[-1]["choices"][0]["finish_reason"] == "stop"
    assert all("index" not in call and call["id"] == "" for call in calls_in(found))
    assert plain("calls", "stop_on_calls")["choices"][0]["finish_reason"] == "tool_calls"


def test_usage_on_every_chunk() -> None:
    """All chunks carry the usage of the last."""
    found = chunks("text", "usage_on_every_chunk")
    assert len(found) == 2
    assert found[0]["usage"] == found[1]["usage"]


def test_no_logprobs() -> None:
    """Neither `logprobs` nor `system_fingerprint`, plain and streamed."""
    for body in (plain("text", "no_logprobs"), *chunks("text", "no_logprobs")):
        assert "system_fingerprint" not in body
        assert "logprobs" not in body["choices"][0]


def test_tagged_thoughts_need_no_marker() -> None:
    """Thoughts are wrapped in `<thought>`; a marker of the request wins."""
    google: dict[str, Any] = {"thinking_config": {"include_thoughts": True}}
    assert (
        plain("thoughts", "tagged_thoughts", google=google)["choices"][0]["message"]["content"]
        == "<thought>Hm.</thought>Yes."
    )
    marked = {**google, "thought_tag_marker": "t"}
    assert plain("thoughts", "tagged_thoughts", google=marked)["choices"][0]["message"]["content"] == "<t>Hm.</t>Yes."


def test_malformed_function_call_leaves_nothing_of_the_calls() -> None:
    """A literal finish reason, no content, no completion tokens; other answers stay."""
    body = plain("calls", "malformed_function_call")
    assert body["choices"][0] == {
        "finish_reason": "function_call_filter: MALFORMED_FUNCTION_CALL",
        "index": 0,
        "logprobs": None,
        "message": {"role": "assistant"},
    }
    assert body["usage"]["completion_tokens"] == 0
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"]
    (chunk,) = chunks("calls", "malformed_function_call")
    assert chunk["choices"][0]["finish_reason"].startswith("function_call_filter: ")
    assert plain("text", "malformed_function_call") == plain("text")


def test_empty_stop() -> None:
    """The answer has no content."""
    body = plain("text", "empty_stop")
    assert body["choices"][0]["message"] == {"content": "", "role": "assistant"}
    assert (body["choices"][0]["finish_reason"], body["usage"]["completion_tokens"]) == ("stop", 0)
    assert len(chunks("text", "empty_stop")) == 1


def test_missing_content() -> None:
    """Only where the answer was cut or filtered."""
    assert plain("cut", "missing_content")["choices"][0]["message"] == {"role": "assistant"}
    assert "content" in plain("text", "missing_content")["choices"][0]["message"]


def test_image_in_choice() -> None:
    """The older page's shape: picture, content and role on the choice."""
    choice = plain("picture", "image_in_choice")["choices"][0]
    assert list(choice) == ["content", "finish_reason", "image", "index", "logprobs", "role"]
    assert choice["image"]["extra_content"]["google"]["mime_type"] == "image/png"


def test_errors_as_events_and_as_objects() -> None:
    """Inside a stream as a `data:` event, as an HTTP error as a bare object."""
    last = play("breaks", "data_errors", stream=True).timeline.frames[-1].data
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == 503
    assert plain("fails")[0]["error"]["code"] == 429
    assert plain("fails", "object_errors")["error"]["code"] == 429


def test_streams_that_break_off() -> None:
    """Without the last chunk; or cancelled where the second call begins."""
    frames = play("text", "no_final_chunk", stream=True).timeline.frames
    assert len(frames) == 1
    assert b"finish_reason" not in frames[0].data
    frames = play("calls", "midstream_cancelled", stream=True, google=FRAGMENTS).timeline.frames
    assert json.loads(frames[-1].data)["error"]["status"] == "CANCELLED"
    assert not any(b'"id":"b"' in frame.data for frame in frames)


def test_text_signatures_and_renamed_content() -> None:
    """Text answers are signed; `google` becomes `vertex`."""
    message = plain("text", "text_signatures")["choices"][0]["message"]
    assert list(message) == ["content", "extra_content", "role"]
    assert message["extra_content"]["google"]["thought_signature"]
    delta = chunks("text", "text_signatures")[-1]["choices"][0]["delta"]
    assert delta["extra_content"]["google"]["thought_signature"]
    call = plain("calls", "vertex_content")["choices"][0]["message"]["tool_calls"][0]
    assert call["extra_content"] == {"vertex": {"thought_signature": "s"}}


def test_quirks_of_openai() -> None:
    """Role once, a null finish reason, usage in a chunk of its own, reasoning in completion, OpenAI's order of keys."""
    found = chunks("text", "role_once", "null_finish_reason", "usage_chunk", "no_logprobs", "openai_key_order")
    first, last, extra = found
    assert list(first) == ["id", "object", "created", "model", "choices"]
    assert first["choices"] == [
        {"index": 0, "delta": {"role": "assistant", "content": "One sentence. "}, "finish_reason": None}
    ]
    assert last["choices"] == [{"index": 0, "delta": {"content": "Another one."}, "finish_reason": "stop"}]
    assert "usage" not in last
    assert (extra["choices"], extra["usage"]["completion_tokens"] > 0) == ([], True)
    assert list(extra["usage"])[:3] == ["prompt_tokens", "completion_tokens", "total_tokens"]
    assert list(plain("text", "openai_key_order"))[:5] == ["id", "object", "created", "model", "choices"]
    before, after = (plain("thoughts", *quirks)["usage"] for quirks in ((), ("reasoning_in_completion",)))
    reasoning = before["completion_tokens_details"]["reasoning_tokens"]
    assert after == before | {"completion_tokens": before["completion_tokens"] + reasoning}
    assert plain("text", "reasoning_in_completion") == plain("text")


def test_usage_chunk_is_not_sent_twice() -> None:
    """A vLLM server sends one by itself."""
    options: dict[str, Any] = {"stream": True, "model": "own", "stream_options": {"include_usage": True}}
    usages = [
        frame.data.count(b'"usage":{')
        for frame in play("text", "usage_chunk", **options).timeline.frames
        if b'"choices":[]' in frame.data
    ]
    assert usages == [1]


def test_call_ids_of_digits() -> None:
    """The same call has the same id in all its chunks; ids of the scenario's own stay."""
    request: dict[str, Any] = {"tools": [{"type": "function", "function": {"name": "f"}}]}
    body = json.loads(play("more", "numbered_call_ids", **request).timeline.body)
    (one, two) = body["choices"][0]["message"]["tool_calls"]
    assert one["id"] != two["id"]
    assert all(call["id"].removeprefix("function-call-").isdecimal() for call in (one, two))
    assert [call["id"] for call in plain("calls", "numbered_call_ids")["choices"][0]["message"]["tool_calls"]] == [
        "a",
        "b",
    ]


def test_every_call_can_be_signed() -> None:
    """With a signature that the service takes back for that call, also when only a rule says so."""
    for outcome in (play("more", "signature_on_every_call"), play("signed")):
        calls = json.loads(outcome.timeline.body)["choices"][0]["message"]["tool_calls"]
        assert len(calls) == 2
        for call in calls:
            signature = call["extra_content"]["google"]["thought_signature"]
            assert fits_call(
                signature, call["function"]["name"], call["function"]["arguments"], "google/gemini-3-flash", "seed"
            )
    usual = json.loads(play("more").timeline.body)["choices"][0]["message"]["tool_calls"]
    assert ["extra_content" in call for call in usual] == [True, False]


def test_missing_message_and_traffic_type() -> None:
    """A truncated answer has no message; usage has no traffic type."""
    assert "message" not in plain("cut", "missing_message")["choices"][0]
    assert "delta" not in chunks("cut", "missing_message")[-1]["choices"][0]
    assert "message" in plain("text", "missing_message")["choices"][0]
    assert "extra_properties" not in plain("text", "no_traffic_type")["usage"]


def test_midstream_unavailable_replaces_the_last_chunk() -> None:
    """Bare JSON, no `[DONE]`."""
    frames = play("text", "midstream_unavailable", stream=True).timeline.frames
    assert len(frames) == 2
    assert json.loads(frames[-1].data)["error"]["code"] == 503


def test_single_full_stops_in_refusals() -> None:
    """Only where there are two, as an HTTP error and inside a stream."""
    written = "Bad. Again.. Learn more... at a../b"
    for text in ("doubled", "breaks doubled"):
        for quirks, wanted in (((), written), (("single_full_stops",), "Bad. Again. Learn more... at a../b")):
            last = play(text, *quirks, stream=True).timeline.frames[-1].data
            assert wanted.encode() in last


@pytest.mark.parametrize("model", ["google/gemini-3-flash", "zai-org/glm-5-maas", "xai/grok-4.20-reasoning", "own"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("quirk", QUIRK_NAMES)
def test_no_quirk_breaks_any_answer(quirk: QuirkName, stream: bool, model: str) -> None:
    """Every answer of the scenario is still an answer with every quirk, in the shape of every family."""
    for text in ("calls", "more", "picture", "thoughts", "cut", "breaks", "fails", "text"):
        for options in ({}, {"stream_options": {"include_usage": True}}):
            assert play(text, quirk, stream=stream, google=FRAGMENTS, model=model, **options).result == "answer"


def test_quirks_can_be_written_in_scenarios() -> None:
    """A rule's are added to the defaults'; a wrong name is refused when the file is read."""
    ruleset = compile_rules(
        read_text("defaults: {quirks: [no_logprobs]}\nrules: [{reply: x, quirks: [empty_stop]}]").scenarios
    )
    assert ruleset.rules[0].quirks == {"no_logprobs", "empty_stop"}
    with pytest.raises(Exception, match='did you mean "no_logprobs"'):
        read_text("rules: [{reply: x, quirks: [no_logprob]}]")
