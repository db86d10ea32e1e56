"""Dialects: how each kind of model server writes an answer, as data that `emulator.wire.responses` writes by.

A dialect states its differences from what all have in common: an envelope with `choices`, `created`, `id`, `model`, `object` and
`usage`; choices with an index, a message or delta, and a finish reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from emulator.wire.errors import JSON_TYPE
from emulator.wire.headers import MAAS_HEADERS, MAAS_JSON_TYPE, Headers
from emulator.wire.usage import Usage, UsageWriter

Keys = Mapping[str, Any]
_ASSISTANT: Keys = {"role": "assistant"}
_NO_LOGPROBS: Keys = {"logprobs": None}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dialect:
    """The format of one kind of server; compared by identity."""

    name: str
    order: tuple[str, ...] | None = ()
    """The order of keys at every level, alphabetical for those it does not name; None where they are built in order."""
    body: Keys = field(default_factory=dict)
    """Additional keys of the envelope of a plain answer."""
    chunk: Keys = field(default_factory=dict)
    """Additional keys of the envelope of a chunk."""
    has_identity: bool = True
    """Whether answers have `created` and `id`."""
    json_type: str = JSON_TYPE
    """The content type of a plain answer."""
    headers: Headers = ()
    """Headers of its answers that replace those of the front end."""
    choice: Keys = field(default_factory=lambda: _NO_LOGPROBS)
    """Additional keys of a choice."""
    unfinished: Keys = field(default_factory=dict)
    """Additional keys of a chunk's choice before the last: none, or a finish reason that is null."""
    finished: Keys = field(default_factory=dict)
    """Additional keys next to a finish reason; null if that is `length`."""
    message: Keys = field(default_factory=lambda: {"content": None, "role": "assistant"})
    """The keys of an empty message."""
    delta: Keys = field(default_factory=lambda: _ASSISTANT)
    """The keys of an empty delta."""
    first_delta: Keys | None = None
    """The delta of an extra chunk before all others; None for no such chunk."""
    last_delta: Keys | None = None
    """The delta of an extra chunk for the finish reason; None for no such chunk."""
    thought_key: str | None = None
    """The key of message and delta for thoughts; None where they are in `content`, flagged in streams."""
    announces_calls: bool = False
    """Whether a streamed call is named in one chunk and given its arguments in the next ones; else it comes whole."""
    call_id: str | None = None
    """The format of a call's id, with `{hex}`, `{name}` and `{position}`; None for the ids of Gemini."""
    answer_id: Literal["google", "uuid", "vllm", "none"] = "google"
    """The format of answers' ids."""
    usage: UsageWriter = Usage.to_wire
    usage_on_demand: bool = False
    """Whether streams give usage only when `stream_options` asks, in a chunk without choices; else it is on the last chunk."""
    thoughts_in_completion: bool = True
    """Whether `completion_tokens` counts the thoughts."""
    writes_refusal: bool = False
    """Whether the text of a filtered answer is in `refusal` instead of `content`."""


GEMINI = Dialect(
    name="gemini",
    order=None,
    body={"system_fingerprint": ""},
    chunk={"system_fingerprint": ""},
    thoughts_in_completion=False,
)
"""The documented shape of the seed samples."""

_SGLANG_MESSAGE: Keys = {"content": None, "reasoning_content": None, "role": "assistant", "tool_calls": None}

SGLANG = Dialect(
    name="sglang",
    body={"metadata": {"weight_version": "default"}},
    unfinished={"finish_reason": None, "matched_stop": None},
    finished={"matched_stop": None},
    message=_SGLANG_MESSAGE,
    delta=_SGLANG_MESSAGE,
    thought_key="reasoning_content",
    announces_calls=True,
    call_id="call_{hex:.24}",
    answer_id="uuid",
    json_type=MAAS_JSON_TYPE,
    headers=MAAS_HEADERS,
    usage=Usage.to_sglang,
)
"""Open models behind SGLang. Plain shape documented (maas-thinking); ids observed on Gemma 4 and DeepSeek V3.2 (August 2026), where
older samples of the documentation have those of Gemini.

Of streams no sample is known: their nulls, and calls that are named before they get arguments, are those of SGLang's own streams
(observed elsewhere); the role in every delta and usage on the last chunk are assumed to hold here too as on Vertex's other models. `matched_stop`
with `length` is null (observed in SGLang's answers elsewhere). Call ids assumed.
"""

R1 = Dialect(
    name="deepseek-r1",
    body={"system_fingerprint": ""},
    chunk={"system_fingerprint": ""},
    call_id="call_{hex:.24}",
    answer_id="uuid",
    json_type=MAAS_JSON_TYPE,
    headers=MAAS_HEADERS,
)
"""DeepSeek R1: as Gemini but for id and headers, with thoughts inside completion (shape documented; that completion counts them and streams assumed)."""

LLAMA = Dialect(
    name="llama",
    has_identity=False,
    choice={},
    call_id="call_{hex:.24}",
    answer_id="none",
    json_type=MAAS_JSON_TYPE,
    headers=MAAS_HEADERS,
    usage=Usage.to_counts,
    writes_refusal=True,
)
"""Llama: bodies and chunks without `created`, `id`, `system_fingerprint` and `logprobs`, usage on the last chunk (documented).

Assumed: `refusal` takes the place of the text when Llama Guard trips.
"""

GPT_OSS = replace(
    SGLANG, name="gpt-oss", delta={key: value for key, value in _SGLANG_MESSAGE.items() if key != "reasoning_content"}
)
"""gpt-oss: as SGLANG, but a chunk without reasoning has no `reasoning_content` (inferred from a notebook that asks for the key)."""

GROK = Dialect(name="grok", call_id="call_{hex:.8}", usage=Usage.to_grok, thoughts_in_completion=False)
"""Grok: a fingerprint of its own and its usage are documented; ids of calls and the shape of streams assumed."""

VLLM = Dialect(
    name="vllm",
    order=(
        *("id", "object", "created", "model", "choices", "type", "index", "role", "content", "refusal", "annotations"),
        *("audio", "function_call", "tool_calls", "reasoning_content", "name", "arguments", "function", "message"),
        *("delta", "logprobs", "finish_reason", "stop_reason", "service_tier", "system_fingerprint", "usage"),
        *("prompt_tokens", "total_tokens", "completion_tokens", "prompt_tokens_details"),
        *("prompt_logprobs", "prompt_token_ids", "kv_transfer_params"),
    ),
    body={
        "service_tier": None,
        "system_fingerprint": None,
        "prompt_logprobs": None,
        "prompt_token_ids": None,
        "kv_transfer_params": None,
    },
    unfinished={"finish_reason": None},
    finished={"stop_reason": None},
    message={
        "role": "assistant",
        "content": None,
        "refusal": None,
        "annotations": None,
        "audio": None,
        "function_call": None,
        "tool_calls": [],
        "reasoning_content": None,
    },
    delta={},
    first_delta={"role": "assistant", "content": ""},
    last_delta={"content": ""},
    thought_key="reasoning_content",
    announces_calls=True,
    call_id="chatcmpl-tool-{hex}",
    answer_id="vllm",
    usage=Usage.to_vllm,
    usage_on_demand=True,
)
"""A vLLM container of about version 0.10, passed through (assumed). Keys and their order are those of its source."""

TGI = Dialect(
    name="tgi",
    order=(
        *("object", "index", "id", "type", "created", "model", "system_fingerprint", "choices", "role", "content"),
        *("tool_calls", "name", "arguments", "function", "message", "delta", "logprobs", "finish_reason", "usage"),
        *("prompt_tokens", "completion_tokens", "total_tokens"),
    ),
    body={"system_fingerprint": "3.3.4-native"},
    chunk={"system_fingerprint": "3.3.4-native", "usage": None},
    unfinished={"finish_reason": None},
    message=_ASSISTANT,
    announces_calls=True,
    call_id="{position}",
    answer_id="none",
    usage=Usage.to_counts,
    usage_on_demand=True,
)
"""A container of Hugging Face's Text Generation Inference, passed through (assumed). Keys and their order observed elsewhere."""
