"""An answer of the service as a document that probes can ask about: its JSON, or the chunks of its stream and what they join to."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

from emulator.catalogue.errors import CatalogueError, all_errors
from emulator.recording.recording import RecordedAnswer
from emulator.recording.texts import fits_template, shorten

_DATA = "data:"
_DONE = "[DONE]"
_EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Stream:
    """What was read of a stream of events."""

    chunks: tuple[Any, ...]
    done: bool
    """Whether `[DONE]` came."""
    error: Any
    """The error object in the stream; None without one."""
    is_bare_error: bool
    """Whether that error stood outside of `data:` lines."""
    strays: tuple[str, ...]
    """What is neither a `data:` line, a blank line nor an error."""


class Answer:
    """An answer that came, read once."""

    def __init__(self, recorded: RecordedAnswer) -> None:
        self.recorded = recorded
        self.status = recorded.status
        self.data = b"".join(frame.data for frame in recorded.frames)

    @cached_property
    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 are replaced."""
        return self.data.decode("utf-8", "replace")

    def header(self, name: str) -> list[str]:
        """All lines of a header."""
        return [value for key, value in self.recorded.headers if key.lower() == name.lower()]

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream of events."""
        return any(value.lower().startswith(_EVENT_STREAM) for value in self.header("content-type"))

    @property
    def is_emulated(self) -> bool:
        """Whether an emulator says that the answer is its own."""
        return any(name.lower().startswith("x-emulator-") for name, _ in self.recorded.headers)

    @cached_property
    def stream(self) -> Stream:
        """The events of the body."""
        return _read_stream(self.text)

    @cached_property
    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        return _parse(self.text)

    @cached_property
    def document(self) -> Any:
        """What paths of probes lead into: the JSON, an error without its array, or `chunks`, `done` and `joined` of a stream."""
        if self.is_stream:
            events = self.stream
            return {
                "chunks": list(events.chunks),
                "done": events.done,
                "joined": {"content": _join_content(events.chunks), "calls": _join_calls(events.chunks)},
            }
        if isinstance(self.json, list) and len(self.json) == 1:
            return self.json[0]
        return self.json

    @cached_property
    def error(self) -> dict[str, Any]:
        """Google's error object of a refusal, or of a stream that broke off; empty where there is none."""
        found = self.stream.error if self.is_stream else self.document
        error = found.get("error") if isinstance(found, dict) else None
        return error if isinstance(error, dict) else {}

    @property
    def usage(self) -> dict[str, Any]:
        """The usage block; empty where there is none."""
        bodies = self.stream.chunks if self.is_stream else (self.json,)
        found = [body.get("usage") for body in bodies if isinstance(body, dict)]
        return next((one for one in reversed(found) if isinstance(one, dict)), {})

    def describe_error(self) -> str:
        """Status and text of a refusal on one line, with the catalogue's name for it if it has one."""
        text = shorten(self.error.get("message") or self.error.get("status") or self.text)
        named = find_known_error(self)
        name = f" {named.name}" if named is not None else ""
        status = self.error.get("code", self.status) if self.is_stream else self.status
        return f"{status}{name}: {text}" if text else f"{status}{name}"


def find_known_error(answer: Answer) -> CatalogueError | None:
    """The entry of the catalogue with the status and text of a refusal; None if it has none."""
    error = answer.error
    message = error.get("message")
    if not isinstance(message, str):
        return None
    for entry in all_errors():
        if (
            (entry.code, entry.status) == (error.get("code"), error.get("status"))
            and (answer.is_stream or entry.http_status == answer.status)
            and entry.framing in {"array", "object", "raw"}
            and fits_template(entry.message, message, {})
        ):
            return entry
    return None


_MAX_DEPTH = 64
"""Levels of nesting from which a body is taken for garbage."""


def _parse(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return value
    return None


def _read_stream(text: str) -> Stream:
    chunks: list[Any] = []
    strays: list[str] = []
    bare: list[str] = []
    done, error = False, None
    for line in text.splitlines():
        if bare or line.lstrip().startswith(("{", "[")):
            bare.append(line)
            continue
        if not line.strip():
            continue
        if not line.startswith(_DATA):
            strays.append(line)
            continue
        data = line.removeprefix(_DATA).strip()
        if data == _DONE:
            done = True
            continue
        chunk = _parse(data)
        if isinstance(chunk, list) and len(chunk) == 1:
            chunk = chunk[0]
        if isinstance(chunk, dict) and isinstance(chunk.get("error"), dict):
            error = chunk
        else:
            chunks.append(chunk)
    is_bare_error = False
    if bare:
        found = _parse("\n".join(bare).removesuffix(f"{_DATA} {_DONE}"))
        found = found[0] if isinstance(found, list) and len(found) == 1 else found
        if isinstance(found, dict) and isinstance(found.get("error"), dict):
            error, is_bare_error = found, True
        else:
            strays += bare
    return Stream(tuple(chunks), done, error, is_bare_error, tuple(strays))


def _deltas(chunks: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for chunk in chunks:
        for choice in (chunk.get("choices") or ()) if isinstance(chunk, dict) else ():
            delta = choice.get("delta") if isinstance(choice, dict) else None
            if isinstance(delta, dict):
                yield delta


def _join_content(chunks: Sequence[Any]) -> str:
    return "".join(
        delta["content"]
        for delta in _deltas(chunks)
        if isinstance(delta.get("content"), str) and not _is_thought(delta)
    )


def _is_thought(delta: dict[str, Any]) -> bool:
    content = delta.get("extra_content")
    google = content.get("google") if isinstance(content, dict) else None
    return isinstance(google, dict) and bool(google.get("thought"))


def _join_calls(chunks: Sequence[Any]) -> list[dict[str, Any]]:
    """The calls of a stream in order, told apart by their ids; fragments without one belong to the call before."""
    calls: dict[str, dict[str, Any]] = {}
    last: dict[str, Any] | None = None
    parts = chain.from_iterable(delta.get("tool_calls") or () for delta in _deltas(chunks))
    for part in parts:
        if not isinstance(part, dict):
            continue
        name, function = part.get("id"), part.get("function") or {}
        known = calls.get(name) if isinstance(name, str) and name else last
        if known is None:
            known = {"id": name, "name": function.get("name"), "arguments": ""}
            calls[name if isinstance(name, str) and name else f"#{len(calls)}"] = known
        known["arguments"] += function.get("arguments") or ""
        last = known
    return list(calls.values())
