"""Dialects: the same answer in the format of each kind of server."""

import json
from dataclasses import replace
from typing import Any

import pytest

from emulator.wire import dialects
from emulator.wire import responses as replies
from emulator.wire.dialects import GEMINI, GPT_OSS, GROK, LLAMA, R1, SGLANG, TGI, VLLM, Dialect
from emulator.wire.responses import Identity
from emulator.wire.usage import Usage

ALL = [GEMINI, SGLANG, GPT_OSS, R1, LLAMA, GROK, VLLM, TGI]
IDENTITY = Identity("9df5c0eb-286b-46b1-bd02-244cb0ee6a3a", 1770832739, "zai-org/glm-5-maas")
CALL = replies.tool_call(arguments="{}", name="f", call_id="x", index=0)


def body(dialect: Dialect, **said: Any) -> str:
    """A plain answer."""
    choice = replies.plain_choice(0, replies.message(dialect=dialect, **{"content": "Hi.", **said}), "stop", dialect)
    return replies.plain_body([choice], IDENTITY, Usage(9, 211, total=220), dialect).decode()


def test_every_dialect_is_tested() -> None:
    """None is left out of this module."""
    assert {id(one) for one in vars(dialects).values() if isinstance(one, Dialect)} == {id(one) for one in ALL}
    assert len({one.name for one in ALL}) == len(ALL)


def test_glm_as_documented() -> None:
    """The documented body of an SGLang-type model, compact."""
    glm = replace(SGLANG, finished={"matched_stop": 154827})
    assert body(glm, thought="Hm.") == (
        '{"choices":[{"finish_reason":"stop","index":0,"logprobs":null,"matched_stop":154827,"message":{"content":"Hi.",'
        '"reasoning_content":"Hm.","role":"assistant","tool_calls":null}}],"created":1770832739,'
        '"id":"9df5c0eb-286b-46b1-bd02-244cb0ee6a3a","metadata":{"weight_version":"default"},"model":"zai-org/glm-5-maas",'
        '"object":"chat.completion","usage":{"completion_tokens":211,"extra_properties":{"google":{"traffic_type":'
        '"ON_DEMAND"}},"prompt_tokens":9,"prompt_tokens_details":null,"reasoning_tokens":0,"total_tokens":220}}'
    )


def test_grok_usage_as_documented() -> None:
    """663 + 50 + 124 = 837, with all details."""
    block = Usage(663, 50, 124).to_grok()
    assert block["total_tokens"] == 837
    assert list(block) == [
        "completion_tokens",
        "completion_tokens_details",
        "cost_in_usd_ticks",
        "extra_properties",
        "num_sources_used",
        "prompt_tokens",
        "prompt_tokens_details",
        "total_tokens",
    ]
    assert block["completion_tokens_details"]["reasoning_tokens"] == 124
    assert sorted(block["prompt_tokens_details"]) == ["audio_tokens", "cached_tokens", "image_tokens", "text_tokens"]


@pytest.mark.parametrize("dialect", [one for one in ALL if one not in {VLLM, TGI}], ids=lambda one: one.name)
def test_keys_are_alphabetical(dialect: Dialect) -> None:
    """Whatever passes through Google's bridge has its keys sorted, at every level."""

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert [key for key, _ in pairs] == sorted(key for key, _ in pairs)
        return dict(pairs)

    media = replies.media("AA==", "image/png")
    json.loads(body(dialect, thought="Hm.", tool_calls=[CALL], audio=media), object_pairs_hook=check)
    for key in ("content", "thought", "refusal"):
        delta = replies.text_template(key, dialect).fill(b'"x"')
        for form in (
            replies.chunk_template(0, IDENTITY, dialect),
            replies.last_chunk_template(0, "stop", IDENTITY, Usage(1, 2), dialect),
        ):
            json.loads(form.fill(delta).removeprefix(b"data: "), object_pairs_hook=check)


def test_container_servers_have_their_own_key_order() -> None:
    """VLLM begins with the id, TGI with the object, as their sources have it."""
    vllm, tgi = json.loads(body(VLLM)), json.loads(body(TGI))
    assert list(vllm)[:6] == ["id", "object", "created", "model", "choices", "service_tier"]
    assert list(vllm["choices"][0]) == ["index", "message", "logprobs", "finish_reason", "stop_reason"]
    assert list(vllm["usage"]) == ["prompt_tokens", "total_tokens", "completion_tokens", "prompt_tokens_details"]
    assert list(tgi) == ["object", "id", "created", "model", "system_fingerprint", "choices", "usage"]
    assert list(tgi["choices"][0]["message"]) == ["role", "content"]
    call = json.loads(replies.delta(dialect=VLLM, tool_calls=[CALL]))["tool_calls"][0]
    assert list(call) == ["id", "type", "index", "function"]


@pytest.mark.parametrize("dialect", ALL, ids=lambda one: one.name)
def test_no_text_of_a_request_breaks_a_chunk(dialect: Dialect) -> None:
    """A model's name may contain what the slot for the delta looks like."""
    identity = Identity("id", 1, '"delta":null,"content":null')
    delta = replies.text_template("content", dialect).fill(b'"x"')
    chunk = json.loads(replies.chunk_template(3, identity, dialect).fill(delta).removeprefix(b"data: "))
    assert chunk["model"] == identity.model
    assert (chunk["choices"][0]["index"], chunk["choices"][0]["delta"]["content"]) == (3, "x")


@pytest.mark.parametrize("dialect", ALL, ids=lambda one: one.name)
def test_truncated_answers_matched_no_stop(dialect: Dialect) -> None:
    """The keys next to the finish reason are null after `length`."""
    said = replace(dialect, finished=dict.fromkeys(dialect.finished, 7))
    choice = replies.plain_choice(0, {}, "length", said)
    assert all(choice[key] is None for key in dialect.finished)
    assert all(replies.plain_choice(0, {}, "stop", said)[key] == 7 for key in dialect.finished)
