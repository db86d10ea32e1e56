"""Answers as bytes: the plain body and the chunks of a stream.

Keys are alphabetical at every level and JSON is compact (documented: seed samples; compactness of plain bodies assumed). What
differs from request to request (created, id, model) stands together in one stamp behind `choices`, so that `choices` can be made
ahead of time.
"""

from dataclasses import dataclass
from typing import Any

from emulator.wire.json_text import dump
from emulator.wire.sse import event
from emulator.wire.usage import Usage


@dataclass(frozen=True, slots=True)
class Identity:
    """What all parts of one answer share: its id, its time in Unix seconds, and the model as the request named it."""

    id: str
    created: int
    model: str

    def stamp(self) -> bytes:
        """`"created":…,"id":…,"model":…`, as it stands between `choices` and `object`."""
        return b'"created":%d,"id":"%s","model":%s' % (self.created, self.id.encode(), dump(self.model))


def plain_body(choices: list[dict[str, Any]], identity: Identity, usage: Usage) -> bytes:
    """A whole `chat.completion`."""
    return (
        b'{"choices":%s,%s,"object":"chat.completion","system_fingerprint":"","usage":%s}'
        % (dump(choices), identity.stamp(), dump(usage.to_wire()))
    )  # fmt: skip


def chunk_event(choice: bytes, stamp: bytes, usage: Usage | None = None) -> bytes:
    """One `chat.completion.chunk` as an event; `usage` only on the last (documented)."""
    tail = b',"usage":' + dump(usage.to_wire()) if usage else b""
    return event(
        b'{"choices":[%s],%s,"object":"chat.completion.chunk","system_fingerprint":""%s}' % (choice, stamp, tail)
    )


def chunk_choice(index: int, delta: bytes, finish_reason: str | None) -> bytes:
    """The choice of a chunk; `finish_reason` is absent, not null, until the last (documented)."""
    finish = b'"finish_reason":%s,' % dump(finish_reason) if finish_reason is not None else b""
    return b'{"delta":%s,%s"index":%d,"logprobs":null}' % (delta, finish, index)


def text_delta(content: bytes, *, thought: bool = False) -> bytes:
    """A delta of text, given as a JSON string; the role is in every delta (documented), thoughts are flagged (observed)."""
    flag = b'"extra_content":{"google":{"thought":true}},' if thought else b""
    return b'{"content":%s,%s"role":"assistant"}' % (content, flag)


EMPTY_DELTA = b'{"role":"assistant"}'


def plain_choice(index: int, message: dict[str, Any], finish_reason: str) -> dict[str, Any]:
    """A choice of a plain answer."""
    return {"finish_reason": finish_reason, "index": index, "logprobs": None, "message": message}


def message(
    *,
    content: str | None,
    tool_calls: list[dict[str, Any]] | None = None,
    audio: dict[str, Any] | None = None,
    signature: str | None = None,
) -> dict[str, Any]:
    """The message of a plain choice; `content` is null beside tool calls and media (assumed; documented for media)."""
    built: dict[str, Any] = {}
    if audio is not None:
        built["audio"] = audio
    built["content"] = content
    if signature is not None:
        built["extra_content"] = _signed(signature)
    built["role"] = "assistant"
    if tool_calls:
        built["tool_calls"] = tool_calls
    return built


def delta(
    *,
    tool_calls: list[dict[str, Any]] | None = None,
    audio: dict[str, Any] | None = None,
    signature: str | None = None,
) -> bytes:
    """A delta of tool calls or media (tool calls documented, media assumed to stand where a plain answer has them)."""
    built: dict[str, Any] = {}
    if audio is not None:
        built["audio"] = audio
    if signature is not None:
        built["extra_content"] = _signed(signature)
    built["role"] = "assistant"
    if tool_calls:
        built["tool_calls"] = tool_calls
    return dump(built)


def media(data: str, mime_type: str) -> dict[str, Any]:
    """Base64 media in the `audio` slot with its MIME type beside it, pictures too (documented: seed)."""
    return {"data": data, "extra_content": {"google": {"mime_type": mime_type}}}


def tool_call(
    *, arguments: str, name: str | None, call_id: str | None, index: int | None = None, signature: str | None = None
) -> dict[str, Any]:
    """A tool call; without a name it is a fragment of one named before. Only streams have an `index` (documented: seed)."""
    built: dict[str, Any] = {}
    if signature is not None:
        built["extra_content"] = _signed(signature)
    built["function"] = {"arguments": arguments} if name is None else {"arguments": arguments, "name": name}
    if call_id is not None:
        built["id"] = call_id
    if index is not None:
        built["index"] = index
    if name is not None:
        built["type"] = "function"
    return built


def _signed(signature: str) -> dict[str, Any]:
    return {"google": {"thought_signature": signature}}
