"""The quirk catalogue: named deviations from the emulator's default behaviour, observed on the real service or on the Gemini API.

All are off until a rule, a scenario's `defaults` or `--quirk` names them.
"""

from dataclasses import dataclass
from typing import Literal, get_args

QuirkName = Literal[
    "access_token_expired",
    "announce_index",
    "audio_formats_refused",
    "bare_models",
    "data_errors",
    "empty_call_ids",
    "empty_stop",
    "gemini_api",
    "image_in_choice",
    "malformed_function_call",
    "midstream_cancelled",
    "midstream_unavailable",
    "missing_content",
    "missing_message",
    "name_once",
    "no_call_index",
    "no_final_chunk",
    "no_logprobs",
    "no_traffic_type",
    "null_finish_reason",
    "numbered_call_ids",
    "object_errors",
    "openai_key_order",
    "raw_newlines",
    "reasoning_in_completion",
    "role_once",
    "signature_on_every_call",
    "signatures_off",
    "signatures_warn",
    "single_full_stops",
    "stop_on_calls",
    "tagged_thoughts",
    "text_signatures",
    "unknown_fields_refused",
    "usage_chunk",
    "usage_on_every_chunk",
    "vertex_content",
]


@dataclass(frozen=True, slots=True)
class Quirk:
    """One deviation: what it does and its source."""

    name: QuirkName
    effect: str
    source: str


_SIBLING = "observed on the Gemini API's OpenAI route: googleapis/python-genai#2868, coder/coder, pydantic-ai cassettes"

QUIRKS: dict[QuirkName, Quirk] = {
    quirk.name: quirk
    for quirk in (
        Quirk(
            "access_token_expired",
            "an expired access token is refused with the reason `ACCESS_TOKEN_EXPIRED`, as other Google APIs give it",
            "observed: ubopod/ubo_app#339, another Google API",
        ),
        Quirk(
            "announce_index",
            "the chunk that announces a streamed call carries the call's own index, not the other call's",
            "assumed: the documented indices may be a slip of the page",
        ),
        Quirk(
            "audio_formats_refused",
            "`input_audio.format` other than `wav` and `mp3` is refused with 400",
            "observed on the Gemini API's OpenAI route: client issue threads",
        ),
        Quirk(
            "bare_models",
            "a model without a publisher is answered",
            "documented: samples of the Gemini 3 page use bare names",
        ),
        Quirk(
            "data_errors",
            "an error inside a stream comes as a `data:` event instead of bare JSON",
            "assumed: some proxies write it so",
        ),
        Quirk("empty_call_ids", "tool calls have an empty id", _SIBLING),
        Quirk(
            "empty_stop",
            "the answer is empty: finish reason `stop`, no content, 0 completion tokens",
            "observed: client issue threads",
        ),
        Quirk("gemini_api", "all that the sister endpoint does otherwise, at once", _SIBLING),
        Quirk(
            "image_in_choice",
            "a picture stands in `choice.image`, with content and role beside it",
            "documented: older start/openai page",
        ),
        Quirk(
            "malformed_function_call",
            "instead of tool calls the answer ends with `function_call_filter: MALFORMED_FUNCTION_CALL`",
            "observed: coder/coder fixtures and others",
        ),
        Quirk(
            "midstream_cancelled",
            "a stream of several calls breaks off with a bare 499 object when the second call begins",
            "observed: rag3weaver note, taucad/tau",
        ),
        Quirk(
            "midstream_unavailable",
            "a stream breaks off with a bare 503 object where its last chunk would be",
            "assumed: the 499 seen in streams, with the status of an overloaded server",
        ),
        Quirk(
            "missing_content",
            "with `length` or `content_filter` the message has no `content` at all",
            "observed: agentgateway/agentgateway#1464 and client issue threads",
        ),
        Quirk(
            "missing_message",
            "with `length` or `content_filter` the choice has no `message`, or no `delta`, at all",
            "observed: client issue threads",
        ),
        Quirk(
            "name_once",
            "fragments of a streamed call do not repeat its id, name and type",
            "assumed: what OpenAI does",
        ),
        Quirk("no_call_index", "streamed tool calls have no `index`", _SIBLING),
        Quirk(
            "no_final_chunk",
            "a stream ends without its last chunk and without [DONE]",
            "observed: client issue threads",
        ),
        Quirk("no_logprobs", "no `logprobs` and no `system_fingerprint`", _SIBLING),
        Quirk(
            "no_traffic_type",
            "the usage has no `extra_properties`, so the traffic type is missing",
            "documented: some samples of open models leave it out",
        ),
        Quirk(
            "null_finish_reason",
            "chunks before the last have `finish_reason: null` instead of no such key",
            "assumed: what OpenAI does",
        ),
        Quirk(
            "numbered_call_ids",
            "tool calls have ids of `function-call-` and digits instead of a UUID",
            _SIBLING,
        ),
        Quirk("object_errors", "refusals are a bare object instead of an array of one", _SIBLING),
        Quirk(
            "openai_key_order",
            "keys come in the order in which OpenAI writes them instead of the alphabet's",
            "assumed: what OpenAI does",
        ),
        Quirk(
            "raw_newlines",
            "line breaks and quotes in streamed arguments are not escaped, so that joined they are no JSON",
            "observed: rag3weaver note",
        ),
        Quirk(
            "reasoning_in_completion",
            "`completion_tokens` counts the reasoning too; the total stays",
            "assumed: what OpenAI does, and open models do here (documented)",
        ),
        Quirk(
            "role_once",
            "only the first chunk of each choice has a role in its delta",
            "assumed: what OpenAI does",
        ),
        Quirk(
            "signature_on_every_call",
            "every one of parallel calls carries a thought signature, not only the first",
            "assumed: the documented samples sign the first only",
        ),
        Quirk("signatures_off", "thought signatures are not asked for", "a switch of the emulator's"),
        Quirk(
            "signatures_warn",
            "missing or wrong thought signatures are answered with a warning",
            "a switch of the emulator's",
        ),
        Quirk(
            "single_full_stops",
            "the texts of refusals have one full stop where the service writes two",
            "assumed: a slip that may be corrected",
        ),
        Quirk("stop_on_calls", "streamed tool calls end with finish reason `stop`", _SIBLING),
        Quirk("tagged_thoughts", "thoughts without a marker are wrapped in `<thought>` tags", _SIBLING),
        Quirk(
            "text_signatures",
            "text answers carry a thought signature",
            "observed on Gemini 3: aimlapi/api-docs",
        ),
        Quirk(
            "unknown_fields_refused",
            "a parameter that is not known is refused with 400",
            "observed on the Gemini API's OpenAI route: jackmpcollins/magentic#382",
        ),
        Quirk(
            "usage_chunk",
            "a stream's usage comes in a chunk of its own with empty `choices`, after the last one",
            "assumed: what OpenAI does with `include_usage`",
        ),
        Quirk("usage_on_every_chunk", "every chunk of a stream carries the usage", _SIBLING),
        Quirk(
            "vertex_content",
            "`extra_content.google` is called `extra_content.vertex`",
            "observed: gateways, earendil-works/pi#6733",
        ),
    )
}

PROFILES: dict[QuirkName, frozenset[QuirkName]] = {
    "gemini_api": frozenset(
        {
            "audio_formats_refused",
            "empty_call_ids",
            "no_call_index",
            "no_logprobs",
            "stop_on_calls",
            "tagged_thoughts",
            "unknown_fields_refused",
            "usage_on_every_chunk",
        }
    )
}
"""Quirks that stand for several others."""

EARLY: frozenset[QuirkName] = frozenset(
    {
        "audio_formats_refused",
        "bare_models",
        "object_errors",
        "signatures_off",
        "signatures_warn",
        "single_full_stops",
        "unknown_fields_refused",
    }
)
"""Quirks that act before a rule is chosen, because they change what is refused, or how."""

QUIRK_NAMES: tuple[QuirkName, ...] = get_args(QuirkName)


def expand(names: frozenset[QuirkName]) -> frozenset[QuirkName]:
    """Replace profiles by the quirks that they stand for."""
    return names.union(*(PROFILES[name] for name in names & PROFILES.keys())).difference(PROFILES) if names else names
