"""`POST /completions`, legacy text completions (observed to exist for some open models): request and response bodies.

No body was captured. Assumed: the format of SGLang servers, with the additions that their chat answers have on this service
(documented: keys alphabetical, `matched_stop`, `metadata`, completion tokens that include thinking).
"""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from emulator.wire.json_text import dump
from emulator.wire.requests import REQUEST_CONFIG, ChatRequest, ListOf, Object, StreamOptions, Whole, fields_for_chat
from emulator.wire.responses import Identity
from emulator.wire.sse import event
from emulator.wire.usage import Usage

_Number = Annotated[float, Field(allow_inf_nan=False)]


@with_config(REQUEST_CONFIG)
class CompletionsRequest(TypedDict, total=False):
    """The body of a request; unknown keys are kept and change nothing, `echo`, `suffix` and `logprobs` among them."""

    model: str | None
    prompt: str | ListOf[str] | ListOf[int] | ListOf[ListOf[int]]
    stream: bool | None
    max_tokens: Whole | None
    temperature: _Number | None
    top_p: _Number | None
    stop: str | ListOf[str] | None
    n: Whole | None
    seed: Whole | None
    frequency_penalty: _Number | None
    presence_penalty: _Number | None
    stream_options: StreamOptions | None
    response_format: Object | None


COMPLETIONS_REQUEST = TypeAdapter(CompletionsRequest)
_FIELDS = frozenset(CompletionsRequest.__annotations__)


def prompts_of(request: CompletionsRequest) -> list[str]:
    """The prompts as texts; token ids, which only the model's own tokenizer could decode, are written as numbers."""
    prompt = request.get("prompt", "")
    if isinstance(prompt, str):
        return [prompt]
    if prompt and isinstance(prompt[0], int):
        return [" ".join(map(str, prompt))]
    return [one if isinstance(one, str) else " ".join(map(str, one)) for one in prompt if not isinstance(one, int)]


def completion_to_chat(request: CompletionsRequest) -> ChatRequest:
    """The equivalent chat request: the prompt is the only user message."""
    texts = prompts_of(request)
    messages = [{"role": "user", "content": text} for text in texts]
    chat: Object = {**fields_for_chat(request, _FIELDS), "messages": messages}
    return chat  # type: ignore[return-value]  # the fields declared above mean the same in a chat request


def text_choice(index: int, text: str, finish: str | None, matched_stop: int | None) -> dict[str, Any]:
    """A choice of a plain answer, or of an event, of which only the last has a `finish`."""
    matched = matched_stop if finish == "stop" else None
    return {"finish_reason": finish, "index": index, "logprobs": None, "matched_stop": matched, "text": text}


def completion_body(choices: list[dict[str, Any]], identity: Identity, usage: Usage | None) -> dict[str, Any]:
    """A whole answer, or one event; only the last event has usage (assumed, as documented for chat)."""
    body: dict[str, Any] = {
        "choices": choices,
        "created": identity.created,
        "id": identity.id,
        "metadata": {"weight_version": "default"},
        "model": identity.model,
        "object": "text_completion",
    }
    if usage is not None:
        body["usage"] = usage.to_sglang()
    return body


def completion_event(choice: dict[str, Any], identity: Identity, usage: Usage | None) -> bytes:
    """One event of a stream."""
    return event(dump(completion_body([choice], identity, usage)))
