"""Answers as bytes: the plain body and the chunks of a stream, in the format of a dialect.

JSON is compact; keys are alphabetical at every level (documented: seed samples; compactness of plain bodies assumed), except where a
dialect has an order of its own. What the chunks of a choice have in common is encoded once, as a template into which the deltas are
filled.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from emulator.wire.dialects import Dialect
from emulator.wire.json_text import dump
from emulator.wire.sse import event
from emulator.wire.usage import Usage


class Identity(NamedTuple):
    """What all chunks of an answer share: its id, its time in Unix seconds, and the model as the request named it."""

    id: str
    created: int
    model: str


@dataclass(frozen=True, slots=True)
class ByteTemplate:
    """Encoded bytes with a slot."""

    head: bytes
    tail: bytes

    def fill(self, content: bytes) -> bytes:
        """The bytes with the slot filled."""
        return self.head + content + self.tail


def write(value: Any, dialect: Dialect) -> bytes:
    """JSON with its keys in the dialect's order."""
    return dump(value if dialect.order is None else _arrange(value, dialect.order))


def plain_body(choices: list[dict[str, Any]], identity: Identity, usage: Usage, dialect: Dialect) -> bytes:
    """A whole `chat.completion`."""
    body: dict[str, Any] = {"choices": choices}
    if dialect.has_identity:
        body["created"], body["id"] = identity.created, identity.id
    body |= {"model": identity.model, "object": "chat.completion", **dialect.body, "usage": dialect.usage(usage)}
    return write(body, dialect)


def plain_choice(index: int, message: dict[str, Any], finish_reason: str, dialect: Dialect) -> dict[str, Any]:
    """A choice of a plain answer."""
    return {**_finish(finish_reason, dialect), "index": index, **dialect.choice, "message": message}


def chunk_template(index: int, identity: Identity, dialect: Dialect) -> ByteTemplate:
    """The template of a choice's chunks before the last: a whole event with a slot for the delta."""
    return _event_template(
        {"delta": None, **dialect.unfinished, "index": index, **dialect.choice}, identity, None, dialect
    )


def last_chunk_template(
    index: int, finish_reason: str, identity: Identity, usage: Usage | None, dialect: Dialect
) -> ByteTemplate:
    """The template of a choice's last chunk; the last one of the answer has the usage, unless that has its own chunk."""
    choice = {"delta": None, **_finish(finish_reason, dialect), "index": index, **dialect.choice}
    return _event_template(choice, identity, None if dialect.usage_on_demand else usage, dialect)


def usage_chunk(identity: Identity, usage: Usage, dialect: Dialect) -> bytes:
    """The chunk without choices that has the usage, for a client that asked for it."""
    return event(write(_chunk([], identity, usage, dialect), dialect))


@lru_cache(maxsize=256)
def text_template(key: str, dialect: Dialect) -> ByteTemplate:
    """The template of a text delta, with a slot for the JSON string; `key` is `content`, `thought` or `refusal`.

    Gemini's thoughts are in `content` with a flag (observed).
    """
    flag = {"extra_content": {"google": {"thought": True}}} if key == "thought" and dialect.thought_key is None else {}
    name = (dialect.thought_key or "content") if key == "thought" else key
    others = {other: value for other, value in dialect.delta.items() if other != name}
    return _make_template(write({name: None, **flag, **others}, dialect), b'"%s":' % name.encode())


def message(
    *,
    dialect: Dialect,
    content: str | None,
    thought: str | None = None,
    refusal: str | None = None,
    tool_calls: list[dict[str, Any]] | None = None,
    audio: dict[str, Any] | None = None,
    signature: str | None = None,
) -> dict[str, Any]:
    """The message of a plain choice; `content` is null beside tool calls and media (assumed; documented for media)."""
    built: dict[str, Any] = {} if audio is None else {"audio": audio}
    if "content" in dialect.message or content is not None:
        built["content"] = content
    if signature is not None:
        built["extra_content"] = _signed(signature)
    built |= {key: value for key, value in dialect.message.items() if key not in built}
    if thought is not None and dialect.thought_key is not None:
        built[dialect.thought_key] = thought
    if refusal is not None:
        built["refusal"] = refusal
    if tool_calls:
        built["tool_calls"] = tool_calls
    return built


def delta(
    *,
    dialect: Dialect,
    tool_calls: list[dict[str, Any]] | None = None,
    audio: dict[str, Any] | None = None,
    signature: str | None = None,
) -> bytes:
    """A delta of tool calls or media (tool calls documented; media assumed to be where a plain answer has them)."""
    built: dict[str, Any] = {} if audio is None else {"audio": audio}
    if signature is not None:
        built["extra_content"] = _signed(signature)
    built |= dialect.delta
    if tool_calls:
        built["tool_calls"] = tool_calls
    return write(built, dialect)


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


def _chunk(choices: list[dict[str, Any]], identity: Identity, usage: Usage | None, dialect: Dialect) -> dict[str, Any]:
    chunk: dict[str, Any] = {"choices": choices}
    if dialect.has_identity:
        chunk["created"], chunk["id"] = identity.created, identity.id
    chunk |= {"model": identity.model, "object": "chat.completion.chunk", **dialect.chunk}
    if usage is not None:
        chunk["usage"] = dialect.usage(usage)
    return chunk


def _event_template(choice: dict[str, Any], identity: Identity, usage: Usage | None, dialect: Dialect) -> ByteTemplate:
    return _make_template(event(write(_chunk([choice], identity, usage, dialect), dialect)), b'"delta":')


def _make_template(written: bytes, key: bytes) -> ByteTemplate:
    """The template whose slot is the null behind a key. An unescaped quote in JSON is never inside a string."""
    head, _, tail = written.partition(key + b"null")
    return ByteTemplate(head + key, tail)


def _finish(finish_reason: str, dialect: Dialect) -> dict[str, Any]:
    others = dict.fromkeys(dialect.finished) if finish_reason == "length" else dialect.finished
    return {"finish_reason": finish_reason, **others}


def _arrange(value: Any, order: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_arrange(one, order) for one in value]
    if isinstance(value, dict):
        keys = [key for key in order if key in value]
        keys += sorted(value.keys() - keys)
        return {key: _arrange(value[key], order) for key in keys}
    return value


def _signed(signature: str) -> dict[str, Any]:
    return {"google": {"thought_signature": signature}}
