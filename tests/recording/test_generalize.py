"""A scenario made from a recording: how it reads, and that it answers the recorded requests the same.

`everyday.yaml` is what was recorded from, `everyday_made.yaml` the scenario made of it, with the notes as comments; UPDATE_EXPECTED=1
rewrites it.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai import OpenAI

from emulator import Emulator
from emulator.api.emulator import build_service
from emulator.recording.generalize import check_answers, generalize
from emulator.recording.recording import Frame, Recording, read_exchange, write_exchange
from emulator.scenario.loading import read_text
from emulator.server.settings import Settings
from emulator.wire.urls import Target

RecordRequests = Callable[..., Path]
Body = dict[str, Any]
FOLDER = Path(__file__).parent
FLASH, NEWER, LLAMA = "google/gemini-2.5-flash", "google/gemini-3.5-flash", "meta/llama-3.3-70b-instruct-maas"
TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
    for name in ("get_weather", "get_time")
]


def ask(text: Any, model: str = FLASH, **fields: Any) -> Body:
    """A chat request."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


class Loop:
    """The requests of an agent loop, each made of the answer to the one before."""

    def __init__(self, question: str) -> None:
        self._messages: list[Body] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]

    def first(self) -> Body:
        """The first request."""
        return self._request()

    def go_on(self, *results: str, user: str | None = None) -> Callable[[list[Body]], Body]:
        """The request that follows: with results of the calls, or with what the user says."""

        def make(answers: list[Body]) -> Body:
            message = answers[-1]["choices"][0]["message"]
            self._messages.append(message)
            for call, result in zip(message.get("tool_calls") or (), results, strict=True):
                self._messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
            if user is not None:
                self._messages.append({"role": "user", "content": user})
            return self._request()

        return make

    def _request(self) -> Body:
        return {"model": NEWER, "messages": [*self._messages], "tools": TOOLS}


THOUGHTS = {"google": {"thinking_config": {"include_thoughts": True}}}


def everyday() -> list[Any]:
    """Requests of many kinds, the last four those of an agent."""
    loop = Loop("How is the weather in Oslo?")
    return [
        ask("hello"),
        ask("hello", stream=True),
        ask("hello", LLAMA),
        ask("Tell me about cats.", stream=True),
        ask("flaky"),
        ask("flaky"),
        ask("Give me json", response_format={"type": "json_object"}),
        ask("think", stream=True, extra_body=THOUGHTS),
        ask("broken", stream=True),
        ask("cut me", stream=True),
        ask("go away", stream=True),
        ask("paint"),
        ask("refuse this", n=99),
        loop.first(),
        loop.go_on('{"degrees": 3}', "12:00"),
        loop.go_on(user="Thanks, and tomorrow?"),
        loop.go_on("unknown"),
    ]


def test_how_it_reads(record_answers: RecordRequests) -> None:
    """The scenario reads as one that a person has written, and answers every request the same, chunk by chunk."""
    recording = Recording.read(record_answers((FOLDER / "everyday.yaml").read_text("utf-8"), everyday()))
    made, checked = generalize(recording)
    assert (checked.same, checked.differences) == (17, ())
    notes = "".join(f"# {note}\n" for note in made.notes)
    path = FOLDER / "everyday_made.yaml"
    if os.environ.get("UPDATE_EXPECTED"):
        path.write_text(made.text + notes, "utf-8")
    assert made.text + notes == path.read_text("utf-8")
    assert list(made.media) == ["everyday/exchange-12-1.png"]


def test_it_has_no_problems(record_answers: RecordRequests, tmp_path: Path) -> None:
    """`check` finds nothing, warnings included."""
    made, _ = generalize(Recording.read(record_answers((FOLDER / "everyday.yaml").read_text("utf-8"), everyday())))
    for name, data in made.media.items():
        path = tmp_path / "made" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert read_text(made.text, "made.yaml", tmp_path / "made").warnings == ()


def test_a_client_takes_it_for_the_recorded_service(record_answers: RecordRequests) -> None:
    """A program with tools and signatures runs against the scenario, and says what it said."""
    requests = [one for one in everyday() if not isinstance(one, dict) or one["model"] == NEWER]
    made, _ = generalize(Recording.read(record_answers((FOLDER / "everyday.yaml").read_text("utf-8"), requests)))

    def talk(client: OpenAI) -> list[Any]:
        messages: list[Any] = [{"role": "system", "content": "Be brief."}]
        said: list[Any] = []
        results = {"get_weather": '{"degrees": 3}', "get_time": "12:00"}
        for question in ("How is the weather in Oslo?", "Thanks, and tomorrow?"):
            messages.append({"role": "user", "content": question})
            while True:
                answer = client.chat.completions.create(model=NEWER, messages=messages, tools=TOOLS)  # type: ignore[arg-type]  # as JSON
                message = answer.choices[0].message
                messages.append(message.model_dump(exclude_none=True))
                said.append(message.content)
                if not message.tool_calls:
                    break
                for call in message.tool_calls:
                    result = "unknown" if len(said) > 2 else results[call.function.name]  # type: ignore[union-attr]  # functions only
                    messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
        return said

    outputs = []
    for scenario in ((FOLDER / "everyday.yaml").read_text("utf-8"), made.text):
        with Emulator(scenario, settings=Settings(pace="instant")) as vertex:
            outputs.append(talk(vertex.openai()))
            assert vertex.verify().problems == ()
    assert outputs[0] == outputs[1] == [None, "Three degrees at noon.", None, "Nobody knows."]


def test_the_pace_is_found_again(record_answers: RecordRequests) -> None:
    """The fitted pace is the one that was recorded from."""
    text = "defaults: {pace: {first_token_ms: 300, tokens_per_second: 40}}\nrules:\n- reply: {say: '{{ last_user }}', chunks: words}"
    questions = [" ".join(["word"] * count) for count in (12, 25, 40, 60)]
    folder = record_answers(text, [ask(question, stream=True) for question in questions])
    made, _ = generalize(Recording.read(folder))
    assert "pace: {first_token_ms: 300, tokens_per_second: 40.0}" in made.text


def test_models_have_their_own_pace(record_answers: RecordRequests) -> None:
    """A model that is much slower than most has a pace beside its rules."""
    text = """
rules:
- {when: {model: meta*}, pace: {first_token_ms: 2000}, reply: Slow.}
- {pace: {first_token_ms: 200}, reply: Quick.}
"""
    folder = record_answers(text, [ask("a"), ask("b"), ask("c", LLAMA)])
    made, _ = generalize(Recording.read(folder))
    assert "defaults:\n  pace: {first_token_ms: 200}" in made.text
    assert made.text.endswith("pace: {first_token_ms: 2000}\n")


def test_errors_have_their_names(record_answers: RecordRequests) -> None:
    """A failure is written by its number, by its name in the catalogue, or with its own texts."""
    text = """
rules:
- {when: {last_user: one}, reply: {fail: 503}}
- {when: {last_user: two}, reply: {fail: cancelled}}
- {when: {last_user: three}, reply: {fail: 429, message: Not today.}}
- {when: {last_user: four}, reply: {fail: 500, status: 502, body: <html>Bad</html>}}
"""
    folder = record_answers(text, [ask(name) for name in ("one", "two", "three", "four")])
    made, checked = generalize(Recording.read(folder))
    assert checked.differences == ()
    assert [rule["reply"] for rule in yaml.safe_load(made.text)["rules"]] == [
        {"fail": 503},
        {"fail": 499},
        {"fail": 429, "message": "Not today."},
        {"fail": 500, "status": 502, "body": "<html>Bad</html>"},
    ]


def test_an_error_inside_a_conversation_comes_first(record_answers: RecordRequests) -> None:
    """What was answered once before at the same point, such as a 429, stands in a conversation of its own."""
    text = """
rules:
- when: {after_tool: true}
  sequence: [{fail: 429}, Done.]
- reply: {call: get_time, with: {city: Oslo}}
"""
    loop = Loop("What time is it?")
    go_on = loop.go_on("12:00")
    last: list[Body] = []

    def once(answers: list[Body]) -> Body:
        last.append(go_on(answers))
        return last[0]

    folder = record_answers(text, [loop.first(), once, lambda _: last[0]])
    made, checked = generalize(Recording.read(folder))
    assert (checked.same, checked.differences) == (3, ())
    assert made.text.count("conversation:") == 2
    assert "times: 2" in made.text


def test_parallel_calls_with_streamed_arguments(record_answers: RecordRequests) -> None:
    """Fragments belong to the call of their id, since the one that announces a call has the index of another."""
    text = "rules: [{reply: [{call: get_weather, with: {city: Oslo}}, {call: get_wind, with: {city: Bergen}}]}]"
    tools = [{"type": "function", "function": {"name": name}} for name in ("get_weather", "get_wind")]
    google = {"google": {"stream_function_call_arguments": True}}
    folder = record_answers(text, [ask("a", stream=True, tools=tools, extra_body=google)])
    made, checked = generalize(Recording.read(folder))
    (rule,) = yaml.safe_load(made.text)["rules"]
    assert rule["reply"] == [
        {"call": "get_weather", "with": {"city": "Oslo"}},
        {"call": "get_wind", "with": {"city": "Bergen"}},
    ]
    assert (checked.same, checked.differences) == (1, ())


def test_a_stream_that_names_its_charset(record_answers: RecordRequests) -> None:
    """It is read as a stream, too; gateways add the charset."""
    folder = record_answers("rules: [{reply: Hello.}]", [ask("a", stream=True)])
    exchange = read_exchange(folder / "0001.yaml")
    headers = tuple(
        (name, f"{value}; charset=utf-8" if name == "content-type" else value)
        for name, value in exchange.answer.headers
    )
    write_exchange(folder, replace(exchange, answer=replace(exchange.answer, headers=headers)))
    made, checked = generalize(Recording.read(folder))
    assert "reply: Hello." in made.text
    assert (checked.same, checked.differences) == (1, ())


def test_what_is_answered_otherwise_is_told(record_answers: RecordRequests) -> None:
    """Answers that no step writes are named with what differs, and so is what is no chat."""
    folder = record_answers("rules: [{reply: Hello.}]", [ask("a"), ask("b")])
    exchange = read_exchange(folder / "0001.yaml")
    body = json.loads(exchange.answer.body)
    body["choices"][0]["message"]["annotations"] = []
    odd = replace(exchange.answer, frames=(Frame(0.0, json.dumps(body).encode()),))
    write_exchange(folder, replace(exchange, answer=odd))
    path = exchange.request.path.replace("chat/completions", "embeddings")
    write_exchange(folder, replace(exchange, number=3, request=replace(exchange.request, path=path)))
    made, checked = generalize(Recording.read(folder))
    assert checked.same == 1
    assert checked.differences == ("exchange 1: [0].choices[0].message.annotations was [], and is nothing",)
    assert "exchange 3 is left out: rules answer chat completions only" in made.notes


def test_requests_that_the_emulator_would_refuse(record_answers: RecordRequests) -> None:
    """What the service has answered is answered, with a warning instead of a refusal."""
    folder = record_answers("rules: [{reply: Hello.}]", [ask("a", n=99)], vetting="off")
    made, checked = generalize(Recording.read(folder))
    assert "vetting: warn" in made.text
    assert (checked.same, checked.differences) == (1, ())


@pytest.mark.parametrize(
    "texts", [["auto"], ["{{ last_user }}"], ["a: b", "- c", "# d"], ["", " x "], ["\u2028 \x07 é"], ["{%"]]
)
def test_odd_texts(record_answers: RecordRequests, texts: list[str]) -> None:
    """Texts that mean something in YAML or in templates stand for themselves."""
    folder = record_answers("rules: [{reply: 'x'}]", [ask(text or "empty") for text in texts])
    for number, text in enumerate(texts, start=1):
        exchange = read_exchange(folder / f"{number:04}.yaml")
        body = json.loads(exchange.answer.body)
        body["choices"][0]["message"]["content"] = text
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        write_exchange(folder, replace(exchange, answer=replace(exchange.answer, frames=(Frame(0.0, data),))))
    made, checked = generalize(Recording.read(folder))
    # An empty text is no text on the wire of the emulator.
    assert [one for one in checked.differences if "message.content was" not in one or "exchange 1" not in one] == []
    service = build_service([made.text], Settings(auth="off"))
    for text in texts:
        body = json.dumps(ask(text or "empty")).encode()
        found = service.handle(Target("v1", "p", "global", "openapi"), b"", [], body)
        assert found.text == text


def test_a_scenario_of_hand_is_compared_too(record_answers: RecordRequests) -> None:
    """The comparison finds what a changed scenario answers otherwise."""
    recording = Recording.read(record_answers("rules: [{reply: Hello.}]", [ask("a"), ask("b")]))
    made, _ = generalize(recording)
    changed = replace(made, text=made.text.replace("reply: Hello.", "reply: Goodbye.", 1))
    checked = check_answers(changed, recording)
    assert checked.same == 1
    assert checked.differences == ('exchange 1: [0].choices[0].message.content was "Hello.", and is "Goodbye."',)
