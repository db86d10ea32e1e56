"""Model families: which dialect each model has, and that stream and plain answer agree in every dialect."""

import base64
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.catalogue.models import all_models
from emulator.engine.answer import Outcome, answer
from emulator.engine.families import choose_style, family_of, refuse_endpoint, refuse_in_container
from emulator.engine.randomness import AnswerInputs
from emulator.engine.rendering.render import adapt_parts, render
from emulator.engine.reply.parts import Answer, CallPart, Choice, TextPart, make_text
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import Ruleset, compile_rules
from emulator.engine.session import State
from emulator.engine.timeline.timeline import Timeline
from emulator.scenario.loading import read_text
from emulator.scenario.rules import Endpoint
from emulator.wire.dialects import GEMINI, GROK, LLAMA, R1, SGLANG, TGI, VLLM
from emulator.wire.errors import Refusal
from emulator.wire.headers import encode_headers
from emulator.wire.responses import Identity
from emulator.wire.sse import DONE
from emulator.wire.urls import Target
from emulator.wire.usage import Usage

OPENAPI = Target("v1", "p", "global", "openapi")
OWN = Target("v1", "p", "us-central1", "1234567890")
RULES = """
rules:
  - reply:
      - think: Hm.
      - say: Yes.
"""

# Models, each with the family of its own endpoint if it has one.
MODELS: list[tuple[str, str | None]] = [
    ("google/gemini-2.5-flash", None),
    ("google/gemma-4-26b-a4b-it-maas", None),
    ("deepseek-ai/deepseek-r1-0528-maas", None),
    ("deepseek-ai/deepseek-v3.1-maas", None),
    ("moonshotai/kimi-k2-thinking-maas", None),
    ("minimaxai/minimax-m2-maas", None),
    ("zai-org/glm-5-maas", None),
    ("meta/llama-3.3-70b-instruct-maas", None),
    ("xai/grok-4.20-reasoning", None),
    ("somebody/new", None),
    ("anything", "vllm"),
    ("anything", "tgi"),
]
PIECES = st.lists(st.text(max_size=8), min_size=1, max_size=3).map(tuple)
TEXTS = st.builds(lambda pieces, thought: make_text(pieces, is_thought=thought), PIECES, st.booleans())
CALLS = st.builds(
    CallPart,
    st.text(min_size=1, max_size=5),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2).map(json.dumps),
    st.uuids().map(str),
    st.none() | st.just("sig"),
    st.none() | st.just(("{", "}")),
)
CHOICES = st.lists(
    st.builds(
        Choice,
        st.lists(TEXTS | CALLS, min_size=1, max_size=5).map(tuple),
        st.sampled_from(["stop", "length", "content_filter"]),
    ),
    min_size=1,
    max_size=2,
).map(tuple)


def facts_of(model: str, family: str | None, **body: Any) -> Facts:
    """The facts of a request to a model, or to an endpoint of a family."""
    endpoint = None if family is None else Endpoint.model_validate({"family": family})
    return Facts(OPENAPI if family is None else OWN, [], {"model": model, **body}, endpoint)  # type: ignore[typeddict-item]  # any body will do


def read_events(timeline: Timeline) -> list[Any]:
    """The chunks of a stream."""
    assert timeline.frames[-1].data == DONE
    return [json.loads(frame.data.removeprefix(b"data: ")) for frame in timeline.frames[:-1]]


def join(chunks: list[Any]) -> dict[int, dict[str, Any]]:
    """What a client makes of the chunks, calls told apart by their index."""
    joined: dict[int, dict[str, Any]] = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        whole = joined.setdefault(choice["index"], {"calls": {}, "finish": []})
        for key in ("content", "reasoning_content", "refusal"):
            if choice["delta"].get(key) is not None:
                whole[key] = whole.get(key, "") + choice["delta"][key]
        for call in choice["delta"].get("tool_calls") or ():
            known = whole["calls"].setdefault(call["index"], {"arguments": "", "id": call.get("id")})
            known["arguments"] += call["function"]["arguments"]
            known["name"] = call["function"].get("name", known.get("name"))
            assert "extra_content" not in call
        if choice.get("finish_reason") is not None:
            whole["finish"].append((choice["finish_reason"], choice.get("matched_stop")))
    return joined


@pytest.mark.parametrize(("model", "family"), MODELS[1:])
@given(choices=CHOICES)
def test_joined_chunks_are_the_plain_answer(model: str, family: str | None, choices: tuple[Choice, ...]) -> None:
    """In every dialect the chunks of a stream add up to the plain reply, usage included where it is asked for."""
    made, identity = Answer(choices, Usage(1, 2, 3)), Identity("id", 1, model)
    wants = {"stream_options": {"include_usage": True}}
    plain = json.loads(render(made, identity, facts_of(model, family)).body)
    chunks = read_events(render(made, identity, facts_of(model, family, stream=True, **wants)))
    joined = join(chunks)
    for choice in plain["choices"]:
        message, whole = choice["message"], joined[choice["index"]]
        for key in ("content", "reasoning_content", "refusal"):
            assert (whole.get(key) or None) == (message.get(key) or None)
        calls = message.get("tool_calls") or []
        assert [(call["id"], call["function"]["name"]) for call in calls] == [
            (call["id"], call["name"]) for call in whole["calls"].values()
        ]
        if not any(isinstance(part, CallPart) and part.pieces for part in choices[choice["index"]].parts):
            assert [call["function"]["arguments"] for call in calls] == [
                call["arguments"] for call in whole["calls"].values()
            ]
        assert whole["finish"] == [(choice["finish_reason"], choice.get("matched_stop"))]
    assert [chunk["usage"] for chunk in chunks if chunk.get("usage")] == [plain["usage"]]
    identities = {(chunk.get("id"), chunk.get("created"), chunk["model"]) for chunk in chunks}
    assert identities == {(None, None, model) if "llama" in model else ("id", 1, model)}


@pytest.mark.parametrize(
    ("model", "family", "dialect"),
    [
        ("google/gemini-2.5-flash", None, GEMINI),
        ("google/gemini-9-ultra", None, GEMINI),
        ("google/${MODEL_ID}", None, GEMINI),
        ("gemini-2.5-flash", None, GEMINI),
        ("meta/llama-5-maas", None, LLAMA),
        ("deepseek-ai/deepseek-r1-0528-maas", None, R1),
        ("anything", "vllm", VLLM),
        ("anything", "tgi", TGI),
        ("anything", "gemini", GEMINI),
        ("anything", "llama", LLAMA),
        ("deepseek-r1-0528-maas", "deepseek", R1),
    ],
)
def test_dialect_of_each_model(model: str, family: str | None, dialect: Any) -> None:
    """Known models by their cards, unknown ones by publisher, own endpoints by their given family."""
    assert choose_style(model, family).dialect is dialect


@pytest.mark.parametrize("card", all_models(), ids=lambda card: card.id)
def test_style_of_every_known_model(card: Any) -> None:
    """The documented stop tokens are in the answers, and thoughts where the card has them."""
    style = choose_style(card.id, None)
    assert style.dialect.finished.get("matched_stop") == card.matched_stop
    assert style.is_gemini == card.family.startswith("gemini") or "/" not in card.id
    assert style.is_gemini or (style.reasoning_in, style.thinks) == (card.reasoning_in, card.thinking)


def test_unknown_open_models_use_sglang() -> None:
    """New ones have the style of their publisher's models, or SGLang's if the publisher is unknown."""
    assert choose_style("zai-org/glm-9-maas", None).dialect.finished == {"matched_stop": 154827}
    assert choose_style("somebody/new", None).dialect is SGLANG
    assert choose_style("google/gemma-9-maas", None).dialect.finished == {"matched_stop": 106}


def test_grok_has_a_fingerprint_for_each_model() -> None:
    """It follows from the model's name."""
    first, second = (choose_style(f"xai/grok-{name}", None).dialect for name in ("4.3", "4.6"))
    assert first.usage is GROK.usage
    assert first.body["system_fingerprint"].startswith("fp_")
    assert first.body == first.chunk != second.body


def answer_body(model: str, *, stream: bool = False, family: str | None = None, **body: Any) -> dict[str, Any]:
    """What a model that thinks `Hm.` and says `Yes.` answers."""
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream": stream, **body}
    made: dict[str, Any] = json.loads(outcome_of(RULES, facts_of(model, family, **body)).timeline.body)
    return made


def outcome_of(rules: str, facts: Facts) -> Outcome:
    """What rules answer at a given moment."""
    return answer([ruleset(rules)], facts, State(), AnswerInputs(1_770_832_739.5, "seed", b"0" * 16))


def ruleset(text: str) -> Ruleset:
    """Rules from their text."""
    return compile_rules(read_text(text, "rules.yaml").scenarios)


@pytest.mark.parametrize(
    ("model", "body", "content", "reasoning"),
    [
        ("deepseek-ai/deepseek-r1-0528-maas", {}, "<think>Hm.</think>Yes.", None),
        ("deepseek-ai/deepseek-v3.1-maas", {}, "Yes.", None),
        ("deepseek-ai/deepseek-v3.1-maas", {"thinking": True}, "Hm.</think>Yes.", None),
        ("deepseek-ai/deepseek-v3.2-maas", {"thinking": True}, "Yes.", "Hm."),
        ("deepseek-ai/deepseek-v3.2-maas", {"enable_thinking": True}, "Yes.", None),
        ("moonshotai/kimi-k2-thinking-maas", {}, "Yes.", "Hm."),
        ("moonshotai/kimi-k2-thinking-maas", {"thinking": False}, "Yes.", "Hm."),
        ("zai-org/glm-4.7-maas", {}, "Yes.", "Hm."),
        ("zai-org/glm-4.7-maas", {"enable_thinking": False}, "Yes.", None),
        ("google/gemma-4-26b-a4b-it-maas", {}, "Yes.", None),
        ("google/gemma-4-26b-a4b-it-maas", {"enable_thinking": True}, "Yes.", "Hm."),
        ("minimaxai/minimax-m2-maas", {}, "<think>Hm.</think>Yes.", None),
        ("qwen/qwen3-coder-480b-a35b-instruct-maas", {"thinking": True}, "Yes.", None),
        ("meta/llama-3.3-70b-instruct-maas", {}, "Yes.", None),
        ("xai/grok-4.20-reasoning", {}, "Yes.", None),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_where_thoughts_go(
    model: str, body: dict[str, Any], content: str, reasoning: str | None, *, inside: bool
) -> None:
    """Each model's place and switch, at the top of the body or in extra_body."""
    options: dict[str, Any] = {"chat_template_kwargs": body}
    made = answer_body(model, **({"extra_body": options} if inside else options))
    message = made["choices"][0]["message"]
    assert (message["content"], message.get("reasoning_content")) == (content, reasoning)


def test_thoughts_count_where_they_are_billed() -> None:
    """Inside completion for open models, beside it for Grok, not at all where there are none."""
    glm, grok, gemma = (answer_body(name)["usage"] for name in ("zai-org/glm-5-maas", "xai/grok-4.3", "google/gemma-x"))
    assert (glm["completion_tokens"], glm["reasoning_tokens"], glm["total_tokens"]) == (2, 0, 3)
    assert (grok["completion_tokens"], grok["total_tokens"]) == (1, 3)
    assert grok["completion_tokens_details"]["reasoning_tokens"] == 1
    assert "reasoning_tokens" not in gemma
    assert gemma["completion_tokens"] == 1


def test_a_scenarios_numbers_win() -> None:
    """The documented numbers of GLM, written in a scenario."""
    rules = RULES + "    usage: {prompt: 9, completion: 211, traffic: PROVISIONED_THROUGHPUT}\n"
    made = json.loads(outcome_of(rules, facts_of("zai-org/glm-5-maas", None)).timeline.body)
    assert (made["usage"]["completion_tokens"], made["usage"]["total_tokens"]) == (211, 220)
    assert made["usage"]["extra_properties"]["google"]["traffic_type"] == "PROVISIONED_THROUGHPUT"


@pytest.mark.parametrize(
    "model", ["google/gemma-4-26b-a4b-it-maas", "deepseek-ai/deepseek-r1-0528-maas", "qwen/qwen3-new-maas"]
)
def test_open_models_have_uuids(model: str) -> None:
    """The id is a version 4 UUID, the same in all chunks; `created` is the time of the answer."""
    plain = answer_body(model)
    assert uuid.UUID(plain["id"]).version == 4
    assert plain["created"] == 1_770_832_739
    chunks = read_events(outcome_of(RULES, facts_of(model, None, stream=True)).timeline)
    (streamed,) = {chunk["id"] for chunk in chunks}
    assert uuid.UUID(streamed).version == 4


def test_ids_of_other_servers() -> None:
    """VLLM's begin with chatcmpl, TGI has none, Gemini's and Grok's hold the time."""
    assert len(answer_body("x", family="vllm")["id"]) == len("chatcmpl-") + 32
    assert answer_body("x", family="tgi")["id"] == ""
    for model in ("google/gemini-3.5-flash", "xai/grok-4.7"):
        made = answer_body(model)
        assert int.from_bytes(base64.urlsafe_b64decode(made["id"] + "===")[:4], "little") == made["created"]


def test_llama_as_documented() -> None:
    """Neither id nor time nor anything else besides the documented keys, plain and streamed; usage is on the last chunk."""
    model = "meta/llama-4-scout-17b-16e-instruct-maas"
    plain = answer_body(model)
    assert plain == {
        "choices": [{"finish_reason": "stop", "index": 0, "message": {"content": "Yes.", "role": "assistant"}}],
        "model": model,
        "object": "chat.completion",
        "usage": {"completion_tokens": 1, "prompt_tokens": 1, "total_tokens": 2},
    }
    rules = "rules:\n  - reply: {say: [Yes, .]}\n"
    first, last = read_events(outcome_of(rules, facts_of(model, None, stream=True)).timeline)
    assert first == {
        "choices": [{"delta": {"content": "Yes", "role": "assistant"}, "index": 0}],
        "model": model,
        "object": "chat.completion.chunk",
    }
    assert last == {
        "choices": [{"delta": {"content": ".", "role": "assistant"}, "finish_reason": "stop", "index": 0}],
        "model": model,
        "object": "chat.completion.chunk",
        "usage": {"completion_tokens": 1, "prompt_tokens": 1, "total_tokens": 2},
    }


def test_chunks_of_gpt_oss_name_reasoning_only_where_there_is_some() -> None:
    """A client that asks for the key tells thoughts from words; its plain message has the key nevertheless."""
    model = "openai/gpt-oss-120b-maas"
    thought, said = read_events(outcome_of(RULES, facts_of(model, None, stream=True)).timeline)
    assert thought["choices"][0]["delta"]["reasoning_content"] == "Hm."
    assert "reasoning_content" not in said["choices"][0]["delta"]
    assert said["choices"][0]["delta"]["content"] == "Yes."
    other = read_events(outcome_of(RULES, facts_of("zai-org/glm-5.2-maas", None, stream=True)).timeline)[-1]
    assert other["choices"][0]["delta"]["reasoning_content"] is None
    assert answer_body(model)["choices"][0]["message"]["reasoning_content"] == "Hm."


def test_call_ids_of_each_server() -> None:
    """Ids written in a scenario stay; only Gemini signs."""
    rules = "rules:\n  - reply: [{call: f, with: {}, signature: mine}, {call: f, with: {}, id: own}]\n"

    def calls(model: str, family: str | None = None) -> list[dict[str, Any]]:
        made = json.loads(outcome_of(rules, facts_of(model, family)).timeline.body)
        assert made["choices"][0]["finish_reason"] == "tool_calls"
        found: list[dict[str, Any]] = made["choices"][0]["message"]["tool_calls"]
        return found

    assert calls("google/gemini-2.5-flash")[0]["extra_content"]["google"]["thought_signature"] == "mine"
    for model, family, start in (
        ("zai-org/glm-5-maas", None, "call_"),
        ("moonshotai/kimi-k2-thinking-maas", None, "functions.f:0"),
        ("x", "vllm", "chatcmpl-tool-"),
        ("x", "tgi", "0"),
    ):
        first, second = calls(model, family)
        assert first["id"].startswith(start)
        assert second["id"] == "own"
        assert "extra_content" not in first


@pytest.mark.parametrize("guard", [None, {}, {"enabled": True}, {"enabled": False}])
def test_llama_guard(guard: dict[str, Any] | None) -> None:
    """The text of a filtered answer is in `refusal`, unless the filter is off."""
    rules = "rules: [{reply: I cannot., finish: content_filter}]"
    google = {"google": {} if guard is None else {"model_safety_settings": guard}}
    for stream in (False, True):
        facts = facts_of("meta/llama-3.3-70b-instruct-maas", None, stream=stream, extra_body=google)
        timeline = outcome_of(rules, facts).timeline
        made = read_events(timeline)[0] if stream else json.loads(timeline.body)
        said = made["choices"][0]["delta" if stream else "message"]
        if guard == {"enabled": False}:
            assert (said["content"], "refusal" in said) == ("I cannot.", False)
        else:
            assert (said.get("content"), said["refusal"]) == (None, "I cannot.")


def test_usage_of_containers_is_given_on_demand() -> None:
    """Without stream_options there is none, with it a chunk without choices."""
    for family in ("vllm", "tgi"):
        silent = read_events(outcome_of(RULES, facts_of("x", family, stream=True)).timeline)
        asked = facts_of("x", family, stream=True, stream_options={"include_usage": True})
        *chunks, last = read_events(outcome_of(RULES, asked).timeline)
        assert not any(chunk.get("usage") for chunk in silent)
        assert [len(chunk["choices"]) for chunk in chunks] == [1] * len(silent)
        assert last["choices"] == []
        assert last["usage"]["total_tokens"] == 3 if family == "vllm" else last["usage"]["total_tokens"] > 1


@pytest.mark.parametrize(
    ("model", "endpoint", "named"),
    [
        ("asked", Endpoint(model="kept"), "asked"),
        ("", Endpoint(model="kept"), "kept"),
        ("", Endpoint(), OWN.endpoint),
        ("", None, OWN.endpoint),
    ],
)
def test_model_in_answers(model: str, endpoint: Endpoint | None, named: str) -> None:
    """The request's, else the endpoint's, else the endpoint's id."""
    facts = Facts(OWN, [], {"model": model}, endpoint)
    outcome = outcome_of(RULES, facts)
    assert json.loads(outcome.timeline.body)["model"] == named
    assert dict(outcome.timeline.headers)["x-vertex-ai-endpoint-id"] == OWN.endpoint


def test_request_type_is_echoed() -> None:
    """The header that was sent is echoed; a scenario's own header wins."""
    sent = [(b"x-vertex-ai-llm-request-type", b"dedicated")]
    facts = Facts(OPENAPI, sent, {"model": "google/gemini-2.5-flash"})
    assert dict(outcome_of(RULES, facts).timeline.headers)["x-vertex-ai-llm-request-type"] == "dedicated"
    rules = RULES + "    headers: {x-vertex-ai-llm-request-type: shared}\n"
    assert dict(outcome_of(rules, facts).timeline.headers)["x-vertex-ai-llm-request-type"] == "shared"


@pytest.mark.parametrize("model", ["google/gemini-3.5-flash", "zai-org/glm-5.2-maas"])
@pytest.mark.parametrize("stream", [False, True])
def test_scenarios_repeat_and_remove_headers(model: str, stream: bool) -> None:
    """A list is as many lines, null or an empty list none, whatever the model's own headers and the defaults say; templates are filled."""
    rules = ruleset(
        "defaults: {headers: {x-a: default, Vary: [d, e, f]}}\n"
        "rules:\n  - {reply: Hi., headers: {vary: [X-Origin, '{{ model }}'], X-A: null, server: [], x-b: ['1', '2']}}\n"
    )
    request: Any = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
    made = answer([rules], Facts(OPENAPI, [], request), State(), AnswerInputs(0.0, "seed", b""))
    written = [(name.decode(), value.decode()) for name, value in encode_headers(made.timeline.headers, 200)]
    assert [value for name, value in written if name == "vary"] == ["X-Origin", model]
    assert [value for name, value in written if name == "x-b"] == ["1", "2"]
    assert not {"x-a", "server"} & {name for name, _ in written}


def test_endpoints_of_a_scenario() -> None:
    """Once there are any, others do not exist; the first file that names one decides."""
    rules = ruleset('endpoints: {"1": {family: tgi, model: m}, "2": {}}\n' + RULES)
    assert (rules.endpoints["1"].family, rules.endpoints["2"].family) == ("tgi", "vllm")
    missing = refuse_endpoint(OWN, rules.endpoints)
    assert missing is not None
    assert (missing.code, missing.rule) == (404, "self_deployed_endpoint_not_found")
    assert refuse_endpoint(OPENAPI, rules.endpoints) is None
    assert refuse_endpoint(OWN, ruleset(RULES).endpoints) is None
    assert (family_of(OWN, None), family_of(OPENAPI, None)) == ("vllm", None)


def test_refusals_of_containers() -> None:
    """An invalid request is a flat object of vLLM or TGI; what Google itself refuses stays Google's."""
    invalid = Refusal(400, "INVALID_ARGUMENT", "Google's words", place="n", explanation="n is 9")
    vllm, tgi = refuse_in_container(invalid, "vllm"), refuse_in_container(invalid, "tgi")
    assert json.loads(vllm.body())["message"] == "n is 9"
    assert (vllm.code, json.loads(vllm.body())["object"], vllm.place) == (400, "error", "n")
    assert (tgi.code, json.loads(tgi.body())["error_type"]) == (422, "validation")
    assert refuse_in_container(invalid, None) is refuse_in_container(invalid, "gemini") is invalid
    busy = Refusal(429, "RESOURCE_EXHAUSTED", "Google's words")
    assert refuse_in_container(busy, "vllm") is busy


def test_thoughts_before_a_failure_do_not_hide_it() -> None:
    """Where a model does not think, a failure after a thought is the first thing that happens."""
    rules = "rules: [{reply: [{think: Hm.}, {fail: 429}]}]"
    facts = facts_of("meta/llama-3.3-70b-instruct-maas", None, stream=True)
    assert outcome_of(rules, facts).timeline.status == 429


def test_parts_of_gemini_are_left_alone() -> None:
    """The thoughts of a Gemini are neither moved nor removed."""
    parts = (TextPart("Hm.", ("Hm.",), (b'"Hm."',), is_thought=True),)
    style = choose_style("google/gemini-2.5-flash", None)
    assert adapt_parts(parts, style) is parts
