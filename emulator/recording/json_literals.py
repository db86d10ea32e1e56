"""The values of JSON text with their places, also where the text is a stream of events, is cut off or is not quite JSON."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

Path = tuple[str | int, ...]
"""Names and list positions that lead to a value."""

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]:,]|[^\s"{}\[\]:,]+', re.DOTALL)
_EVENT = re.compile(r"^data:.*$", re.MULTILINE)
_COLON = re.compile(r"\s*:")


class Literal(NamedTuple):
    """A string, a number or another word of JSON text."""

    start: int
    end: int
    """With its quotes."""
    text: str
    """What a string means; other words as they stand."""
    path: Path
    """For the name of a field that of the field's object."""
    is_string: bool = True
    is_name: bool = False


def find_literals(text: str) -> list[list[Literal]]:
    """The literals of a text, grouped: the texts of a stream's events that continue each other are one group, every other is its own."""
    spans = list(_documents(text))
    groups: list[list[Literal]] = []
    continued: dict[Path, list[Literal]] = {}
    for start, end in spans:
        document: Any = None
        if len(spans) > 1:
            try:
                document = json.loads(text[start:end])
            except (ValueError, RecursionError):
                document = None
        for literal in _scan(text, start, end):
            if document is None or literal.is_name or not literal.is_string:
                groups.append([literal])
            elif (key := _stable_path(document, literal.path)) in continued:
                continued[key].append(literal)
            else:
                groups.append([literal])
                continued[key] = groups[-1]
    return groups


def _documents(text: str) -> Iterator[tuple[int, int]]:
    """Where the documents of a text stand: the data of each event, and what is between them; without events it is one."""
    at = 0
    for event in _EVENT.finditer(text):
        if text[at : event.start()].strip():
            yield at, event.start()
        yield event.start() + len("data:"), event.end()
        at = event.end()
    if text[at:].strip():
        yield at, len(text)


def _stable_path(document: Any, path: Path) -> Path:
    """A path with each list position replaced by the `index` that the item itself names, because events bring single items."""
    found: list[str | int] = []
    for step in path:
        # Of a field that stands there twice the document has only the last value.
        try:
            document = document[step]
        except (IndexError, KeyError, TypeError):
            return path
        index = document.get("index") if isinstance(step, int) and isinstance(document, dict) else None
        found.append(index if isinstance(index, int) else step)
    return tuple(found)


class _Container:
    """An object or a list that is open."""

    __slots__ = ("is_object", "step")

    def __init__(self, *, is_object: bool) -> None:
        self.is_object = is_object
        self.step: str | int | None = None if is_object else 0
        """The field or the position that the next value has; None before the name of a field."""


def _scan(text: str, start: int, end: int) -> Iterator[Literal]:
    """The literals between two positions. Raises nothing: what cannot be read is left out."""
    stack: list[_Container] = []
    for token in _TOKEN.finditer(text, start, end):
        word = token[0]
        match word:
            case "{" | "[":
                stack.append(_Container(is_object=word == "{"))
            case "}" | "]":
                if stack:
                    stack.pop()
            case ",":
                if stack:
                    step = stack[-1].step
                    stack[-1].step = None if stack[-1].is_object else step + 1 if isinstance(step, int) else 0
            case ":":
                pass
            case _:
                is_string = word[0] == '"'
                value = _decode(word) if is_string else word
                if value is None:
                    continue
                is_name = bool(stack) and stack[-1].step is None and is_string and bool(_COLON.match(text, token.end()))
                path = tuple([each.step for each in stack if each.step is not None])
                yield Literal(token.start(), token.end(), value, path, is_string, is_name)
                if is_name:
                    stack[-1].step = value


def _decode(literal: str) -> str | None:
    """What a string literal means; None if it cannot be read."""
    try:
        text: str = json.loads(literal, strict=False)
    except ValueError:
        return None
    return text
