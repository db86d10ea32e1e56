"""What the fuzzers begin with: correct requests of every route, scenario files, pieces of templates."""

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BASE = "/v1/projects/fuzz/locations/global/endpoints/openapi"
_CITY = {"type": "object", "properties": {"city": {"type": "string", "description": "a city"}}, "required": ["city"]}
_WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "the weather", "parameters": _CITY}}
_CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
_PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
_USER = {"role": "user", "content": "Say hello"}

BODIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("chat/completions", {"model": "google/gemini-2.5-flash", "messages": [_USER]}),
    (
        "chat/completions",
        {
            "model": "google/gemini-2.5-pro",
            "messages": [{"role": "system", "content": "Be brief."}, _USER],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 100,
            "n": 2,
            "stop": ["END"],
            "seed": 7,
            "presence_penalty": 0.1,
            "logprobs": True,
            "top_logprobs": 2,
            "reasoning_effort": "low",
            "user": "me",
            "extra_body": {
                "google": {"safety_settings": [{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}]}
            },
        },
    ),
    (
        "chat/completions",
        {
            "model": "google/gemini-3-flash-preview",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "weather in Oslo?"}]},
                {"role": "assistant", "content": None, "tool_calls": [_CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": '{"sun": true}'},
            ],
            "tools": [_WEATHER],
            "tool_choice": "auto",
            "parallel_tool_calls": True,
        },
    ),
    (
        "chat/completions",
        {
            "model": "google/gemini-2.5-flash",
            "messages": [_USER],
            "tools": [_WEATHER],
            "tool_choice": "required",
            "stream": True,
        },
    ),
    (
        "chat/completions",
        {
            "model": "google/gemini-2.5-flash",
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": _PIXEL}}],
                }
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "list",
                    "strict": True,
                    "schema": {
                        "type": "object",
                        "properties": {
                            "when": {"type": "string", "format": "date-time"},
                            "code": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]+$"},
                            "items": {"type": "array", "items": {"$ref": "#/$defs/item"}, "minItems": 2, "maxItems": 5},
                        },
                        "required": ["when", "code", "items"],
                        "additionalProperties": False,
                        "$defs": {
                            "item": {
                                "anyOf": [{"type": "integer", "minimum": 3}, {"enum": ["a", "b"]}, {"type": "null"}]
                            }
                        },
                    },
                },
            },
        },
    ),
    (
        "chat/completions",
        {
            "model": "deepseek-ai/deepseek-v3.1-maas",
            "messages": [_USER],
            "response_format": {"type": "json_object"},
            "max_completion_tokens": 9,
        },
    ),
    (
        "chat/completions",
        {"model": "meta/llama-4-scout-17b-16e-instruct-maas", "messages": [_USER], "guided_json": _CITY},
    ),
    (
        "completions",
        {"model": "deepseek-ai/deepseek-v3.1-maas", "prompt": "Once", "max_tokens": 5, "stream": True, "echo": False},
    ),
    (
        "embeddings",
        {"model": "intfloat/multilingual-e5-small-maas", "input": ["a cat", "two cats"], "encoding_format": "float"},
    ),
    (
        "responses",
        {
            "model": "xai/grok-4.20-reasoning",
            "instructions": "Be brief.",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "hello"}]},
                {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "sun"},
            ],
            "tools": [{"type": "function", "name": "get_weather", "parameters": _CITY}],
            "text": {"format": {"type": "json_schema", "name": "city", "schema": _CITY}},
            "stream": True,
        },
    ),
)
"""Methods with bodies that are answered."""

TOKEN_BODIES: tuple[dict[str, Any], ...] = (
    {"grant_type": "refresh_token", "client_id": "a", "client_secret": "b", "refresh_token": "c", "scope": "openid"},
    {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": "eyJhbGciOiJub25lIn0.eyJpc3MiOiJhIn0.c2ln",
    },
    {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": "t",
        "subject_token_type": "jwt",
        "audience": "//iam",
    },
)
TOKEN_PATHS = (
    "/token",
    "/oauth2/v4/token",
    "/v1/token",
    "/tokeninfo",
    "/revoke",
    "/computeMetadata/v1/instance/service-accounts/default/token",
)

SCENARIOS: tuple[str, ...] = tuple(
    path.read_text("utf-8") for path in sorted((ROOT / "scenarios").glob("*.yaml")) if path.name != "picture.yaml"
)

SCENARIO_WORDS: tuple[str, ...] = (
    "rules:", "- reply:", "when:", "say", "call", "sequence", "times: 1", "1e999", "-1", "99999999999", "null", "true", "~", "[]", "{}", "[[[[", "]", "}",
    "&a", "*a", "<<: *a", "!!python/object:os.system", "|", ">", "'", '"', "\t", "#", "%YAML 1.1", "---", "...", "? a", "forever", "{regex: '^(a+)+$'}",
    '{regex: "((((((((((a))))))))))"}', "/(/", "{{ last_user }}", "{{ fake.name( }}", "{% for %}", "{cut: reset}", "{stall: 1e300}", "{fail: 429}",
    "{fail: '{{ model }}'}", "{image: '{{ model }}'}", "auto", "{json: {a: {b: [1, 2]}}}", "conversation:", "quota:", "flags:", "media: {a: ../b}",
    "{fail: 503, times: '{{ use }}'}", "{call: '{{ model }}', with: '{{ messages }}'}", "{think: '{{ 1/0 }}'}", "{raw: '{{ [1]|random }}'}", "{garble: '{{ x }}'}",
    "finish: '{{ model }}'", "name: '{{ model }}'", "usage: {prompt_tokens: 1e99}", "tokens: {fail: '{{ 1 }}'}", "expect: {times: 1, at_least: 2}",
    "{one_of: [a, {weight: 2, reply: {{ b }}}]}", "{one_of: [{one_of: [default]}]}", "{weight: .5, reply: auto}", "default", "include: [a.yaml, ../b]", "x-a: &a {b: [*a]}",
    "last_user: [a, {any_of: [b, {not: [c]}]}]", "{role: assistant, content: a}", "{say: a, call: b}", "delay: 3", "{fail: 503, status: '{{ use }}'}",
    "requires: [not a, a]", "sets: not", "- {user: {regex: '^(?=b*)(a+)+$'}}", "- {assistant: [{say: '{{ model }}'}, {say: a}, {say: '{{ model }}'}]}",
    "- {tool: f, result: {json: {a: '{{ b }}'}}}", "endpoints: {'1': {model: '{{ m }}'}}", "quota: {model: {regex: '^(a+)+\\1!$'}, requests_per_minute: 1}",
    "{audio: auto, mime_type: '{{ m }}'}", "{pause: 1e999}", "{say: a, chunks: {size: 0}}", "{say: a, chunks: [a, 1]}", "then: loop", "times: 0", "quirks: [bare_models]",
    "seed: [1]", "pace: fast", "headers: {x: [a, b]}", "\x7f", "\u2028", "é" * 50, "0x1F", "1_000", "2001-01-01", "=",
)  # fmt: skip

TEMPLATE_PIECES: tuple[str, ...] = (
    "last_user", "model", "request", "messages", "tools", "fake", "range(9)", "range(10**9)", "'x' * 1000000", "('x' * 1000)", "[1, 2]", "{'a': 1}", "(1,)",
    "namespace(a=())", "1e308", "10**400", "-1", "0", "none", "loop", "self", "undefined_name", "''", "'%s' ", "'{0}'", "'{0:>99999999}'", "'a\\tb'",
)  # fmt: skip
TEMPLATE_TAILS: tuple[str, ...] = (
    "|join(',')", "|list", "|length", "|upper", "|replace('x', 'yy')", "|tojson", "|tojson(99999)", "|wordwrap(1)", "|center(99999999)", "|format(1)",
    "|map('string')|list", "|sort", "|unique|list", "|batch(2)|list", "|groupby(0)", "|sum", "|int", "|float", "|round(400)", "|first", "|random",
    "|map('random')|list", "|map('tojson', 999)|list", "|map(attribute='a.b.c')|list", "|selectattr('x', 'gt', 1)|list", "|slice(99999)|list", "|escape|striptags",
    "|replace('', 'x' * 9999)", "|center(9999)|wordcount", "|tojson|tojson|tojson", "|list|list|list", "|forceescape", "|filesizeformat", "|urlencode", "|trim('x')",
    ".items()|list", ".get('a', {})", ".split('')", ".rsplit('x', 3)", ".partition('x')", ".encode().decode()", ".json()", ".words(nb=999)", ".pydict()", ".image()",
    ".strftime('%9999Y')", ".replace(year=1)", ".isoformat()", " is in [1]", " is sameas none", " == messages", " < messages", "[1:999999:3]", "[-1]", " not in messages",
    "|indent(999999)", "|truncate(3)", "|urlize", "|xmlattr", "|pprint", "|attr('__class__')", "|select|list", "|reject('odd')|list", "|string", "|dictsort",
    ".__class__", ".append(1)", ".format(1)", ".format_map({})", ".expandtabs(9999999)", ".translate({97: 'b' * 1000})", ".zfill(9999999)", ".name()",
    ".text(max_nb_chars=99999999)", ".sentence(nb_words=3)", ".set_formatter('name', range)", ".seed(1)", ".random_elements()", "[0]", "[::-1]", "['a']",
    " ~ 'a'", " * 9999999", " ** 999", " // 3", " % 7", " + 1", " < 3", " in 'abc'", " if 1 else 2", " is defined", " and 1", "(1)", "()",
)  # fmt: skip
TEMPLATE_BLOCKS: tuple[str, ...] = (
    "{%% for i in range(400) %%}%s{%% endfor %%}", "{%% if %s %%}a{%% endif %%}", "{%% set a = %s %%}{{ a }}", "{%% set ns = namespace(a=%s) %%}{{ ns.a }}",
    "{%% macro m(x) %%}%s{{ m(x) }}{%% endmacro %%}{{ m(1) }}", "{%% filter upper %%}%s{%% endfilter %%}", "{%% include %s %%}", "{%% raw %%}%s",
    "{%% call(x) %s %%}a{%% endcall %%}", "{%% with a=%s %%}{{ a }}{%% endwith %%}", "{# %s #}", "{{ %s", "%s }}", "{%% for i in [1] recursive %%}{{ loop([%s]) }}{%% endfor %%}",
)  # fmt: skip

CONTROL_PATHS = (
    "health",
    "journal",
    "verify",
    "verdicts",
    "quotas",
    "reset",
    "scenario",
    "",
    "nothing",
    "journal/1",
    "../v1",
    "%00",
    "scenario/",
)
CONTROL_QUERIES = (
    "",
    "session=fuzz",
    "limit=3",
    "limit=-1",
    "limit=1e9",
    "after=99999999999999999999999",
    "outcome=*",
    "rule=[",
    "session=",
    "session=%ff",
    "strict=maybe",
    "a=b",
    "limit=3&limit=4",
)
METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD")
