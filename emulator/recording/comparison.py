"""The shape of an answer (status, headers, framing, keys and their order, types), and how the shapes of two answers differ."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulator.recording.answers import Answer
from emulator.recording.secrets import collapse
from emulator.recording.texts import Difference, shorten

_KEPT = frozenset(
    {"finish_reason", "object", "role", "type", "status", "code", "reason", "@type", "domain", "mime_type"}
)
"""Keys whose values are of a few words, and belong to the shape."""
_OPEN = frozenset({"data", "embedding", "arguments", "content", "text"})
"""Keys below which lists are only counted as such, and texts are the model's."""
_VOLATILE = re.compile(
    r"x-emulator-.*|date|content-length|via|age|set-cookie|x-request-id|x-.*trace.*|server-timing|connection"
)
"""Headers that differ from answer to answer, or are the emulator's own."""
_VALUES = ("content-type", "vary", "server", "cache-control", "accept-ranges", "www-authenticate", "retry-after")
"""Headers whose values belong to the shape."""
_NOTHING = "nothing"


@dataclass(slots=True)
class Shape:
    """What an answer looks like, whatever the model says; paths lead to kinds of values, `*` stands for all items of a list."""

    status: int
    framing: str
    headers: dict[str, tuple[str, ...]]
    """By name the values of all lines; empty texts where values do not matter."""
    kinds: dict[str, dict[str, None]] = field(default_factory=dict)
    """By path the kinds of values there."""
    orders: dict[str, list[str]] = field(default_factory=dict)
    """By path of objects their keys, in order."""
    message: str = ""
    """The text of an error, without numbers and names."""


def read_shape(answer: Answer) -> Shape:
    """The shape of an answer."""
    shape = Shape(answer.status, _framing_of(answer), _headers_of(answer))
    if answer.is_stream:
        chunks = answer.stream.chunks
        for at, chunk in enumerate(chunks):
            _add(shape, "last chunk" if at == len(chunks) - 1 else "chunks", chunk, "")
        if answer.stream.error is not None:
            _add(shape, "error in the stream", answer.stream.error, "")
    elif answer.json is not None:
        _add(shape, "", answer.document, "")
    if answer.error:
        shape.message = _without_values(str(answer.error.get("message", "")))
    return shape


def compare_shapes(old: Shape, new: Shape) -> list[Difference]:
    """How one shape differs from an older one; of another status only that is told."""
    if old.status != new.status:
        return [
            Difference("status", str(old.status), f"{new.status}{f' ({shorten(new.message)})' if new.message else ''}")
        ]
    return [
        *_compare_values("framing", {"": old.framing}, {"": new.framing}),
        *_compare_values("header ", _join(old.headers), _join(new.headers)),
        *_compare_kinds(old, new),
        *_compare_orders(old, new),
        *_compare_values("message", {"": old.message}, {"": new.message}),
    ]


def _framing_of(answer: Answer) -> str:
    if answer.is_stream:
        stream = answer.stream
        ends = "[DONE]" if stream.done else "no [DONE]"
        error = "" if stream.error is None else ", a bare error" if stream.is_bare_error else ", an error event"
        layout = "\\n\\n" if re.fullmatch(r"(?:[^\r]*\n\n)?", answer.text, re.DOTALL) else "other line ends"
        return f"a stream, {layout}, {ends}{error}"
    if answer.json is None:
        return "text" if answer.data else "no body"
    if isinstance(answer.json, list):
        return "an array of one" if len(answer.json) == 1 else "an array"
    return "an object" if "\n" not in answer.text.strip() else "an object on several lines"


def _headers_of(answer: Answer) -> dict[str, tuple[str, ...]]:
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in answer.recorded.headers:
        lowered = name.lower()
        if not _VOLATILE.fullmatch(lowered):
            headers[lowered] = (*headers.get(lowered, ()), value if lowered in _VALUES else "")
    return headers


def _join(headers: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {name: " | ".join(lines) if any(lines) else "present" for name, lines in headers.items()}


def _add(shape: Shape, path: str, value: Any, key: str) -> None:
    kinds = shape.kinds.setdefault(path, {})
    inner = f"{path}." if path else ""
    if isinstance(value, dict):
        kinds["an object"] = None
        _merge(shape.orders.setdefault(path, []), list(value))
        for name, one in value.items():
            _add(shape, f"{inner}{name}", one, name)
    elif isinstance(value, list):
        kinds["a list"] = None
        for one in () if key in _OPEN and not any(isinstance(each, dict) for each in value) else value:
            _add(shape, f"{inner}*", one, key)
    elif isinstance(value, str):
        kinds[f'"{value}"' if key in _KEPT else "a text"] = None
    elif value is None:
        kinds["null"] = None
    elif isinstance(value, bool):
        kinds["true or false"] = None
    else:
        kinds["a number"] = None


def _merge(known: list[str], keys: list[str]) -> None:
    """Add keys behind those that they follow."""
    at = 0
    for key in keys:
        if key in known:
            at = known.index(key) + 1
        else:
            known.insert(at, key)
            at += 1


def _compare_values(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    for name in dict.fromkeys((*old, *new)):
        was, now = old.get(name, _NOTHING), new.get(name, _NOTHING)
        if was != now:
            yield Difference(f"{what}{name}", was or _NOTHING, now or _NOTHING)


def _compare_kinds(old: Shape, new: Shape) -> Iterator[Difference]:
    told: list[str] = []
    for path in dict.fromkeys((*old.kinds, *new.kinds)):
        was, now = old.kinds.get(path), new.kinds.get(path)
        if was is None or now is None:
            if any(not one or path.startswith(f"{one}.") for one in told):
                continue
            told.append(path)
        if set(was or ()) != set(now or ()):
            yield Difference(path or "body", " or ".join(was or (_NOTHING,)), " or ".join(now or (_NOTHING,)))


def _compare_orders(old: Shape, new: Shape) -> Iterator[Difference]:
    for path, keys in old.orders.items():
        now = [key for key in new.orders.get(path, ()) if key in keys]
        was = [key for key in keys if key in now]
        if was != now:
            yield Difference(f"order of {path or 'body'}", ", ".join(was), ", ".join(now))


def _without_values(message: str) -> str:
    """An error's text without what it names of the request."""
    text = collapse(message.encode("utf-8", "replace")).decode("utf-8", "replace")
    return re.sub(r"\d+", "#", re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", "…", text))
