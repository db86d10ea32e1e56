"""The emulated service below HTTP: default behaviour, sessions, determinism, and that nothing makes a 500."""

import base64
import io
import json
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from PIL import Image

from emulator.api.emulator import build_service
from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import SystemClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.wire.urls import Target

TARGET = Target("v1", "p", "us-central1", "openapi")
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location", "unit"],
        },
    },
}
PING = {"type": "function", "function": {"name": "ping", "description": "Check that the server is alive"}}


def default_service(**given: Any) -> Service:
    """A service of the built-in default."""
    return build_service((), Settings(auth="off", **given))


def service_of(text: str, **given: Any) -> Service:
    """A service of a scenario's text."""
    return Service(compile_rules(read_text(text).scenarios), Settings(auth="off", **given), clock=SystemClock())


def send(service: Service, body: Mapping[str, Any] | bytes, target: Target = TARGET) -> Exchange:
    """Send one request and finish its exchange."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    exchange = service.handle(target, b"", [], data)
    service.finish(exchange)
    return exchange


def ask(text: str, **more: Any) -> dict[str, Any]:
    """A request with one user message."""
    return {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": text}], **more}


def choice(exchange: Exchange) -> Any:
    """The first choice of a plain answer."""
    assert exchange.outcome.timeline.status == 200, exchange.outcome.timeline.body
    return json.loads(exchange.outcome.timeline.body)["choices"][0]


def test_merged_rules_are_cached() -> None:
    """Rules added by code are merged with the others when they change, not for every request."""
    service = service_of("rules: [{name: own, reply: a}]")
    assert service.rules_of("p") is service.ruleset
    service.added = (compile_rules(read_text("rules: [{name: all, reply: b}]").scenarios),)
    first = service.rules_of("p")
    assert [rule.name for rule in first.rules] == ["all", "own"]
    assert service.rules_of("p") is first
    service.sessions.find("p").added = (compile_rules(read_text("rules: [{name: mine, reply: c}]").scenarios),)
    assert [rule.name for rule in service.rules_of("p").rules] == ["mine", "all", "own"]
    service.push("p", "rules: [{name: pushed, reply: d}]")
    assert [rule.name for rule in service.rules_of("p").rules] == ["mine", "all", "pushed"]
    service.reset("p")
    service.ruleset = compile_rules(read_text("rules: [{name: read again, reply: e}]").scenarios)
    assert [rule.name for rule in service.rules_of("p").rules] == ["all", "read again"]


def test_default_answers_any_prompt_with_a_sentence() -> None:
    """A sentence, `stop`, positive usage."""
    exchange = send(default_service(), ask("Why?"))
    assert choice(exchange)["finish_reason"] == "stop"
    assert len(choice(exchange)["message"]["content"].split()) > 3
    usage = json.loads(exchange.outcome.timeline.body)["usage"]
    assert min(usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) > 0


@pytest.mark.parametrize(
    ("text", "tool_choice", "called"),
    [
        ("What is the weather in Boston?", None, "get_current_weather"),
        ("What is the weather in Boston?", "auto", "get_current_weather"),
        ("What is the weather in Boston?", "none", None),
        ("Is the server alive?", None, "ping"),
        ("Hello", None, None),
        ("Hello", "required", "get_current_weather"),
        ("Ping it", "required", "ping"),
        ("Hello", {"type": "function", "function": {"name": "ping"}}, "ping"),
    ],
)
def test_default_follows_tool_choice(text: str, tool_choice: Any, called: str | None) -> None:
    """`auto` calls a tool that fits the prompt, `required` always calls one, a named tool is called, `none` calls none."""
    chosen = choice(send(default_service(), ask(text, tools=[WEATHER, PING], tool_choice=tool_choice)))
    if called is None:
        assert chosen["finish_reason"] == "stop"
        assert chosen["message"]["content"]
        return
    (call,) = chosen["message"]["tool_calls"]
    assert (chosen["finish_reason"], call["function"]["name"]) == ("tool_calls", called)
    arguments = json.loads(call["function"]["arguments"])
    if called == "ping":
        assert arguments == {}
    else:
        assert arguments["location"]
        Draft202012Validator(WEATHER["function"]["parameters"]).validate(arguments)  # type: ignore[index]  # a dict of dicts


def test_default_ends_agent_loops() -> None:
    """After a tool result the answer is text, although the tool still fits the prompt."""
    service = default_service()
    messages: list[Any] = ask("What is the weather?")["messages"]
    body = {"model": "google/gemini-2.5-flash", "messages": messages, "tools": [WEATHER]}
    call = choice(send(service, body))["message"]
    messages += [call, {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "{}"}]
    assert choice(send(service, body))["finish_reason"] == "stop"
    messages += [{"role": "assistant", "content": "Fine."}, {"role": "user", "content": "And the weather tomorrow?"}]
    assert choice(send(service, body))["finish_reason"] == "tool_calls"


def test_default_makes_valid_json() -> None:
    """A schema gets a valid instance, `json_object` an object."""
    schema = {
        "type": "object",
        "properties": {"id": {"type": "integer", "minimum": 5}, "tags": {"type": "array", "items": {"enum": ["a"]}}},
        "required": ["id", "tags"],
    }
    response_format = {"type": "json_schema", "json_schema": {"name": "Thing", "schema": schema}}
    made = json.loads(choice(send(default_service(), ask("x", response_format=response_format)))["message"]["content"])
    Draft202012Validator(schema).validate(made)
    plain = choice(send(default_service(), ask("x", response_format={"type": "json_object"})))["message"]["content"]
    assert isinstance(json.loads(plain), dict)


def test_default_returns_images_and_audio() -> None:
    """Valid PNG and WAV files of a few kilobytes."""
    painter = ask("A cat", modalities=["image"]) | {"model": "google/gemini-2.5-flash-image"}
    audio = choice(send(default_service(), painter))["message"]["audio"]
    data = base64.b64decode(audio["data"])
    assert audio["extra_content"] == {"google": {"mime_type": "image/png"}}
    assert 200 < len(data) < 4000
    Image.open(io.BytesIO(data)).load()
    audio = choice(send(default_service(), ask("Hi", modalities=["text", "audio"])))["message"]["audio"]
    with wave.open(io.BytesIO(base64.b64decode(audio["data"]))) as sound:
        assert sound.getnframes() > 0


@pytest.mark.parametrize(
    ("model", "options", "reasoning"),
    [
        ("google/gemini-2.5-flash", {}, 128),
        ("google/gemini-2.5-flash", {"reasoning_effort": "none"}, 0),
        ("google/gemini-2.5-flash", {"extra_body": {"google": {"thinking_config": {"thinking_budget": 50}}}}, 50),
        ("google/gemini-2.5-flash", {"max_tokens": 3}, 0),
        ("google/gemini-3.1-pro-preview", {}, 256),
        ("google/gemini-3.1-pro-preview", {"reasoning_effort": "low"}, 64),
        ("google/gemini-3.1-flash-lite", {}, 0),
        ("google/gemini-2.0-flash-001", {}, 0),
        ("xai/grok-4.7", {}, 128),
        ("xai/grok-4.20-non-reasoning", {}, 0),
        ("meta/llama-4-scout-17b-16e-instruct-maas", {}, 0),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_models_of_the_default_think_unasked(model: str, options: Any, reasoning: int, stream: bool) -> None:
    """They count tokens of thoughts that nobody sees, as many as level, budget and limit let them."""
    outcome = send(default_service(), ask("Why?", stream=stream, **options) | {"model": model}).outcome
    usage = outcome.usage
    assert usage is not None
    assert usage.reasoning == reasoning
    assert usage.sum == usage.prompt + usage.completion + reasoning
    assert (b'"reasoning_tokens":%d' % reasoning in outcome.timeline.body) == (reasoning > 0 or "grok" in model)


def test_thoughts_are_counted_as_a_scenario_says() -> None:
    """`auto` counts those of the reply, else what the model thinks unasked; without it a reply without thoughts has none."""
    for written, expected in (("", 0), ("usage: {reasoning: auto}, ", 128), ("usage: {reasoning: 7}, ", 7)):
        service = service_of(f"rules: [{{{written}reply: fine}}]")
        outcome = send(service, ask("x")).outcome
        assert outcome.usage is not None
        assert outcome.usage.reasoning == expected
    thinking = service_of("rules: [{usage: {reasoning: auto}, reply: [{think: So it is.}, {say: fine}]}]")
    usage = send(thinking, ask("x")).outcome.usage
    assert usage is not None
    assert 0 < usage.reasoning < 10


def test_n_returns_different_choices() -> None:
    """Up to 8, each with a text of its own; more is refused as documented."""
    body = json.loads(send(default_service(), ask("Why?", n=8)).outcome.timeline.body)
    assert len({one["message"]["content"] for one in body["choices"]}) == 8
    refused = send(default_service(), ask("Why?", n=9)).outcome
    assert refused.timeline.status == 400
    assert (
        b"candidateCount value of 9 but the supported range is from 1 (inclusive) to 9 (exclusive)"
        in refused.timeline.body
    )


@pytest.mark.parametrize(
    ("body", "rule", "place"),
    [
        (ask("x") | {"model": "gemini-2.5-flash"}, "malformed_publisher_model", "model"),
        ({"messages": [{"role": "user", "content": "x"}]}, "malformed_publisher_model", "model"),
        (ask("x") | {"model": "google/"}, "malformed_publisher_model", "model"),
        ({"model": "google/g"}, "contents_required", "messages"),
        ({"model": "google/g", "messages": []}, "contents_required", "messages"),
        ({"model": "google/g", "messages": [{"role": "system", "content": "x"}]}, "contents_required", "messages"),
        (ask("x", n=0), "candidate_count_range", "n"),
        (ask("x", temperature="hot"), "generic_invalid_argument", "temperature"),
        (b"[]", "generic_invalid_argument", ""),
        (b"{", "invalid_json_payload", "line 1, column 1"),
        (b"", "invalid_json_payload", "line 1, column 0"),
    ],
)
def test_what_vertex_refuses(body: Any, rule: str, place: str) -> None:
    """A refusal names the rule of Vertex that was broken and the place in the request."""
    outcome = send(default_service(), body).outcome
    assert (outcome.result, outcome.timeline.status) == ("refusal", 400)
    assert outcome.refusal is not None
    assert (outcome.refusal.rule, outcome.refusal.place) == (rule, place)
    assert outcome.timeline.body.startswith(b'[{\n  "error": {\n    "code": 400,\n    "message": "')
    assert str(dict(outcome.timeline.headers)["x-emulator-explanation"]).startswith(f"{rule}: ")


def test_own_endpoints_need_no_model() -> None:
    """A deployed endpoint answers requests without a model or with a model name alone."""
    own = Target("v1", "p", "us-central1", "1234567890")
    exchange = send(default_service(), {"messages": [{"role": "user", "content": "x"}]}, own)
    assert json.loads(exchange.outcome.timeline.body)["model"] == "1234567890"
    assert send(default_service(), ask("x") | {"model": "gemma-2-9b-it"}, own).outcome.timeline.status == 200


def test_each_project_has_its_own_counters() -> None:
    """Uses of a rule in one project do not count in another."""
    service = service_of("rules: [{sequence: [one, two], then: exhaust}]")
    said = [
        choice(send(service, ask("x"), Target("v1", name, "l", "openapi")))["message"]["content"] for name in "abab"
    ]
    assert said == ["one", "one", "two", "two"]
    assert send(service, ask("x")).outcome.timeline.status == 200
    service.reset("a")
    assert choice(send(service, ask("x"), Target("v1", "a", "l", "openapi")))["message"]["content"] == "one"
    assert send(service, ask("x"), Target("v1", "b", "l", "openapi")).outcome.result == "miss"


def test_a_miss_is_a_418_that_is_not_retried() -> None:
    """Status 418, `x-should-retry: false`, the report as message, in an OpenAI error's shape."""
    outcome = send(service_of("rules: [{name: a, when: {last_user: x}, reply: y}]"), ask("z")).outcome
    assert (outcome.result, outcome.timeline.status) == ("miss", 418)
    assert dict(outcome.timeline.headers)["x-should-retry"] == "false"
    error = json.loads(outcome.timeline.body)["error"]
    assert error["message"] == f"emulator: {outcome.report}"
    assert set(error) == {"code", "message", "param", "type"}


def test_fallback_default_answers_misses() -> None:
    """With --fallback default a miss gets the built-in default instead."""
    service = service_of("rules: [{when: {last_user: x}, reply: y}]", fallback="default")
    assert choice(send(service, ask("x")))["message"]["content"] == "y"
    assert send(service, ask("z")).outcome.result == "answer"


def test_a_rule_that_cannot_answer_says_why() -> None:
    """It is an emulator failure: 418 with the rule, its place and the reason."""
    outcome = send(service_of("rules: [{name: a, reply: {call: auto}}]"), ask("x")).outcome
    assert (outcome.result, outcome.timeline.status) == ("error", 418)
    assert outcome.report == (
        'rule "a", <scenario>:1:9, cannot answer this request: a step says `call: auto`, but the request declares no tools'
    )
    outcome = send(service_of("rules: [{name: a, reply: '{{ tool_result.x }}'}]"), ask("x")).outcome
    assert (outcome.result, "tool_result" in outcome.report) == ("error", True)


def test_pushed_scenarios_belong_to_one_session() -> None:
    """They replace the server's until they are removed."""
    service = service_of("rules: [{reply: server}]")
    service.push("p", "rules: [{reply: pushed}]")
    other = Target("v1", "other", "l", "openapi")
    assert choice(send(service, ask("x")))["message"]["content"] == "pushed"
    assert choice(send(service, ask("x"), other))["message"]["content"] == "server"
    service.push("p", None)
    assert choice(send(service, ask("x")))["message"]["content"] == "server"


BODIES = st.fixed_dictionaries(
    {"model": st.just("google/gemini-3-flash"), "messages": st.just(ask("What is the weather?")["messages"])},
    optional={
        "n": st.integers(1, 3),
        "tools": st.just([WEATHER]),
        "modalities": st.just(["image"]),
        "response_format": st.just({"type": "json_object"}),
        "stream": st.booleans(),
    },
)


@settings(max_examples=settings().max_examples * 2 // 5)
@given(st.lists(BODIES, min_size=1, max_size=4), st.randoms())
def test_same_seed_and_requests_give_the_same_bytes(bodies: list[dict[str, Any]], random: Any) -> None:
    """Whatever the order across projects and the project's name."""
    one, two = default_service(seed="7"), default_service(seed="7")
    first = [send(one, body, Target("v1", f"p{at}", "l", "openapi")).outcome.timeline for at, body in enumerate(bodies)]
    order = list(range(len(bodies)))
    random.shuffle(order)
    second = {at: send(two, bodies[at], Target("v1", f"q{at}", "l", "openapi")).outcome.timeline for at in order}
    assert first == [second[at] for at in range(len(bodies))]


def test_without_a_seed_ids_are_new_and_texts_are_not() -> None:
    """Texts depend on the request only; ids are random."""
    service = default_service()
    one, two = (json.loads(send(service, ask("Why?")).outcome.timeline.body) for _ in range(2))
    assert one["choices"] == two["choices"]
    assert one["id"] != two["id"]


SLOTS = [
    "model",
    "messages",
    "n",
    "tools",
    "tool_choice",
    "response_format",
    "modalities",
    "extra_body",
    "stop",
    "stream",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(SLOTS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*SLOTS, "role", "content", "type", "function", "name", "parameters", "google", "text", "image_url"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=3 * settings().max_examples)
@given(st.dictionaries(st.sampled_from(SLOTS), JSON, max_size=8).map(lambda body: ask("x") | body) | JSON)
def test_no_body_makes_a_500(body: Any) -> None:
    """Any JSON is answered, refused or a miss; the exchange can be serialised and logged."""
    exchange = send(default_service(), json.dumps(body).encode())
    assert exchange.outcome.timeline.status in {200, 400, 418}
    json.dumps(exchange.to_json())


@settings(max_examples=2 * settings().max_examples)
@given(st.binary(max_size=200))
def test_no_bytes_make_a_500(body: bytes) -> None:
    """Nor do bytes that are no JSON at all."""
    exchange = send(default_service(), body)
    assert exchange.outcome.timeline.status in {200, 400}
    json.dumps(exchange.to_json())


def test_media_come_from_the_scenarios_folder(tmp_path: Path) -> None:
    """A file, a `gs://` address through `media` and a data URL are sent as they are."""
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "cat.jpg").write_bytes(b"jpeg")
    scenario = tmp_path / "s.yaml"
    scenario.write_text(
        "media: {'gs://pictures/': bucket}\n"
        "rules:\n"
        "  - {when: {last_user: file}, reply: {image: bucket/cat.jpg}}\n"
        "  - {when: {last_user: gs}, reply: {image: 'gs://pictures/cat.jpg', mime_type: image/webp}}\n"
        "  - {when: {last_user: url}, reply: {audio: 'data:audio/mp3;base64,AAAA'}}\n"
    )
    service = build_service([scenario], Settings(auth="off"))
    got = [choice(send(service, ask(word)))["message"]["audio"] for word in ("file", "gs", "url")]
    assert [base64.b64decode(audio["data"]) for audio in got] == [b"jpeg", b"jpeg", b"\0\0\0"]
    assert [audio["extra_content"]["google"]["mime_type"] for audio in got] == ["image/jpeg", "image/webp", "audio/mp3"]


LIMITED = "rules: [{reply: [{think: 12345678}, {say: One two three. Four five six.}]}]"


@pytest.mark.parametrize(
    ("limits", "content", "finish"),
    [
        ({}, "One two three. Four five six.", "stop"),
        ({"max_tokens": 5}, "One two thre", "length"),
        ({"max_completion_tokens": 2}, None, "length"),
        ({"stop": "three"}, "One two ", "stop"),
        ({"stop": [" Four", "six"], "max_tokens": 100}, "One two three.", "stop"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_limits_of_the_request_end_the_answer(
    limits: dict[str, Any], content: str | None, finish: str, stream: bool
) -> None:
    """Texts are truncated, thoughts count towards the limit, and content beyond it is omitted."""
    body = send(service_of(LIMITED), ask("x", stream=stream, **limits)).outcome.timeline.body.decode()
    if stream:
        chunks = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
        said = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
        assert "".join(one or "" for one in said) == (content or "")
        assert chunks[-1]["choices"][0]["finish_reason"] == finish
    else:
        choice = json.loads(body)["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == (content, finish)


def test_a_tool_call_over_the_limit_is_omitted() -> None:
    """The answer ends with `length` and has no content."""
    service = service_of("rules: [{reply: {call: f, with: {text: a rather long text}}}]")
    chosen = choice(send(service, ask("x", max_tokens=3)))
    assert chosen == {
        "finish_reason": "length",
        "index": 0,
        "logprobs": None,
        "message": {"content": None, "role": "assistant"},
    }
    assert send(service, ask("x", max_tokens=3, stream=True)).outcome.timeline.frames[-1].data == b"data: [DONE]\n\n"


def test_an_unexpected_exception_is_a_418() -> None:
    """The message names exception and source line in one line; the exchange is in the journal."""
    service = service_of("rules: [{reply: x}]")
    service.sessions = None  # type: ignore[assignment]  # provokes an exception
    exchange = send(service, ask("x"))
    assert (exchange.outcome.result, exchange.outcome.timeline.status) == ("error", 418)
    assert exchange.outcome.report.startswith("a mistake of the emulator's own, not of this request: AttributeError: ")
    assert "server/service.py:" in exchange.outcome.report
    assert "\n" not in exchange.outcome.report
