"""Every refusal that a request can cause: a request that causes it, the body it gets, and the place it names."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from emulator.catalogue.errors import all_errors, entry
from emulator.engine.request.facts import Facts
from emulator.engine.vetting.context import VettingPolicy
from emulator.engine.vetting.vet import vet
from emulator.wire.errors import Refusal
from emulator.wire.json_text import dump
from emulator.wire.requests import read_request
from emulator.wire.urls import Target

Vet = Callable[..., Refusal | None]
Body = dict[str, Any]

OLD = "google/gemini-2.0-flash-001"
FLASH = "google/gemini-2.5-flash"
PRO = "google/gemini-2.5-pro"
NEW = "google/gemini-3.1-pro-preview"
PICTURE = "google/gemini-3-pro-image"
NEWEST = "google/gemini-4-hydrogen"
USER: Body = {"role": "user", "content": "Hello"}
IMAGE: Body = {"type": "image_url", "image_url": "gs://b/a.png"}
TOOL: Body = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
JSON: Body = {"type": "json_object"}
LEARN = "Learn more: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/gemini"
NUMBER = (
    "Please ensure that the number of function response parts is equal to the number of function call parts of the "
    "function call turn."
)
RESPONSE = "Please ensure that function response turn comes immediately after a function call turn."
TURN = "Please ensure that function call turn comes immediately after a user turn or after a function response turn."
GENERIC = "Request contains an invalid argument."
EMPTY = f"Unable to submit request because it has an empty text parameter. Add a value to the parameter and try again. {LEARN}"
MISSING = (
    "Unable to submit request because function call `{}` in the {}. content block is missing a `thought_signature`. "
    "Learn more: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures"
)
INVALID = f"Unable to submit request because Thought signature is not valid.. {LEARN}"


TEXT: Body = {"type": "text", "text": "Read this."}
NODE: Body = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}
ENDLESS: list[Body] = [
    {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
    {"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]},
    {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    {"anyOf": [{"$ref": "#/$defs/node"}, {"$ref": "#/$defs/node"}], "$defs": {"node": NODE}},
    {"$ref": "#/$defs/l", "$defs": {"l": {"type": "array", "items": {"$ref": "#/$defs/l"}, "minItems": 1}}},
]


def ask(*messages: Body, model: str = FLASH, **more: Any) -> Body:
    """A request; without messages it has one of the user."""
    return {"model": model, "messages": list(messages or (USER,)), **more}


def google(**options: Any) -> Body:
    """Google's own options."""
    return {"google": options}


def calls(*names: str, arguments: Any = "{}", signature: str | None = None, **more: Any) -> Body:
    """An assistant message that calls these functions; the ids are the names, the first call is signed."""
    made: list[Body] = [
        {"id": name, "type": "function", "function": {"name": name, "arguments": arguments}} for name in names
    ]
    if signature is not None:
        made[0]["extra_content"] = {"google": {"thought_signature": signature}}
    return {"role": "assistant", "tool_calls": made, **more}


def result(identity: str) -> Body:
    """A tool's result."""
    return {"role": "tool", "tool_call_id": identity, "content": "{}"}


def said(content: Any, **more: Any) -> Body:
    """An assistant message with a text."""
    return {"role": "assistant", "content": content, **more}


def tokens_message(value: int, beyond: int) -> str:
    """The message of the refusal of a token limit."""
    return (
        f"Unable to submit request because it has a maxOutputTokens value of {value} but the supported range is from 1 "
        f"(inclusive) to {beyond} (exclusive). Update the value and try again."
    )


def declares(parameters: Any) -> Body:
    """A request whose second tool has these parameters."""
    return ask(tools=[TOOL, {"type": "function", "function": {"name": "g", "parameters": parameters}}])


def schema_message(path: str, value: str) -> str:
    """The message of the refusal of a value that is no schema."""
    return (
        f"Invalid value at 'tools[0].function_declarations[1].parameters.{path}' "
        f'(type.googleapis.com/google.cloud.aiplatform.v1.Schema), "{value}"'
    )


# Each: the catalogue's entry, the request, the place, the message; None where only the status is known.
CASES: list[tuple[str, Body, str, str | None]] = [
    (
        "malformed_publisher_model",
        ask(model="gemini-2.5-flash"),
        "model",
        (
            "Malformed publisher model (`model`: 'gemini-2.5-flash') for the 'openapi' request endpoint ID; "
            "expected '<publisher>/<model>'."
        ),
    ),
    *(
        (
            "malformed_publisher_model",
            ask(model=model),
            "model",
            (
                f"Malformed publisher model (`model`: '{model}') for the 'openapi' request endpoint ID; expected "
                "'<publisher>/<model>'."
            ),
        )
        for model in ("publishers/google/models/gemini-3.5-flash", "google/gemini/extra", "google/gemini/", "a//b")
    ),
    (
        "contents_required",
        {"model": FLASH, "messages": []},
        "messages",
        (
            "Unable to submit request because at least one contents field is required. Learn more: "
            "https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/gemini"
        ),
    ),
    (
        "bad_role",
        ask(USER, {"role": "robot", "content": "x"}),
        "messages[1].role",
        "Please use a valid role: user, model.",
    ),
    ("bad_role", ask({"content": "x"}), "messages[0].role", "Please use a valid role: user, model."),
    ("bad_role", ask({"role": "bot"}, model="meta/llama"), "messages[0].role", "Please use a valid role: user, model."),
    ("empty_text_parameter", ask({"role": "user", "content": ""}), "messages[0].content", EMPTY),
    ("empty_text_parameter", ask(USER, said(""), USER), "messages[1].content", EMPTY),
    (
        "empty_text_parameter",
        ask({"role": "user", "content": [IMAGE, {"type": "text", "text": ""}]}),
        "messages[0].content[1].text",
        EMPTY,
    ),
    ("must_have_text_parameter", ask({"role": "user", "content": []}), "messages[0].content", None),
    ("must_have_text_parameter", ask({"role": "user"}), "messages[0].content", None),
    ("must_have_text_parameter", ask({"role": "user", "content": [{"type": "text"}]}), "messages[0].content", None),
    ("max_output_tokens_range", ask(max_tokens=0), "max_tokens", tokens_message(0, 65537)),
    ("max_output_tokens_range", ask(max_tokens=-1, model=PICTURE), "max_tokens", tokens_message(-1, 32769)),
    (
        "max_output_tokens_range",
        ask(max_completion_tokens=8193, model=OLD),
        "max_completion_tokens",
        tokens_message(8193, 8193),
    ),
    ("generic_invalid_argument", ask(max_tokens=0, model="meta/llama"), "max_tokens", GENERIC),
    ("generic_invalid_argument", ask(model="xai/grok-4.1-fast-reasoning"), "model", GENERIC),
    (
        "candidate_count_one",
        ask(n=2, model=NEWEST),
        "n",
        (
            "Unable to submit request because candidateCount must be 1 but the entered value was 2. Update the candidateCount "
            "value and try again."
        ),
    ),
    *(
        ("penalty_unsupported", ask(model=model, **{name: 0.5}), name, "Penalty is not enabled for this model")
        for model in ("google/gemini-3.6-flash", "google/gemini-3.5-flash-lite", "google/gemini-9-ultra")
        for name in ("frequency_penalty", "presence_penalty")
    ),
    ("generic_invalid_argument", ask(model="google/gemini-nano-banana-2.1", seed=1), "seed", GENERIC),
    *(
        (
            "stop_sequences_unsupported",
            ask(model=f"meta/{name}-instruct-maas", stop=stop),
            "stop",
            (
                "Unable to submit request because the model does not support the stopSequences parameter. Remove it and try again. "
                "Learn more: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/overview"
            ),
        )
        for name, stop in (("llama3-405b", [";"]), ("llama-3.1-405b", ";"))
    ),
    *(
        (
            "function_calling_unsupported",
            ask(model=PICTURE, **declared),
            place,
            f"Unable to submit request because the model does not support function calling. {LEARN}",
        )
        for place, declared in (("tools", {"tools": [TOOL]}), ("functions", {"functions": [TOOL["function"]]}))
    ),
    *(
        (
            "mime_type_unsupported",
            ask(
                {
                    "role": "user",
                    "content": [TEXT, {"type": "image_url", "image_url": {"url": f"data:{kind};base64,AAAA"}}],
                }
            ),
            "messages[0].content[1]",
            (
                f"Unable to submit request because it has a mimeType parameter with value {kind}, which is not supported. Update the "
                f"mimeType and try again. {LEARN}"
            ),
        )
        for kind in (
            "application/json",
            "application/octet-stream",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        )
    ),
    (
        "generic_invalid_argument",
        ask(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "g"}}),
        "tool_choice",
        GENERIC,
    ),
    (
        "generic_invalid_argument",
        ask(functions=[TOOL["function"]], function_call={"name": "g"}),
        "function_call",
        GENERIC,
    ),
    *(
        (
            "generic_invalid_argument",
            ask(response_format={"type": "json_schema", "json_schema": {"name": "node", "schema": schema}}),
            "response_format.json_schema.schema",
            GENERIC,
        )
        for schema in ENDLESS
    ),
    (
        "candidate_count_range",
        ask(n=9),
        "n",
        (
            "Unable to submit request because it has a candidateCount value of 9 but the supported range is from 1 (inclusive) "
            "to 9 (exclusive). Update the value and try again."
        ),
    ),
    (
        "candidate_count_one",
        ask(n=2, model=PICTURE),
        "n",
        (
            "Unable to submit request because candidateCount must be 1 but the entered value was 2. Update the candidateCount "
            "value and try again."
        ),
    ),
    ("function_parts_mismatch", ask(USER, calls("f", "g"), result("g")), "messages[1].tool_calls[0]", NUMBER),
    ("function_parts_mismatch", ask(USER, calls("f", "g")), "messages[1].tool_calls[0]", NUMBER),
    ("function_parts_mismatch", ask(USER, calls("f"), result("f"), result("f")), "messages[3]", NUMBER),
    ("function_parts_mismatch", ask(USER, calls("f"), result("g")), "messages[2].tool_call_id", NUMBER),
    (
        "function_parts_mismatch",
        ask(USER, calls("f", "g"), result("f"), result("f")),
        "messages[3].tool_call_id",
        NUMBER,
    ),
    ("function_parts_mismatch", ask(USER, calls("f"), USER, result("f")), "messages[1].tool_calls[0]", NUMBER),
    (
        "function_parts_mismatch",
        ask(USER, calls("f", "g"), result("f"), calls("h"), result("g"), result("h")),
        "messages[1].tool_calls[1]",
        NUMBER,
    ),
    ("function_response_order", ask(USER, result("f")), "messages[1]", RESPONSE),
    ("function_response_order", ask(result("f"), USER), "messages[0]", RESPONSE),
    ("function_response_order", ask(USER, said("x"), result("f")), "messages[2]", RESPONSE),
    ("function_call_order", ask(USER, said("x"), calls("f"), result("f")), "messages[2].tool_calls", TURN),
    ("function_call_order", ask(calls("f"), result("f")), "messages[0].tool_calls", TURN),
    (
        "expected_json_object",
        ask(USER, calls("f", "g", arguments="[1]"), result("f"), result("g")),
        "messages[1].tool_calls[0].function.arguments",
        "Expected a valid JSON object in the request",
    ),
    (
        "expected_json_object",
        ask(USER, calls("f", arguments='{"a": '), result("f")),
        "messages[1].tool_calls[0].function.arguments",
        "Expected a valid JSON object in the request",
    ),
    (
        "expected_json_object",
        ask(USER, {"role": "assistant", "function_call": {"name": "f", "arguments": "x"}}, {"role": "function"}),
        "messages[1].function_call.arguments",
        "Expected a valid JSON object in the request",
    ),
    (
        "ends_with_model_turn",
        ask(USER, said("x"), model=NEWEST),
        "messages[1]",
        "Requests ending with a model turn are not supported.",
    ),
    (
        "thinking_level_unsupported",
        ask(model=NEW, reasoning_effort="minimal"),
        "reasoning_effort",
        "Thinking level is unsupported: THINKING_LEVEL_MINIMAL",
    ),
    (
        "thinking_level_unsupported",
        ask(model=PICTURE, extra_body=google(thinking_config={"thinking_level": "low"})),
        "extra_body.google.thinking_config.thinking_level",
        "Thinking level is unsupported: THINKING_LEVEL_LOW",
    ),
    (
        "thinking_level_unsupported",
        ask(google={"thinkingConfig": {"thinkingLevel": "HIGH"}}),
        "google.thinkingConfig.thinkingLevel",
        "Thinking level is unsupported: THINKING_LEVEL_HIGH",
    ),
    (
        "thinking_budget_invalid",
        ask(extra_body=google(thinking_config={"thinking_budget": 24577})),
        "extra_body.google.thinking_config.thinking_budget",
        "The thinking budget (24577) is invalid. Please choose a value between 1 and 24576.",
    ),
    (
        "thinking_budget_invalid",
        ask(model=PRO, extra_body=google(thinkingConfig={"thinkingBudget": 127})),
        "extra_body.google.thinkingConfig.thinkingBudget",
        "The thinking budget (127) is invalid. Please choose a value between 128 and 32768.",
    ),
    (
        "thinking_cannot_be_disabled",
        ask(model=PRO, extra_body=google(thinking_config={"thinking_budget": 0})),
        "extra_body.google.thinking_config.thinking_budget",
        (
            "Unable to submit request because Thinking can't be disabled for this model. Remove 'thinking_config.thinking_budget' "
            f"from your request and try again.. {LEARN}"
        ),
    ),
    (
        "thinking_cannot_be_disabled",
        ask(model=PRO, reasoning_effort="none"),
        "reasoning_effort",
        (
            "Unable to submit request because Thinking can't be disabled for this model. Remove 'thinking_config.thinking_budget' "
            f"from your request and try again.. {LEARN}"
        ),
    ),
    (
        "include_thoughts_without_thinking",
        ask(extra_body=google(thinking_config={"include_thoughts": True, "thinking_budget": 0})),
        "extra_body.google.thinking_config.include_thoughts",
        (
            "Unable to submit request because Thinking_config.include_thoughts is only enabled when thinking is enabled.. "
            f"{LEARN}"
        ),
    ),
    (
        "include_thoughts_without_thinking",
        ask(model=OLD, extra_body=google(thinking_config={"includeThoughts": True})),
        "extra_body.google.thinking_config.includeThoughts",
        (
            "Unable to submit request because Thinking_config.include_thoughts is only enabled when thinking is enabled.. "
            f"{LEARN}"
        ),
    ),
    (
        "thinking_level_and_budget",
        ask(model=NEW, extra_body=google(thinking_config={"thinking_level": "LOW", "thinking_budget": 1})),
        "extra_body.google.thinking_config.thinking_level",
        None,
    ),
    (
        "thinking_level_and_budget",
        ask(reasoning_effort="low", extra_body=google(thinking_config={"thinking_budget": 1024})),
        "reasoning_effort",
        None,
    ),
    ("generic_invalid_argument", ask(reasoning_effort="huge"), "reasoning_effort", GENERIC),
    (
        "generic_invalid_argument",
        ask(extra_body=google(thinking_config=[])),
        "extra_body.google.thinking_config",
        GENERIC,
    ),
    (
        "generic_invalid_argument",
        ask(extra_body=google(thinking_config={"thinking_budget": "much"})),
        "extra_body.google.thinking_config.thinking_budget",
        GENERIC,
    ),
    (
        "generic_invalid_argument",
        ask(extra_body=google(thinking_config={"thinking_level": "EXTREME"})),
        "extra_body.google.thinking_config.thinking_level",
        GENERIC,
    ),
    (
        "unary_with_stream_function_call_arguments",
        ask(extra_body=google(stream_function_call_arguments=True)),
        "extra_body.google.stream_function_call_arguments",
        GENERIC,
    ),
    (
        "tools_with_json_mime",
        ask(tools=[TOOL], response_format=JSON),
        "response_format",
        "Function calling with a response mime type: 'application/json' is unsupported",
    ),
    (
        "controlled_generation_with_search",
        ask(web_search_options={}, response_format=JSON),
        "response_format",
        "Unable to submit request because controlled generation is not supported with google_search tool",
    ),
    (
        "controlled_generation_with_search",
        ask(extra_body=google(tools=[{"google_search": {}}]), response_format={"type": "application/json"}),
        "response_format",
        "Unable to submit request because controlled generation is not supported with google_search tool",
    ),
    (
        "bad_schema_type",
        declares({"type": "object", "properties": {"a": {"type": "string"}, "b": "integer"}}),
        "tools[1].function.parameters.properties.b",
        schema_message("properties[1].value", "integer"),
    ),
    (
        "bad_schema_type",
        declares({"properties": {"a": {"items": 7}}}),
        "tools[1].function.parameters.properties.a.items",
        schema_message("properties[0].value.items", "7"),
    ),
    (
        "bad_schema_type",
        declares({"properties": {"a": {"anyOf": [{}, ["null"]]}}}),
        "tools[1].function.parameters.properties.a.anyOf[1]",
        schema_message("properties[0].value.anyOf[1]", '["null"]'),
    ),
    (
        "input_tokens_exceeded",
        ask({"role": "user", "content": "four" * 1_048_577}),
        "messages",
        "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
    ),
    (
        "generic_invalid_argument",
        ask({"role": "user", "content": [IMAGE]}, model="qwen/qwen3-235b-a22b-instruct-2507-maas"),
        "messages[0].content[0]",
        GENERIC,
    ),
    (
        "generic_invalid_argument",
        ask({"role": "user", "content": [{"input_audio": {"format": "mp3", "data": "AAAA"}}]}, model=PICTURE),
        "messages[0].content[0]",
        GENERIC,
    ),
    ("generic_invalid_argument", ask(modalities=["text", "image"]), "modalities[1]", GENERIC),
    (
        "mixed_image_detail",
        ask(
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "gs://b/a.png", "detail": detail}}
                    for detail in ("low", "high")
                ],
            }
        ),
        "messages[0].content[1].image_url.detail",
        None,
    ),
    (
        "missing_thought_signature_vertex",
        ask({"role": "system", "content": "x"}, USER, calls("f", "g"), result("f"), result("g"), model=NEW),
        "messages[2].tool_calls[0]",
        MISSING.format("f", 2),
    ),
    (
        "missing_thought_signature_vertex",
        ask(
            USER,
            calls("f", "g", signature="skip_thought_signature_validator"),
            result("g"),
            result("f"),
            calls("h"),
            result("h"),
            model="google/gemini-4-ultra",
        ),
        "messages[4].tool_calls[0]",
        MISSING.format("h", 4),
    ),
    (
        "invalid_thought_signature",
        ask(USER, calls("f", signature="c2lnbmF0dXJl"), result("f"), model=NEW),
        "messages[1].tool_calls[0].extra_content.google.thought_signature",
        INVALID,
    ),
]


@pytest.mark.parametrize(
    ("name", "body", "place", "message"), CASES, ids=[f"{one[0]}-{at}" for at, one in enumerate(CASES)]
)
def test_refusal(vetted: Vet, name: str, body: Body, place: str, message: str | None) -> None:
    """The refusal has this name, place and message, the service's layout, and an explanation."""
    refusal = vetted(body)
    assert refusal is not None
    assert (refusal.rule, refusal.place) == (name, place)
    assert refusal.explanation
    written = refusal.body().decode()
    assert written.startswith('[{\n  "error": {\n    "code": 400,\n    "message": "')
    (sent,) = json.loads(written)
    assert sent["error"]["status"] == "INVALID_ARGUMENT"
    if message is not None:
        assert sent["error"]["message"] == message
    else:
        assert entry(name).confidence == "low"
    assert sent["error"].keys() == {"code", "message", "status", *(("details",) if name == "bad_schema_type" else ())}


def test_schema_details(vetted: Vet) -> None:
    """The details of a wrong schema name the field as the message does."""
    refusal = vetted(declares({"properties": {"a": {"properties": {"b": "integer"}}}}))
    assert refusal is not None
    field = "tools[0].function_declarations[1].parameters.properties[0].value.properties[0].value"
    assert refusal.details == [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": field, "description": refusal.message}],
        }
    ]
    assert f"'{field}'" in refusal.message


LONG_NAME = "f" * 65
FUNCTION_LEARN = "Learn more: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling"
OPTIONAL: Body = {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None}


def of_parameters(name: str, parameters: Any, place: str, said: str) -> tuple[str, Body, str, str | None]:
    """A case of the second function's parameters."""
    path = ".".join(("tools[1].function.parameters", *([place] if place else ())))
    return name, declares(parameters), path, f"Unable to submit request because `g` functionDeclaration {said}"


NOT_OBJECT = f"parameters schema should be of type OBJECT. {FUNCTION_LEARN}"
# Refused with `--vetting strict` only, because they are known of other routes; else they are warned of.
STRICT_CASES: list[tuple[str, Body, str, str | None]] = [
    *(
        of_parameters("tool_parameters_not_object", parameters, "", NOT_OBJECT)
        for parameters in (
            {},
            {"properties": {"a": {"type": "string"}}},
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}},
            {"type": "object", "properties": {}, "anyOf": [{"type": "object"}]},
        )
    ),
    *(
        of_parameters(
            "tool_property_without_type",
            {"type": "object", "properties": {"data": {"type": "object", "properties": {"meta": schema}}}},
            place,
            f"`parameters.data.meta{name}` schema didn't specify the schema type field.",
        )
        for schema, place, name in (
            ({"enum": ["half", "full"]}, "properties.data.properties.meta", ""),
            ({}, "properties.data.properties.meta", ""),
            ({"type": "array", "items": {}}, "properties.data.properties.meta.items", ".items"),
        )
    ),
    of_parameters(
        "any_of_with_siblings",
        {"type": "object", "properties": {"dryRun": OPTIONAL}},
        "properties.dryRun",
        (
            "`parameters.dryRun` schema specified other fields alongside any_of. When using any_of, it must be the only field set. "
            f"{FUNCTION_LEARN}"
        ),
    ),
    of_parameters(
        "any_of_with_siblings",
        {
            "type": "object",
            "properties": {"inner": {"$ref": "#/$defs/Inner"}},
            "$defs": {"Inner": {"type": "object", "properties": {"dry": OPTIONAL, "me": {"$ref": "#/$defs/Inner"}}}},
        },
        "properties.inner.properties.dry",
        (
            "`parameters.inner.dry` schema specified other fields alongside any_of. When using any_of, it must be the only field set. "
            f"{FUNCTION_LEARN}"
        ),
    ),
    of_parameters(
        "any_of_with_array",
        {
            "type": "object",
            "properties": {"cities": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}},
        },
        "properties.cities",
        (
            "`parameters.cities` schema specified incorrect schema type field. For schema with items, schema type should be ARRAY. "
            f"{FUNCTION_LEARN}"
        ),
    ),
    *(
        ("function_name_invalid", ask(tools=[TOOL, {"type": "function", "function": {"name": name}}]), "tools", None)
        for name in ("", "1st", "get weather", LONG_NAME, "größe")
    ),
    (
        "too_many_functions",
        ask(tools=[{"type": "function", "function": {"name": f"f{number}"}} for number in range(129)]),
        "tools",
        None,
    ),
    ("parameter_out_of_range", ask(temperature=2.1), "temperature", None),
    ("parameter_out_of_range", ask(temperature=-1), "temperature", None),
    ("parameter_out_of_range", ask(top_p=1.5), "top_p", None),
    ("parameter_out_of_range", ask(presence_penalty=2.0), "presence_penalty", None),
    ("parameter_out_of_range", ask(frequency_penalty=-2.5), "frequency_penalty", None),
    ("parameter_out_of_range", ask(stop=["a", "b", "c", "d", "e", "f"]), "stop", None),
    *(
        (
            "cached_content_with_tools",
            body | {"extra_body": google(cached_content="projects/p/locations/global/cachedContents/1")},
            place,
            "Tool config, tools and system instruction should not be set in the request when using cached content.",
        )
        for body, place in (
            (ask(tools=[TOOL]), "tools"),
            (ask(tool_choice="auto"), "tool_choice"),
            (ask({"role": "system", "content": "Be kind."}, USER), "messages"),
        )
    ),
    (
        "cached_content_unsupported",
        ask(model=NEWEST, extra_body=google(cached_content="projects/p/locations/global/cachedContents/1")),
        "extra_body.google.cached_content",
        None,
    ),
]


@pytest.mark.parametrize(
    ("name", "body", "place", "message"), STRICT_CASES, ids=[f"{one[0]}-{at}" for at, one in enumerate(STRICT_CASES)]
)
def test_strict_refusal(vetted: Vet, name: str, body: Body, place: str, message: str | None) -> None:
    """Refused under `strict`, in the words of other routes; else answered with one warning that names the entry."""
    refusal = vetted(body, vetting="strict")
    assert refusal is not None
    assert (refusal.rule, refusal.place, refusal.code) == (name, place, 400)
    assert entry(name).strict_only
    assert refusal.message == message or (message is None and entry(name).confidence == "low")
    (warning,) = warned(body)
    assert warning == f"Vertex refuses this on other routes ({name}): {refusal.explanation}"


def warned(body: Body, location: str = "global", **policy: Any) -> tuple[str, ...]:
    """The warnings with which a request is answered."""
    facts = Facts(Target("v1", "p", location, "openapi"), [], read_request(dump(body)))
    found = vet(facts, VettingPolicy(**policy), "enforce")
    assert found.refusal is None
    # What is known of the options is remembered with its warnings.
    assert vet(facts, VettingPolicy(**policy), "enforce") == found
    return found.warnings


def test_every_entry_has_a_case() -> None:
    """Every 400 of the catalogue has a case here, but for those with another cause or only for `fail`."""
    elsewhere = {
        "invalid_json_payload",  # tests/server: the body is no JSON
        "invalid_hostname",  # tests/server/test_hosts.py
        "cached_content_expired",
        "corrupted_thought_signature",
        "empty_assistant_content_with_tool_calls",  # only warned of: test_vet.py
        "publisher_model_not_allowed",
    }
    entries = [one for one in all_errors() if one.service == "vertex" and one.http_status == 400]
    assert {one.name for one in entries if not one.strict_only} - elsewhere == {case[0] for case in CASES} - elsewhere
    assert {one.name for one in entries if one.strict_only} == {case[0] for case in STRICT_CASES}


@pytest.mark.parametrize(
    "model", ["google/gemini-9-ultra", "google/gemini-3-pro-preview", "meta/llama", "google/${MODEL_ID}"]
)
def test_known_models_only(vetted: Vet, model: str) -> None:
    """Under `--models known`, a model that is unknown or retired gets the documented 404; else it is answered."""
    assert vetted(ask(model=model)) is None
    refusal = vetted(ask(model=model), models="known")
    assert refusal is not None
    publisher, _, name = model.partition("/")
    assert (refusal.rule, refusal.place, refusal.code) == ("publisher_model_not_found", "model", 404)
    assert refusal.message == (
        f"Publisher Model `projects/p/locations/global/publishers/{publisher}/models/{name}` was not found or your project does "
        "not have access to it. Please ensure you are using a valid model version. For more information, see: "
        "https://cloud.google.com/vertex-ai/generative-ai/docs/learn/model-versions"
    )
    assert vetted(ask(model="google/gemini-3.5-flash"), models="known") is None
    assert vetted(ask(model=model), "1234567890", models="known") is None


def test_quirks_change_what_is_refused(vetted: Vet) -> None:
    """Bare models pass, unknown parameters do not, signatures are not required."""
    assert vetted(ask(model="gemini-2.5-flash"), quirks=frozenset({"bare_models"})) is None
    unknown = vetted(ask(logit_bias={}), quirks=frozenset({"unknown_fields_refused"}))
    assert vetted(ask(logit_bias={})) is None
    assert unknown is not None
    assert (unknown.rule, unknown.place) == ("unknown_field_gemini_api", "logit_bias")
    unsigned = ask(USER, calls("f"), result("f"), model=NEW)
    assert vetted(unsigned, quirks=frozenset({"signatures_off"})) is None
    assert vetted(unsigned, quirks=frozenset({"signatures_warn"})) is None
    assert vetted(unsigned) is not None


@pytest.mark.parametrize(
    ("model", "location", "is_global_host", "served"),
    [
        ("google/gemini-3-flash-preview", "us-central1", False, False),
        ("google/gemini-3-flash-preview", "us-central1", True, True),
        ("google/gemini-3-flash-preview", "global", False, True),
        ("google/gemini-3.6-flash", "europe-west3", False, False),
        ("google/gemini-3.6-flash", "eu", False, True),
        ("google/gemini-3.5-flash", "europe-west3", False, True),
        ("google/gemini-3.5-flash", "us-west1", False, False),
        ("meta/llama-4-scout-17b-16e-instruct-maas", "us-east5", False, True),
        ("meta/llama-4-scout-17b-16e-instruct-maas", "us-central1", True, False),
        ("meta/llama-3.1-8b-instruct-maas", "us-central1", False, True),
    ],
)
def test_where_models_are_served(model: str, location: str, is_global_host: bool, served: bool) -> None:
    """Elsewhere they are a 404 under `--models known`, and else warned of; at the global host the global location counts too."""
    facts = Facts(Target("v1", "p", location, "openapi"), [], read_request(dump(ask(model=model))))
    refusal = vet(facts, VettingPolicy(models="known", is_global_host=is_global_host), "enforce").refusal
    assert (refusal is None) == served
    assert refusal is None or (refusal.rule, refusal.code) == ("publisher_model_not_found", 404)
    warnings = warned(ask(model=model), location, is_global_host=is_global_host)
    assert len(warnings) == (not served)
    assert served or f"Vertex has no {model} in {location} and answers 404" in warnings[0]


@pytest.mark.parametrize(
    ("model", "day"),
    [("google/gemini-2.0-flash-001", "2026-06-01"), ("google/gemini-3-pro-image-preview", "2026-07-19")],
)
def test_retired_models_are_warned_of(model: str, day: str) -> None:
    """With the day; of a model whose end was only announced for a day in the past, nothing is said."""
    assert warned(ask(model=model)) == (
        f"Vertex no longer answers for {model}, which has been retired since {day}; take a newer model",
    )
    assert warned(ask(model=FLASH)) == warned(ask(model="deepseek-ai/deepseek-v3.2-maas"), "us-central1") == ()


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("gobal", 'no location is called "gobal"; did you mean "global"?'),
        ("us-central-1", 'no location is called "us-central-1"; did you mean "us-central1"?'),
        ("us-centrall1", 'no location is called "us-centrall1"; did you mean "us-central1"?'),
        ("LOCATION", 'no location is called "LOCATION"; they are called global, us-central1, ...'),
        ("us-central9", ""),
        ("africa-south7", ""),
    ],
)
def test_locations_that_do_not_exist_are_warned_of(location: str, said: str) -> None:
    """Also at the global host, which serves the paths of all locations; others may be newer than the catalogue."""
    facts = Facts(Target("v1", "p", location, "openapi"), [], read_request(dump(ask())))
    warnings = vet(facts, VettingPolicy(is_global_host=True), "enforce").warnings
    assert warnings == ((said,) if said else ())


@pytest.mark.parametrize(
    ("part", "text", "is_none"),
    [
        ("project", "None", True),
        ("project", "$PROJECT_ID", True),
        ("project", "{project}", True),
        ("project", "My Project", True),
        ("project", "PROJECT_ID", True),
        ("location", "undefined", True),
        ("endpoint", "null", True),
        ("project", "none-of-your-business", False),
        ("project", "example.com:mine", False),
        ("location", "nullarbor1", False),
    ],
)
def test_ids_that_a_program_does_not_have_are_warned_of(part: str, text: str, is_none: bool) -> None:
    """What is written into a URL by a variable that is not set."""
    target = Target("v1", "p", "global", "openapi")._replace(**{part: text})
    warnings = vet(Facts(target, [], read_request(dump(ask(model="acme/own")))), VettingPolicy(), "enforce").warnings
    assert any(f'the {part} in the URL is "{text}"' in warning for warning in warnings) is is_none


def test_long_names_are_not_compared(vetted: Vet) -> None:
    """What a request brings may be long and many, and comparing texts takes long."""
    for dashes, is_compared in ((2, True), (100, False)):
        assert bool(warned(ask(model=f"google/gemini-3.5{'-' * dashes}flash"))) is is_compared
        assert ("did you mean" in "".join(warned(ask(), f"us-central{'-' * dashes}1"))) is is_compared
    refusal = vetted({"model": FLASH, **{f"key{number}": 1 for number in range(20)}, "mesages": [USER]})
    assert refusal is not None
    assert refusal.explanation == "messages is missing; add a user message"


def test_misspelt_messages_are_named(vetted: Vet) -> None:
    """What was probably meant by a key that is none."""
    refusal = vetted({"model": FLASH, "mesages": [USER]})
    assert refusal is not None
    assert refusal.explanation == 'messages is missing, and "mesages" is no parameter; did you mean "messages"?'


def test_models_that_may_be_misspelt_are_warned_of() -> None:
    """With the nearest name; if none is near, or only numbers differ, it may be a model that is newer than the catalogue."""
    assert warned(ask(model="google/gemini-3.5-flsh")) == (
        'the model "google/gemini-3.5-flsh" is not in the catalogue, and `--models known` refuses it; did you mean "google/gemini-3.5-flash"?',
    )
    for model in (
        "google/gemini-3-5-flash",
        "google/Gemini-3.5-Flash",
        "google/gemini-3.5_flash",
        "googel/gemini-3.5-flash",
    ):
        assert 'did you mean "google/gemini-3.5-flash"?' in warned(ask(model=model))[0]
    assert 'did you mean "google/gemini-' in warned(ask(model="google/gemini-flash"))[0]
    assert "all of Gemini 1 has been retired" in warned(ask(model="google/gemini-1.5-pro-002"))[0]
    for model in (
        "acme/own",
        "google/${MODEL_ID}",
        "google/gemini-3.9-flash",
        "google/gemini-5-pro-preview-11-2027",
        "google/gemini-4-krypton",
        "google/gemini-5-ultra",
        "google/gemini-4-mini",
        "mistralai/large-4-maas",
    ):
        assert warned(ask(model=model)) == ()


@pytest.mark.parametrize(
    ("endpoint", "is_misspelt"),
    [("openai", True), ("open-api", True), ("OpenAPI", True), ("4711", False), ("mine", False)],
)
def test_endpoints_that_may_be_misspelt_are_warned_of(endpoint: str, is_misspelt: bool) -> None:
    """Unless the scenario declares its endpoints, which leaves no doubt."""
    facts = Facts(Target("v1", "p", "global", endpoint), [], read_request(dump(ask())))
    warnings = vet(facts, VettingPolicy(), "enforce").warnings
    expected = f'"{endpoint}" is answered as the id of a deployed endpoint; did you mean "endpoints/openapi"?'
    assert warnings == ((expected,) if is_misspelt else ())
    assert vet(facts, VettingPolicy(has_endpoints=True), "enforce").warnings == ()


def test_retired_models_are_not_found_among_known_ones(vetted: Vet) -> None:
    """Also those whose end was announced; a model without a confirmed end is served."""
    for model in (FLASH, "meta/llama-3.3-70b-instruct-maas", "google/gemini-2.0-flash-001"):
        refusal = vetted(ask(model=model), models="known")
        assert refusal is not None
        assert refusal.code == 404
        assert "has been retired since 2026-" in refusal.explanation
    assert vetted(ask(model="google/gemini-3.6-flash"), models="known") is None


def test_ignored_parameters_are_warned_of() -> None:
    """Temperature and top_p have no effect on newer models."""
    assert warned(ask(model=NEWEST, temperature=0.2, top_p=0.9)) == (
        f"{NEWEST} accepts temperature, but it has no effect",
        f"{NEWEST} accepts top_p, but it has no effect",
    )
    assert warned(ask(model=NEWEST, n=1, presence_penalty=0, frequency_penalty=0.0)) == ()
    assert warned(ask(model="google/gemini-3.5-flash", temperature=0.2, n=2, presence_penalty=0.5)) == ()


def test_a_cache_of_another_location_is_not_found(vetted: Vet) -> None:
    """Whatever the project; one of the request's own location is used."""
    for location, expected in (("europe-west4", "cached_content_not_found"), ("global", None)):
        name = f"projects/123/locations/{location}/cachedContents/77"
        refusal = vetted(ask(extra_body=google(cached_content=name)))
        assert (refusal and refusal.rule) == expected
        assert refusal is None or (refusal.code, refusal.message) == (
            404,
            "Not found: cached content metadata for 77.",
        )


def test_calls_with_one_id_are_warned_of() -> None:
    """Their results cannot be told apart."""
    (warning,) = warned(ask(USER, calls("f", "f"), result("f"), result("f")))
    assert warning.startswith('2 calls of messages[1] have the id "f"')
    assert warned(ask(USER, calls("f", "g"), result("f"), result("g"))) == ()


def test_argument_streams_of_a_model_without_them_are_warned_of() -> None:
    """Gemini 3.1 Flash-Lite sends arguments in one piece."""
    options = {"stream": True, "extra_body": google(stream_function_call_arguments=True), "tools": [TOOL]}
    (warning,) = warned(ask(model="google/gemini-3.1-flash-lite", **options))
    assert "arguments come in one piece" in warning
    assert warned(ask(model="google/gemini-3.5-flash", **options)) == ()
