"""Vetting modes of server and scenario, and what journal and log show of refusals and warnings."""

import json
from typing import Any

import pytest

from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import SystemClock
from emulator.server.log import log_line
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.wire.urls import Target

NEW = "google/gemini-3.1-pro-preview"
WRONG: dict[str, Any] = {
    "model": "google/gemini-3.6-flash",
    "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
}
EXPLANATION = (
    "messages[1], the last one, is the assistant's, which google/gemini-3.6-flash does not go on from; "
    "end with a user message or a tool's result"
)
WARNING = f"Vertex refuses this (ends_with_model_turn): {EXPLANATION}"


def service_of(text: str = "rules: [{reply: fine}]", **given: Any) -> Service:
    """A service of a scenario's text."""
    return Service(compile_rules(read_text(text).scenarios), Settings(auth="off", **given), clock=SystemClock())


def send(service: Service, body: Any, project: str = "p") -> Exchange:
    """Send one request."""
    return service.handle(Target("v1", project, "global", "openapi"), b"", [], json.dumps(body).encode())


def signed(signature: str | None, model: str = NEW) -> dict[str, Any]:
    """A request with one step, whose call has this signature."""
    call: dict[str, Any] = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    if signature is not None:
        call["extra_content"] = {"google": {"thought_signature": signature}}
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ]
    return {"model": model, "messages": messages}


def test_a_refusal_names_rule_and_place() -> None:
    """Journal and log name both."""
    exchange = send(service_of(), WRONG)
    assert exchange.outcome.timeline.status == 400
    refused = {"name": "ends_with_model_turn", "place": "messages[1]", "explanation": EXPLANATION, "scripted": False}
    shown = exchange.to_json()
    assert (shown["outcome"], shown["refusal"], shown["warnings"]) == ("refusal", refused, [])
    assert f"Vertex refuses this (ends_with_model_turn): {EXPLANATION}" in log_line(exchange)


def test_warn_answers_with_a_warning() -> None:
    """The request is answered; journal and log have the refusal as a warning."""
    exchange = send(service_of(vetting="warn"), WRONG)
    assert exchange.outcome.timeline.status == 200
    assert exchange.to_json()["warnings"] == [WARNING]
    assert f"warning: {WARNING}" in log_line(exchange)


def test_off_checks_nothing() -> None:
    """Neither a refusal nor a warning, whatever is wrong; but a body that cannot be read is still refused."""
    service = service_of(vetting="off")
    for body in (WRONG, {}, {"model": "x", "messages": [{}], "n": 99, "max_tokens": -1}):
        exchange = send(service, body)
        assert (exchange.outcome.timeline.status, exchange.warnings) == (200, ())
    unreadable: Any
    for unreadable in ([], {"n": "x"}):
        assert send(service, unreadable).outcome.timeline.status == 400


@pytest.mark.parametrize(("written", "status", "warnings"), [("enforce", 400, 0), ("warn", 200, 1), ("off", 200, 0)])
def test_the_scenario_wins(written: str, status: int, warnings: int) -> None:
    """A scenario's setting wins over the server's; that of a pushed scenario holds for its session only."""
    text = f"vetting: {written}\nrules: [{{reply: fine}}]"
    other = {"enforce": "off", "warn": "enforce", "off": "enforce"}[written]
    exchange = send(service_of(text, vetting=other), WRONG)
    assert (exchange.outcome.timeline.status, len(exchange.warnings)) == (status, warnings)
    service = service_of(vetting=other)
    service.push("mine", text)
    exchange = send(service, WRONG, "mine")
    assert (exchange.outcome.timeline.status, len(exchange.warnings)) == (status, warnings)
    assert send(service, WRONG, "theirs").outcome.timeline.status == (200 if other == "off" else 400)


def test_scripted_signatures_pass() -> None:
    """A scenario's own signatures and the documented bypass are valid, invented ones are not."""
    service = service_of("rules: [{when: {last_user: never}, reply: [{call: f, signature: mine}]}, {reply: fine}]")
    for signature in ("mine", "skip_thought_signature_validator"):
        exchange = send(service, signed(signature))
        assert (exchange.outcome.timeline.status, exchange.warnings) == (200, ())
    assert send(service, signed("made up")).outcome.timeline.status == 400


def test_calls_that_a_scenario_leaves_unsigned_are_refused() -> None:
    """`signature: none` sends none, and its absence is refused like any other."""
    service = service_of(
        "rules: [{when: {after_tool: false}, reply: [{call: f, with: {}, signature: none}]}, {reply: fine}]"
    )
    user = {"role": "user", "content": "x"}
    answer = json.loads(send(service, {"model": NEW, "messages": [user]}).outcome.timeline.body)
    message = answer["choices"][0]["message"]
    (call,) = message["tool_calls"]
    assert "extra_content" not in call
    body = {"model": NEW, "messages": [user, message, {"role": "tool", "tool_call_id": call["id"], "content": "1"}]}
    refusal = send(service, body).outcome.refusal
    assert refusal is not None
    assert (refusal.rule, refusal.place) == ("missing_thought_signature_vertex", "messages[1].tool_calls[0]")


def test_the_placeholder_passes_with_a_warning() -> None:
    """The documented sample works unchanged, with a warning that the service refuses it."""
    exchange = send(service_of(), signed("<THOUGHT_SIGNATURE>"))
    assert exchange.outcome.timeline.status == 200
    assert exchange.warnings == (
        (
            "messages[1].tool_calls[0] has the documentation's placeholder <THOUGHT_SIGNATURE> for a signature, "
            "which Vertex refuses"
        ),
    )
    assert send(service_of(), signed("<THOUGHT_SIGNATURE>", "google/gemini-2.5-flash")).warnings == ()


def test_empty_content_beside_calls_is_warned_of() -> None:
    """It is accepted with a warning: widely used clients send it, and only one report has it refused."""
    request = signed("<THOUGHT_SIGNATURE>", "google/gemini-2.5-flash")
    request["messages"][1]["content"] = ""
    (warning,) = send(service_of(), request).warnings
    assert warning.startswith('messages[1] has tool calls and the content ""')


def test_quirks_soften_signatures() -> None:
    """`signatures_warn` and `signatures_off`, set on the server or in a scenario's defaults."""
    text = "defaults: {quirks: [signatures_warn]}\nrules: [{reply: fine}]"
    for service in (service_of(text), service_of(quirks=frozenset({"signatures_warn"}))):
        exchange = send(service, signed(None))
        assert exchange.outcome.timeline.status == 200
        assert exchange.warnings[0].startswith("Vertex refuses this (missing_thought_signature_vertex): ")
    exchange = send(service_of(quirks=frozenset({"signatures_off"})), signed("wrong"))
    assert (exchange.outcome.timeline.status, exchange.warnings) == (200, ())


AUDIO = {"type": "input_audio", "input_audio": {"format": "audio/ogg", "data": "T2dnUw=="}}
EARLY_CASES: list[tuple[str, dict[str, Any], int, int]] = [
    ("bare_models", {"model": "gemini-2.5-flash"}, 400, 200),
    ("unknown_fields_refused", {"logit_bias": {}}, 200, 400),
    ("gemini_api", {"logit_bias": {}}, 200, 400),
    ("signatures_off", signed("wrong"), 400, 200),
    ("signatures_warn", signed("wrong"), 400, 200),
    ("audio_formats_refused", {"messages": [{"role": "user", "content": [AUDIO]}]}, 200, 400),
]


@pytest.mark.parametrize(("quirk", "more", "usual", "changed"), EARLY_CASES, ids=[case[0] for case in EARLY_CASES])
def test_quirks_that_change_what_is_refused_work_at_every_level(
    quirk: Any, more: dict[str, Any], usual: int, changed: int
) -> None:
    """On the server, in a scenario's defaults, and on the rule that would answer, but not on another one."""
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}], **more}
    assert send(service_of(), body).status == usual
    never = "{when: {last_user: never}, reply: no}"
    texts = {
        f"defaults: {{quirks: [{quirk}]}}\nrules: [{{reply: fine}}]": changed,
        f"rules: [{never}, {{reply: fine, quirks: [{quirk}]}}]": changed,
        f"rules: [{{when: {{last_user: never}}, reply: no, quirks: [{quirk}]}}, {{reply: fine}}]": usual,
        f"rules: [{{times: 1, reply: fine}}, {{reply: fine, quirks: [{quirk}]}}]": usual,
    }
    for text, status in texts.items():
        assert send(service_of(text), body).status == status, text
    assert send(service_of(quirks=frozenset({quirk})), body).status == changed


def test_quirks_of_rules_are_found_for_the_session_and_for_rules_made_in_python() -> None:
    """The session's state decides which rule would answer: used-up rules are skipped."""
    service = service_of("rules: [{times: 1, reply: fine}, {reply: then, quirks: [bare_models]}]")
    usual, bare = (
        {"messages": WRONG["messages"][:1]} | {"model": NEW},
        {"messages": WRONG["messages"][:1], "model": "bare"},
    )
    assert [send(service, body).status for body in (bare, usual, bare)] == [400, 200, 200]
    assert send(service, bare, "other").status == 400
    service = service_of()
    service.sessions.find("p").added = (
        compile_rules(read_text("rules: [{reply: x, quirks: [bare_models]}]").scenarios),
    )
    assert [send(service, bare).status, send(service, bare, "other").status] == [200, 400]


def test_refusals_of_vertex_are_written_as_quirks_say() -> None:
    """A bare object and single full stops, for every kind of refusal; a quirk on a rule holds for requests it would have answered."""
    for service in (
        service_of(quirks=frozenset({"object_errors", "single_full_stops"})),
        service_of("defaults: {quirks: [object_errors, single_full_stops]}\nrules: [{reply: fine}]"),
        service_of("rules: [{reply: fine, quirks: [object_errors, single_full_stops]}]"),
    ):
        body = send(service, signed("wrong")).outcome.timeline.body
        assert json.loads(body)["error"]["message"].count("..") == 0
        assert body.startswith(b"{\n")
    usual = json.loads(send(service_of(), signed("wrong")).outcome.timeline.body)
    assert ".. Learn more" in usual[0]["error"]["message"]
    strict = Service(
        compile_rules(read_text("rules: [{reply: fine}]").scenarios),
        Settings(quirks=frozenset({"object_errors"})),
        clock=SystemClock(),
    )
    for exchange in (send(strict, WRONG), send(service_of(quirks=frozenset({"object_errors"})), {"n": "x"})):
        assert "error" in json.loads(exchange.outcome.timeline.body)
