"""Valid requests: nothing that a correct client sends is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from emulator.engine.request.facts import Facts
from emulator.engine.vetting.context import VettingPolicy
from emulator.engine.vetting.vet import VettingResult, vet
from emulator.wire.errors import Refusal
from emulator.wire.json_text import dump
from emulator.wire.requests import read_request
from emulator.wire.urls import Target

Vet = Callable[..., Refusal | None]
Body = dict[str, Any]

FLASH = "google/gemini-2.5-flash"
PRO = "google/gemini-2.5-pro"
NEW = "google/gemini-3.1-pro-preview"
OPEN = "deepseek-ai/deepseek-v3.1-maas"
USER: Body = {"role": "user", "content": "Hello"}
SYSTEM: Body = {"role": "system", "content": "Be kind."}
IMAGE: Body = {"type": "image_url", "image_url": "gs://b/a.png"}
TEXT: Body = {"type": "text", "text": "Look."}
PDF: Body = {"type": "image_url", "image_url": {"url": "data:application/pdf;base64,AAAA"}}
SOUND: Body = {"type": "input_audio", "input_audio": {"format": "audio/mp3", "data": "gs://b/a.mp3"}}
TOOL: Body = {"type": "function", "function": {"name": "f"}}
JSON: Body = {"type": "json_object"}


def ask(*messages: Body, model: str = FLASH, **more: Any) -> Body:
    """A request; without messages it has one of the user."""
    return {"model": model, "messages": list(messages or (USER,)), **more}


def calls(*names: str, arguments: Any = "{}", **more: Any) -> Body:
    """An assistant message that calls these functions; the ids are the names."""
    return {
        "role": "assistant",
        "tool_calls": [
            {"id": name, "type": "function", "function": {"name": name, "arguments": arguments}} for name in names
        ],
        **more,
    }


def result(identity: str | None, content: Any = "{}", role: str = "tool") -> Body:
    """A tool's result."""
    return {"role": role, "tool_call_id": identity, "content": content}


def thinks(model: str, **config: Any) -> Body:
    """A request with a thinking configuration."""
    return ask(model=model, extra_body={"google": {"thinking_config": config}})


def details(model: str, *values: str | None) -> Body:
    """A request with images of these details."""
    images = [{"type": "image_url", "image_url": {"url": "gs://b/a.png", "detail": value}} for value in values]
    return ask({"role": "user", "content": images}, model=model)


def declares(parameters: Any) -> Body:
    """A request with a tool that has these parameters."""
    return ask(tools=[{"type": "function", "function": {"name": "f", "parameters": parameters}}])


LEGACY: Body = {"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": "{}"}}

ACCEPTED: dict[str, Body] = {
    "the placeholder of the documented samples": ask(model="google/${MODEL_ID}"),
    "text and pictures": ask({"role": "user", "content": [TEXT, IMAGE, PDF, SOUND]}),
    "only a picture": ask({"role": "user", "content": [IMAGE]}),
    "a kind of part that is not known": ask({"role": "user", "content": [{"type": "file", "file": {"file_id": "x"}}]}),
    "a part without its type": ask({"role": "user", "content": [{"text": "x"}]}),
    "a part that is empty beside one that is not": ask({"role": "user", "content": [{"type": "text"}, TEXT]}),
    "only white space": ask({"role": "user", "content": " "}),
    "a developer's message": ask({"role": "developer", "content": "Be kind."}, USER),
    "an empty system message": ask({"role": "system", "content": ""}, USER),
    "user messages next to each other": ask(USER, USER, USER),
    "a system message at the end": ask(USER, SYSTEM),
    "a system message behind the assistant's": ask(USER, {"role": "assistant", "content": "x"}, SYSTEM),
    "the assistant first": ask({"role": "assistant", "content": "x"}, USER),
    "the assistant twice": ask(USER, {"role": "assistant", "content": "x"}, {"role": "model", "content": "y"}, USER),
    "an assistant's message without content": ask(USER, {"role": "assistant"}, USER),
    "an assistant's message with null": ask(USER, {"role": "assistant", "content": None}, USER),
    "calls without content": ask(USER, calls("f"), result("f")),
    "calls with null": ask(USER, calls("f", content=None), result("f")),
    "calls with words": ask(USER, calls("f", content="Let me see."), result("f")),
    "calls with an empty list": ask(USER, calls("f", content=[]), result("f")),
    "arguments that are null": ask(USER, calls("f", arguments=None), result("f")),
    "no arguments": ask(USER, {"role": "assistant", "tool_calls": [{"id": "f", "function": {"name": "f"}}]}, result("f")),
    "an empty result": ask(USER, calls("f"), result("f", "")),
    "no result": ask(USER, calls("f"), {"role": "tool", "tool_call_id": "f"}),
    "a result in parts": ask(USER, calls("f"), result("f", [{"type": "text", "text": ""}])),
    "results in another order": ask(USER, calls("f", "g"), result("g"), result("f")),
    "results with a system message between": ask(USER, calls("f", "g"), result("f"), SYSTEM, result("g")),
    "results without ids": ask(USER, calls("f", "g"), result(None), result("")),
    "calls without ids": ask(USER, {"role": "assistant", "tool_calls": [{"id": "", "function": {"name": "f"}}]}, result("x")),
    "two calls of the same id": ask(USER, calls("f", "f"), result("f"), result("f")),
    "a result of a user": ask(USER, calls("f"), result("f", "", "user")),
    "several steps": ask(USER, calls("f"), result("f"), calls("g", "h"), result("h"), result("g")),
    "a system message between words and calls": ask(
        USER, {"role": "assistant", "content": "x"}, SYSTEM, calls("f"), result("f")
    ),
    "words after results, then the user": ask(USER, calls("f"), result("f"), USER),
    "the deprecated function": ask(USER, LEGACY, {"role": "function", "name": "f", "content": "1"}),
    "the deprecated function of Gemini 3": ask(USER, LEGACY, {"role": "function", "name": "f", "content": "1"}, model=NEW),
    "calls of Gemini 2.5 without signatures": ask(USER, calls("f"), result("f")),
    "calls of a picture model without signatures": ask(USER, calls("f"), result("f"), model="google/gemini-3-pro-image"),
    "calls of an earlier turn without signatures": ask(USER, calls("f"), result("f"), USER, model=NEW),
    "calls with the bypass": ask(
        USER,
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "f",
                    "function": {"name": "f", "arguments": "{}"},
                    "extra_content": {"google": {"thought_signature": "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="}},
                }
            ],
        },
        result("f"),
        model=NEW,
    ),
    "most tokens": ask(max_tokens=65536, max_completion_tokens=1),
    "more tokens than an unknown model is known to write": ask(max_tokens=200_000, model="google/gemini-9-ultra"),
    "eight choices": ask(n=8),
    "one choice": ask(n=1, model="google/gemini-3-pro-image"),
    "every effort before 3": ask(reasoning_effort="minimal"),
    "no thinking": ask(reasoning_effort="none"),
    "no thinking, on a model without": ask(reasoning_effort="none", model="google/gemini-2.0-flash-001"),
    "no thinking, as the least level": ask(reasoning_effort="none", model="google/gemini-3.5-flash"),
    "medium on a model without it": ask(reasoning_effort="medium", model="google/gemini-3-pro-preview"),
    "an effort beside a marker": ask(reasoning_effort="low", extra_body={"google": {"thought_tag_marker": "think"}}),
    "an effort beside an empty configuration": {**thinks(FLASH), "reasoning_effort": "low"},
    "a budget": thinks(FLASH, thinking_budget=24576, include_thoughts=True),
    "a budget as a text": thinks(FLASH, thinkingBudget="1024"),
    "a dynamic budget": thinks(PRO, thinking_budget=-1, include_thoughts=True),
    "a budget of 0": thinks(FLASH, thinking_budget=0, include_thoughts=False),
    "a budget on Gemini 3": thinks(NEW, thinking_budget=10_000),
    "a level": thinks(NEW, thinkingLevel="low", includeThoughts=True),
    "a level as the native API names it": thinks(NEW, thinking_level="THINKING_LEVEL_HIGH"),
    "no level in particular": thinks(FLASH, thinking_level="THINKING_LEVEL_UNSPECIFIED"),
    "a level beside a budget that is null": thinks(NEW, thinking_level="LOW", thinking_budget=None),
    "thoughts of an unknown model": thinks("google/gemini-7-nano", include_thoughts=True, thinking_level="MINIMAL"),
    "fragments in a stream": ask(extra_body={"google": {"stream_function_call_arguments": True}}, stream=True),
    "no fragments": ask(extra_body={"google": {"stream_function_call_arguments": False}}),
    "tools and JSON on Gemini 3": ask(tools=[TOOL], response_format=JSON, model=NEW),
    "tools that must not be called, and JSON": ask(tools=[TOOL], tool_choice="none", response_format=JSON),
    "tools and text": ask(tools=[TOOL], response_format={"type": "text"}),
    "no tools, and JSON": ask(tools=[], response_format=JSON),
    "search and JSON on Gemini 3": ask(web_search_options={}, response_format=JSON, model=NEW),
    "search": ask(web_search_options={}, extra_body={"google": {"tools": [{"google_search": {}}]}}),
    "a tool without parameters": declares(None),
    "schemas that are true": declares({"properties": {"a": True}, "additionalProperties": False, "items": True}),
    "schemas of every kind": declares(
        {
            "type": "OBJECT",
            "properties": {
                "properties": {"type": ["string", "null"], "enum": ["items"]},
                "items": {"type": "array", "items": {"$ref": "#/$defs/x"}, "default": ["properties"]},
                "pair": {"type": "array", "items": [{"type": "string"}], "prefixItems": [{}]},
                "either": {"anyOf": [{"type": "null"}, {"not": {}}]},
            },
            "required": ["items"],
            "$defs": {"x": {"type": "string", "example": {"properties": 1}}},
            "additionalProperties": {"type": "string"},
        }
    ),
    "one detail": details(FLASH, "low", None, "auto", "low"),
    "several details on Gemini 3": details(NEW, "low", "high"),
    "a picture that is asked for": ask(modalities=["TEXT", "IMAGE"], model="google/gemini-2.5-flash-image"),
    "a picture of an unknown model": ask(modalities=["image"], model="google/gemini-9-ultra"),
    "sound": ask(modalities=["audio"]),
    "a document for a picture model": ask({"role": "user", "content": [PDF]}, model="google/gemini-3-pro-image"),
    "a picture for an unknown model": ask({"role": "user", "content": [IMAGE]}, model="meta/llama-9"),
    "prefill of an open model": ask(USER, {"role": "assistant", "content": "Once"}, model=OPEN),
    "anything an open model is asked": ask(
        USER,
        calls("f", content="", arguments="x"),
        {"role": "user", "content": ""},
        model=OPEN,
        reasoning_effort="huge",
        tools=[{"type": "function", "function": {"name": "f", "parameters": "none"}}],
        response_format=JSON,
        max_tokens=1_000_000,
        chat_template_kwargs={"thinking": True},
    ),
    "parameters that are not known": ask(user="me", logit_bias={}, parallel_tool_calls=False, store=True),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(vetted: Vet, name: str) -> None:
    """The request is not refused."""
    assert vetted(ACCEPTED[name]) is None


TREE: Body = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["name", "children"],
        }
    },
}
LINKED: Body = {
    "type": "object",
    "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "kind": {"const": "node"}},
    "required": ["next", "kind"],
}


def form(schema: Body) -> Body:
    """A response format of a schema."""
    return {"type": "json_schema", "json_schema": {"name": "made", "schema": schema}}


def shows(address: str) -> Body:
    """A message with text and one file."""
    return {"role": "user", "content": [TEXT, {"type": "image_url", "image_url": {"url": address}}]}


CITY: Body = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NEWEST = "google/gemini-4-hydrogen"
OFFICE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
# Neighbours of what is refused or warned of.
UNREMARKABLE: dict[str, Body] = {
    "defaults of what a model refuses": ask(model=NEWEST, n=1, presence_penalty=0, frequency_penalty=0.0, stop=["END"]),
    "penalties of a model that has them": ask(model="google/gemini-3.5-flash", presence_penalty=-2, frequency_penalty=1.9),
    "the bounds of sampling": ask(temperature=2, top_p=1, stop=["a", "b", "c", "d", "e"]),
    "temperature 0": ask(temperature=0.0, top_p=0),
    "no stop sequence": ask(model="meta/llama3-405b-instruct-maas", stop=[], temperature=0.2),
    "a stop sequence of another Llama": ask(model="meta/llama-3.1-70b-instruct-maas", stop=[";"]),
    "system messages only, to an open model": ask(SYSTEM, model=OPEN),
    "a schema of a tree": ask(response_format=form(TREE)),
    "a schema of a list that ends": ask(response_format=form(LINKED)),
    "a schema that refers outside": ask(response_format=form({"$ref": "https://json-schema.org/draft/2020-12/schema"})),
    "parameters with all that has a type": declares(CITY | {"additionalProperties": False, "title": "City"}),
    "parameters of an empty object": declares({"type": "object", "properties": {}}),
    "parameters in Google's spelling": declares({"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}),
    "anyOf alone": declares({"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}),
    "an optional list": declares(
        {
            "type": "object",
            "properties": {"a": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}},
        }
    ),
    "names of functions": ask(
        tools=[{"type": "function", "function": {"name": name}} for name in ("_a", "a.b-c_9", "f" * 64)]
    ),
    "the chosen function": ask(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "f"}}),
    "a chosen function that an open model does not know": ask(
        model=OPEN, tools=[TOOL], tool_choice={"type": "function", "function": {"name": "g"}}
    ),
    "a picture model without tools": ask(model="google/gemini-2.5-flash-image", tools=[]),
    "a cache of the same location": ask(extra_body={"google": {"cached_content": "projects/1/locations/global/cachedContents/2"}}),
    "a cache with another name": ask(extra_body={"google": {"cached_content": "mine"}}),
    "files": ask(
        *(
            shows(address)
            for address in (
                "data:image/png;base64,AAAA",
                "data:application/pdf;base64,AAAA",
                "data:text/csv;base64,AAAA",
                "data:audio/mpeg;base64,AAAA",
                "data:video/mp4;base64,AAAA",
                "https://example.com/table.xlsx",
                "gs://bucket/notes.json",
            )
        )
    ),
    "a file of Office for a model that reads it": ask(shows(f"data:{OFFICE};base64,AAAA"), model=NEWEST),
    "a model of a card without chat completions": ask(model="google/gemini-2.5-flash-image"),
    "xhigh": ask(model=NEWEST, reasoning_effort="xhigh"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREMARKABLE)
def test_correct_requests_are_answered_without_a_word(name: str) -> None:
    """Neither a refusal nor a warning, also under `strict`."""
    facts = Facts(Target("v1", "p", "global", "openapi"), [], read_request(dump(UNREMARKABLE[name])))
    for vetting in ("enforce", "strict"):
        assert vet(facts, VettingPolicy(), vetting) == VettingResult()


@pytest.mark.parametrize(
    "model",
    [
        "google/gemini-2.0-flash-001",
        FLASH,
        PRO,
        "google/gemini-3-pro-preview",
        "google/gemini-3-flash-preview",
        NEW,
        "google/gemini-3.1-flash-lite",
        "google/gemini-3.5-flash",
        "google/gemini-flash-latest",
        "meta/llama-4-scout-17b-16e-instruct-maas",
    ],
)
def test_older_models_go_on_from_the_assistant(vetted: Vet, model: str) -> None:
    """A last message of the assistant is theirs to continue; a call without a result is not."""
    assert vetted(ask(USER, {"role": "assistant", "content": "{"}, model=model)) is None


def test_own_endpoints_take_what_their_models_take(vetted: Vet) -> None:
    """Models on own endpoints are not checked, whatever they are called; the request need not name one."""
    message = {"role": "assistant", "content": ""}
    assert vetted({"messages": [message, {"role": "user", "content": [IMAGE]}, message]}, "123") is None
    assert vetted(ask(message, model="gemma-2-9b-it"), "123") is None
    assert vetted(ask(message, model=FLASH, reasoning_effort="huge", max_tokens=10**9), "123") is None
