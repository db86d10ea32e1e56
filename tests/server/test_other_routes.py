"""The routes other than chat completions, below HTTP: rules, sessions, vetting and the journal."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from emulator.api.emulator import build_service
from emulator.catalogue.faults import FAULT_NAMES, FaultName
from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import SystemClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.wire.urls import Target

SMALL = "intfloat/multilingual-e5-small-maas"
GLM = "zai-org/glm-5-maas"
GROK = "xai/grok-4.3"
SCENARIO = """
scenario: siblings
rules:
  - name: no vectors today
    when: {model: intfloat/*, last_user: busy}
    sequence: [{fail: 429}, finally]
  - name: once
    when: {last_user: refund}
    times: 1
    reply: Within a week.
  - name: thinks
    when: {last_user: think}
    reply: [{think: Hm.}, {say: [So, " be it."]}]
  - name: breaks
    when: {last_user: break}
    reply: [{say: Well}, {fail: 503}]
  - name: calls
    when: {last_user: weather}
    reply: [{say: Let me see.}, {call: get_weather, with: {city: Paris}}]
  - name: draws
    when: {last_user: draw}
    reply: {image: auto}
  - name: raw
    when: {last_user: raw}
    reply: {raw: "as it is"}
  - name: cut
    when: {last_user: cut}
    reply: Half a
    finish: length
    usage: {prompt: 3, completion: 2, reasoning: 4, cached: 1, traffic: ON_DEMAND_FLEX}
"""


@pytest.fixture
def service() -> Service:
    """A service of the scenario above."""
    settings = Settings(auth="off", seed="1")
    return Service(compile_rules(read_text(SCENARIO).scenarios), settings, clock=SystemClock())


def send(service: Service, method: str, body: Mapping[str, Any] | bytes) -> Exchange:
    """Send one request and finish its exchange."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    exchange = service.handle(Target("v1", "p", "global", "openapi", method), b"", [], data)
    service.finish(exchange)
    return exchange


def body_of(exchange: Exchange) -> Any:
    """The body of a plain answer."""
    assert exchange.outcome.timeline.status == 200, exchange.outcome.timeline.body
    return json.loads(exchange.outcome.timeline.body)


def events_of(exchange: Exchange) -> list[Any]:
    """The data of a stream's events, `[DONE]` left out."""
    assert exchange.outcome.timeline.status == 200
    lines = exchange.outcome.timeline.body.decode().splitlines()
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(one) for one in data if one != "[DONE]"]


def is_sorted(value: Any) -> bool:
    """Tell whether keys are alphabetical at every level."""
    if isinstance(value, dict):
        return list(value) == sorted(value) and all(map(is_sorted, value.values()))
    return all(map(is_sorted, value)) if isinstance(value, list) else True


def test_embeddings(service: Service) -> None:
    """Vectors in order, with usage, and an exchange that no rule answered."""
    exchange = send(service, "embeddings", {"model": SMALL, "input": ["one text", "another", "one text"]})
    body = body_of(exchange)
    assert is_sorted(body)
    assert (body["object"], body["model"], body["usage"]) == ("list", SMALL, {"prompt_tokens": 6, "total_tokens": 6})
    assert [(one["index"], one["object"], len(one["embedding"])) for one in body["data"]] == [
        (index, "embedding", 384) for index in range(3)
    ]
    assert body["data"][0]["embedding"] == body["data"][2]["embedding"] != body["data"][1]["embedding"]
    written = exchange.to_json()
    assert (written["outcome"], written["rule"], written["usage"]["prompt_tokens"]) == ("answer", None, 6)
    assert written["path"].endswith("/endpoints/openapi/embeddings")


@pytest.mark.parametrize(
    ("given", "status", "name", "place"),
    [
        ({"model": "google/gemini-2.5-flash", "input": "a"}, 400, "generic_invalid_argument", "model"),
        ({"model": "intfloat/other", "input": "a"}, 404, "publisher_model_not_found", "model"),
        ({"model": "e5", "input": "a"}, 400, "malformed_publisher_model", "model"),
        ({"model": SMALL, "input": ["a", "word " * 411]}, 400, "generic_invalid_argument", "input[1]"),
        ({"model": SMALL, "input": list(range(513))}, 400, "generic_invalid_argument", "input[0]"),
        ({"model": SMALL, "input": []}, 400, "generic_invalid_argument", "input"),
        ({"model": SMALL}, 400, "generic_invalid_argument", "input"),
        ({"model": SMALL, "input": {"a": 1}}, 400, "generic_invalid_argument", "input"),
        ({"model": SMALL, "input": "a", "encoding_format": "int8"}, 400, "generic_invalid_argument", "encoding_format"),
    ],
)
def test_embeddings_refusals(service: Service, given: Any, status: int, name: str, place: str) -> None:
    """What is refused: other models, inputs over the limit, no input, unknown formats; always in an array."""
    exchange = send(service, "embeddings", given)
    timeline, refusal = exchange.outcome.timeline, exchange.outcome.refusal
    assert refusal is not None
    assert (timeline.status, refusal.rule, refusal.place) == (status, name, place)
    assert timeline.body.startswith(b"[{\n")


@pytest.mark.parametrize(
    "model", ["google/gemini-embedding-001", "gemini-embedding-001", "google/text-embedding-005", "gemini-embedding-2"]
)
def test_googles_embedding_models_fail(service: Service, model: str) -> None:
    """With and without publisher they are an internal error; with vetting off they get vectors."""
    asked = {"model": model, "input": "a"}
    timeline = send(service, "embeddings", asked).outcome.timeline
    (error,) = json.loads(timeline.body)
    assert error["error"] == {"code": 500, "message": "Internal error encountered.", "status": "INTERNAL"}
    lenient = build_service((), Settings(auth="off", vetting="off"))
    assert len(body_of(send(lenient, "embeddings", asked))["data"]) == 1


def test_embeddings_up_to_the_limit(service: Service) -> None:
    """512 tokens are read."""
    for given in ("x" * 2048, list(range(512))):
        assert body_of(send(service, "embeddings", {"model": SMALL, "input": given}))["usage"]["total_tokens"] == 512


def test_embeddings_let_through_by_vetting() -> None:
    """Without vetting, any model gets vectors."""
    service = build_service((), Settings(auth="off", vetting="off"))
    body = body_of(send(service, "embeddings", {"model": "google/other", "input": "a"}))
    assert len(body["data"][0]["embedding"]) == 384
    assert body_of(send(service, "embeddings", {"model": "google/other"}))["data"] == []


def test_embeddings_fail_by_a_rule_that_names_the_model(service: Service) -> None:
    """A scripted failure comes first, then vectors; the rule is in the journal both times."""
    first, second = (send(service, "embeddings", {"model": SMALL, "input": "busy"}) for _ in range(2))
    assert (first.outcome.timeline.status, second.outcome.timeline.status) == (429, 200)
    assert {one.to_json()["rule"] for one in (first, second)} == {"no vectors today"}
    assert len(body_of(second)["data"][0]["embedding"]) == 384


def test_embeddings_do_not_use_up_rules_of_conversations(service: Service) -> None:
    """A rule that matches the embedded text still answers chat requests afterwards."""
    send(service, "embeddings", {"model": SMALL, "input": "refund"})
    asked = {"model": GLM, "prompt": "A refund?"}
    assert body_of(send(service, "completions", asked))["choices"][0]["text"] == "Within a week."
    assert send(service, "completions", asked).outcome.result == "miss"


def test_completion(service: Service) -> None:
    """The shape of a plain completion; thoughts are not in it, but count."""
    exchange = send(service, "completions", {"model": GLM, "prompt": "think", "n": 2})
    body = body_of(exchange)
    assert is_sorted(body)
    choice = {"finish_reason": "stop", "logprobs": None, "matched_stop": 154827, "text": "So be it."}
    assert body["choices"] == [{**choice, "index": index} for index in range(2)]
    assert (body["object"], body["model"], body["metadata"]) == ("text_completion", GLM, {"weight_version": "default"})
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert (usage["reasoning_tokens"], usage["prompt_tokens_details"]) == (0, None)
    assert exchange.to_json()["rule"] == "thinks"


def test_completion_with_think_tags(service: Service) -> None:
    """Models with thoughts in their text have them here too."""
    body = body_of(send(service, "completions", {"model": "minimaxai/minimax-m2-maas", "prompt": "think"}))
    assert body["choices"][0]["text"] == "<think>Hm.</think>So be it."


def test_streamed_completion(service: Service) -> None:
    """Pieces, then an event with the finish reason and usage, then [DONE]."""
    exchange = send(service, "completions", {"model": GLM, "prompt": "think", "stream": True})
    events = events_of(exchange)
    assert [one["choices"][0]["text"] for one in events] == ["So", " be it.", ""]
    assert [one["choices"][0]["finish_reason"] for one in events] == [None, None, "stop"]
    assert ["usage" in one for one in events] == [False, False, True]
    assert all(map(is_sorted, events))
    assert exchange.outcome.timeline.body.endswith(b"data: [DONE]\n\n")


def test_completion_that_is_cut(service: Service) -> None:
    """With `length` there is no stop token, and completion tokens include the thoughts that the scenario counts."""
    body = body_of(send(service, "completions", {"model": GLM, "prompt": "cut"}))
    assert (body["choices"][0]["finish_reason"], body["choices"][0]["matched_stop"]) == ("length", None)
    assert body["usage"]["prompt_tokens_details"] == {"cached_tokens": 1}
    assert body["usage"]["extra_properties"] == {"google": {"traffic_type": "ON_DEMAND_FLEX"}}


@pytest.mark.parametrize(
    ("method", "asked"),
    [("completions", {"model": GLM, "prompt": "break"}), ("responses", {"model": GROK, "input": "break"})],
)
def test_failures(service: Service, method: str, asked: dict[str, Any]) -> None:
    """A failure is the whole plain answer, or the end of a stream, without a last event."""
    plain = send(service, method, asked)
    assert plain.outcome.timeline.status == 503
    assert plain.outcome.timeline.body.startswith(b"[{\n")
    stream = send(service, method, {**asked, "stream": True})
    assert stream.outcome.timeline.status == 200
    assert b"Well" in stream.outcome.timeline.body
    assert stream.outcome.timeline.body.endswith(b"\n}\n")
    assert b"[DONE]" not in stream.outcome.timeline.body
    assert b"response.completed" not in stream.outcome.timeline.body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("method", "asked"),
    [("completions", {"model": GLM, "prompt": "raw"}), ("responses", {"model": GROK, "input": "raw"})],
)
def test_raw(service: Service, method: str, asked: dict[str, Any], stream: bool) -> None:
    """Raw bytes of the scenario are the whole answer."""
    exchange = send(service, method, {**asked, "stream": stream})
    assert exchange.outcome.timeline.body.strip() == b"as it is"


@pytest.mark.parametrize(
    ("method", "asked", "report"),
    [
        ("completions", {"model": GLM, "prompt": "weather"}, "completions carries text, but the reply calls a tool"),
        (
            "completions",
            {"model": GLM, "prompt": "draw"},
            "completions carries text, but the reply has a picture or sound",
        ),
        ("responses", {"model": GROK, "input": "draw"}, "responses carries text, but the reply has a picture or sound"),
        (
            "completions",
            {"model": GLM, "prompt": ["a", "b"]},
            "2 prompts; the emulator answers one prompt in a request",
        ),
    ],
)
def test_parts_without_a_place_are_an_error(service: Service, method: str, asked: dict[str, Any], report: str) -> None:
    """An answer with parts that the route cannot carry is a failure of the emulator, with the reason."""
    exchange = send(service, method, asked)
    assert (exchange.outcome.result, exchange.outcome.timeline.status) == ("error", 418)
    assert report in exchange.outcome.report


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"model": "google/gemini-2.5-flash", "prompt": "refund"}, "generic_invalid_argument"),
        ({"model": "glm-5", "prompt": "refund"}, "malformed_publisher_model"),
        ({"prompt": "refund"}, "malformed_publisher_model"),
        ({"model": GLM}, "generic_invalid_argument"),
        ({"model": GLM, "prompt": ""}, "generic_invalid_argument"),
        ({"model": GLM, "prompt": []}, "generic_invalid_argument"),
        (b'{"model": "a/b", "prompt": ', "invalid_json_payload"),
    ],
)
def test_completions_refusals(service: Service, given: Any, name: str) -> None:
    """What is refused: models of other families, no model, no prompt, no JSON."""
    refusal = send(service, "completions", given).outcome.refusal
    assert refusal is not None
    assert refusal.rule == name


def test_known_models_only() -> None:
    """An unknown model is answered, unless `--models known`."""
    asked = {"model": "zai-org/glm-9", "prompt": "Hello"}
    assert send(build_service((), Settings(auth="off")), "completions", asked).outcome.result == "answer"
    refusal = send(build_service((), Settings(auth="off", models="known")), "completions", asked).outcome.refusal
    assert refusal is not None
    assert refusal.rule == "publisher_model_not_found"


def test_response(service: Service) -> None:
    """The documented keys in their order, with one message, and the request's parameters."""
    asked = {
        "model": GROK,
        "input": "cut",
        "instructions": "Be brief.",
        "max_output_tokens": 50,
        "metadata": {"trace": "7"},
        "temperature": 0.5,
    }
    exchange = send(service, "responses", asked)
    body = body_of(exchange)
    assert is_sorted(body)
    assert set(body) >= {
        *("background", "completed_at", "created_at", "error", "frequency_penalty", "id", "incomplete_details"),
        *("instructions", "max_output_tokens", "max_tool_calls", "metadata", "model", "object", "output"),
        *("parallel_tool_calls", "presence_penalty", "previous_response_id", "usage"),
    }
    assert (body["object"], body["model"], body["store"], body["temperature"]) == ("response", GROK, False, 0.5)
    assert (body["status"], body["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert body["metadata"]["trace"] == "7"
    assert body["metadata"]["system_fingerprint"].startswith("fp_")
    part = {"annotations": [], "logprobs": [], "text": "Half a", "type": "output_text"}
    assert body["output"] == [
        {
            "content": [part],
            "id": f"msg_{body['id']}",
            "role": "assistant",
            "status": "completed",
            "type": "message",
        }
    ]
    assert body["usage"] == {
        "extra_properties": {"google": {"traffic_type": "ON_DEMAND_FLEX"}},
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1},
        "num_server_side_tools_used": 0,
        "num_sources_used": 0,
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 9,
    }
    assert exchange.to_json()["rule"] == "cut"


def test_response_stream(service: Service) -> None:
    """Events are numbered, carry their name twice and the text of the plain answer, and end without [DONE]."""
    plain = body_of(send(service, "responses", {"model": GROK, "input": "think"}))
    exchange = send(service, "responses", {"model": GROK, "input": "think", "stream": True})
    body, events = exchange.outcome.timeline.body, events_of(exchange)
    assert [line for line in body.decode().splitlines() if line.startswith("event: ")] == [
        f"event: {one['type']}" for one in events
    ]
    assert [one["sequence_number"] for one in events] == list(range(len(events)))
    assert [one["type"].removeprefix("response.") for one in events] == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *("output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done", "completed"),
    ]
    assert [one["delta"] for one in events if "delta" in one] == ["So", " be it."]
    assert (events[0]["response"]["status"], events[0]["response"]["usage"]) == ("in_progress", None)
    assert events[-1]["response"]["output"][0]["content"] == plain["output"][0]["content"]
    assert events[-1]["response"]["usage"] == plain["usage"]
    assert all(map(is_sorted, events))
    assert b"[DONE]" not in body


def test_response_with_a_call(service: Service) -> None:
    """A text and a call are two items; the stream has the call's arguments."""
    body = body_of(send(service, "responses", {"model": GROK, "input": "weather"}))
    message, call = body["output"]
    assert message["content"][0]["text"] == "Let me see."
    assert (call["type"], call["name"], call["arguments"]) == ("function_call", "get_weather", '{"city":"Paris"}')
    events = events_of(send(service, "responses", {"model": GROK, "input": "weather", "stream": True}))
    (done,) = [one for one in events if one["type"] == "response.function_call_arguments.done"]
    assert (done["arguments"], done["output_index"]) == ('{"city":"Paris"}', 1)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"model": "google/gemini-2.5-flash", "input": "think"}, "generic_invalid_argument"),
        ({"model": "somebody/grok", "input": "think"}, "generic_invalid_argument"),
        ({"model": "xai/grok-4.1-fast-reasoning", "input": "think"}, "generic_invalid_argument"),
        ({"model": "grok-4.3", "input": "think"}, "malformed_publisher_model"),
        ({"model": GROK}, "generic_invalid_argument"),
        ({"model": GROK, "input": []}, "generic_invalid_argument"),
        ({"model": GROK, "input": "think", "previous_response_id": "r"}, "generic_invalid_argument"),
        ({"model": GROK, "input": 7}, "generic_invalid_argument"),
    ],
)
def test_responses_refusals(service: Service, given: Any, name: str) -> None:
    """Refusals: models that are no Grok, retired ones, no input, a response that was never stored."""
    refusal = send(service, "responses", given).outcome.refusal
    assert refusal is not None
    assert refusal.rule == name


@pytest.mark.parametrize(("version", "location"), [("v1", "us-central1"), ("v1beta1", "global")])
def test_responses_elsewhere(service: Service, version: str, location: str) -> None:
    """Responses are served by v1 in global only."""
    target = Target(version, "p", location, "openapi", "responses")
    exchange = service.handle(target, b"", [], json.dumps({"model": GROK, "input": "think"}).encode())
    assert exchange.outcome.timeline.status == 404


def test_misses(service: Service) -> None:
    """A request that no rule answers is a miss, as for chat."""
    for method, asked in (("completions", {"model": GLM, "prompt": "x"}), ("responses", {"model": GROK, "input": "x"})):
        exchange = send(service, method, asked)
        assert (exchange.outcome.result, exchange.outcome.timeline.status) == ("miss", 418)
        assert "wanted text containing" in exchange.outcome.report


def test_unary_methods() -> None:
    """The endpoint and stored responses do not exist; their errors are bare objects."""
    service = build_service()
    endpoint = Target("v1beta1", "p", "global", "openapi", "")
    refused = service.handle(endpoint, b"", [], b"").outcome
    assert refused.refusal is not None
    assert (refused.timeline.status, refused.refusal.rule) == (401, "missing_credentials_get_endpoint")
    error = json.loads(refused.timeline.body)["error"]
    assert error["details"][0]["metadata"]["method"] == "google.cloud.aiplatform.v1beta1.EndpointService.GetEndpoint"
    bearer = [(b"authorization", b"Bearer ya29.x")]
    for method in ("", "responses/r"):
        outcome = service.handle(Target("v1beta1", "p", "global", "openapi", method), b"", bearer, b"").outcome
        assert json.loads(outcome.timeline.body)["error"]["status"] == "NOT_FOUND"


def test_routes_require_a_bearer() -> None:
    """Without a bearer every route answers 401 in an array, which names its method."""
    service = build_service()
    for method in ("embeddings", "completions", "responses"):
        outcome = service.handle(Target("v1", "p", "global", "openapi", method), b"", [], b"{}").outcome
        (one,) = json.loads(outcome.timeline.body)
        assert one["error"]["code"] == 401
        assert one["error"]["details"][0]["metadata"]["method"].endswith(".v1.PredictionService.Invoke")


@pytest.mark.parametrize("fault", FAULT_NAMES)
@pytest.mark.parametrize("method", ["completions", "responses"])
def test_faults_apply_to_other_routes(method: str, fault: FaultName) -> None:
    """Each fault of the catalogue changes their streams, except those that need something the stream lacks."""
    text = "rules: [{reply: {say: [Eins., ' Zwei süß.', ' Drei.', ' Vier.']}}]\n"
    body = {"prompt": "hi", "model": GLM} if method == "completions" else {"input": "hi", "model": GROK}
    whole, faulty = (
        send(build_service([text], Settings(auth="off", seed="1", faults=faults)), method, {**body, "stream": True})
        for faults in ((), (fault,))
    )
    assert faulty.outcome.result == "answer"
    without = method == "responses" and fault in {"no_done", "empty_choices"}
    assert (faulty.outcome.timeline == whole.outcome.timeline) is without
    assert bool(faulty.outcome.warnings) is without
