"""Parsing YAML into data and the places of its values, with bounded size and depth.

The node tree is composed here and not by PyYAML, whose composer recurses in C, so that a deep file crashes the process
(measured with 100,000 nested lists). Its scalars follow YAML 1.2's core schema: only true, false, null, integers and decimal
numbers have a meaning of their own; `no`, `on`, `12:30` and dates are text.
"""

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import yaml

from emulator.errors import Place, Problem, ScenarioError
from emulator.scenario.yaml_errors import (
    TAGS,
    UNQUOTED,
    Mark,
    decode,
    explain_missing_colon,
    explain_syntax,
    find_forbidden,
    find_too_deep,
    quote_line,
    split_lines,
)

NO_MAPPING = 'a scenario is a mapping with "rules:" at its top'
"""How the problem of a file begins that is a list or a single value."""
MAX_NODES = 100_000
"""How many values a file may have, those that aliases repeat included."""
MAX_DEPTH = 100
"""How deeply lists and mappings may be nested."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST_NUMBER = 400

_CORE = "tag:yaml.org,2002:"


class WrittenInt(int):
    """A whole number that is not written as Python writes it; as text it is what was written: `007`."""

    text: str

    def __str__(self) -> str:
        return self.text


class WrittenFloat(float):
    """A decimal number that is not written as Python writes it; as text it is what was written: `1.10`."""

    text: str

    def __str__(self) -> str:
        return self.text


class Unusable(Exception):  # noqa: N818 - it carries a finding, the reader turns it into an error
    """A place where parsing cannot go on, and why."""

    def __init__(self, mark: Mark, message: str) -> None:
        self.mark = mark
        super().__init__(message)


class Entry(NamedTuple):
    """A key of a mapping with its value."""

    key: "Node"
    value: "Node"


@dataclass(slots=True)
class Node:
    """A value of a YAML file: a scalar, a list of nodes, or entries by key."""

    start: Mark
    end: Mark
    value: "bool | int | float | str | list[Node] | dict[str, Entry] | None"
    is_plain: bool = False


class Composer:
    """Composes the node tree of one document and collects its problems."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self.findings: list[tuple[Mark, str]] = []
        self._events = events
        self._anchors: dict[str, Node | None] = {}
        self._count = 0

    def compose(self) -> Node | None:
        """The root node, or None for an empty file; raises Unusable, or yaml.YAMLError where the syntax is wrong."""
        root = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self._note(_start(event), 'a scenario file is one document; a second one begins at this "---"')
                    break
                root = self._node(next(self._events), 1)
        self._count = 0
        return root

    def spend(self, mark: Mark) -> None:
        """Count one more value. Raises Unusable when there are too many."""
        self._count += 1
        if self._count > MAX_NODES:
            raise Unusable(mark, f"the file has more than {MAX_NODES:,} values, those repeated by aliases included")

    def _note(self, mark: Mark, message: str) -> None:
        self.findings.append((mark, message))

    def _node(self, event: Any, depth: int) -> Node:
        start = _start(event)
        self.spend(start)
        if depth > MAX_DEPTH:
            raise Unusable(start, f"lists and mappings are nested more than {MAX_DEPTH} deep here")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.tag not in (None, "!", _CORE + "str", _CORE + "seq", _CORE + "map"):
            self._note(start, TAGS)
        node = Node(start, _end(event), None)
        if event.anchor is not None:
            # Known but empty while its own content is read: an alias met there would be endless.
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node.is_plain = event.implicit[0] and event.tag is None
            node.value = self._scalar(event.value, start) if node.is_plain else event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            node.value = self._list(node, depth)
        else:
            node.value = self._mapping(node, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent) -> Node:
        name = str(event.anchor)
        if node := self._anchors.get(name):
            return node
        if name in self._anchors:
            self._note(_start(event), f'"*{name}" stands inside the value it names, which would have no end')
        else:
            self._note(
                _start(event), f'no "&{name}" is defined above; a text that begins with "*" must be quoted: "*{name}"'
            )
        return Node(_start(event), _end(event), "")

    def _scalar(self, text: str, mark: Mark) -> bool | float | str | None:
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        is_int = _INT.fullmatch(text) is not None
        if not is_int and not _FLOAT.fullmatch(text):
            if _NOT_FINITE.fullmatch(text):
                self._note(mark, f'JSON has no number "{text}"; quote it if it is meant as text')
            return text
        if len(text) > _LONGEST_NUMBER:
            self._note(mark, f"this number has {len(text)} characters; quote it if it is meant as text")
            return text
        return _whole(text) if is_int else self._decimal(text, mark)

    def _decimal(self, text: str, mark: Mark) -> float | str:
        number = WrittenFloat(text)
        if not math.isfinite(number):
            self._note(mark, f'the number "{text}" is too large; quote it if it is meant as text')
            return text
        number.text = text
        return float(number) if repr(float(number)) == text else number

    def _list(self, node: Node, depth: int) -> list[Node]:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
            node.end = max(node.end, items[-1].end)
        self._close(node, event)
        return items

    def _mapping(self, node: Node, depth: int) -> dict[str, Entry] | str:
        """The entries of a mapping; empty text for one that is a template without quotes, which is noted."""
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        template: str | None = None
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            entry = Entry(self._node(event, depth + 1), self._node(next(self._events), depth + 1))
            if (name := _template_in(entry.key)) is not None:
                self._note(node.start, f'{UNQUOTED}: "{{{{ {name} }}}}"')
                template = ""
            elif entry.key.is_plain and entry.key.value == "<<":
                self._merge(entry.value, merged)
            else:
                self._add(entry, own)
            node.end = max(node.end, entry.value.end)
        self._close(node, event)
        if template is not None:
            return template
        return {**{key: entry for key, entry in merged.items() if key not in own}, **own}

    def _close(self, node: Node, event: Any) -> None:
        # What has no bracket ends with its last part: the parser puts its end where the next thing begins.
        if event.start_mark.index != event.end_mark.index:
            node.end = _end(event)

    def _add(self, entry: Entry, entries: dict[str, Entry]) -> None:
        key = entry.key.value
        if isinstance(key, list | dict):
            self._note(entry.key.start, "a key must be a text, not a list or a mapping")
        elif not isinstance(key, str):
            word = "true" if key is True else "false" if key is False else "null" if key is None else str(key)
            hint = f'quote it: "{word}"' if key is not None else "nothing is written before the colon"
            self._note(entry.key.start, f"a key must be a text; {hint}")
        elif key in entries:
            first = entries[key].key.start[0]
            self._note(entry.key.start, f'the key "{key}" is given twice; the first is on line {first}')
        else:
            entries[key] = entry

    def _merge(self, node: Node, into: dict[str, Entry]) -> None:
        for source in node.value if isinstance(node.value, list) else [node]:
            if not isinstance(source.value, dict):
                self._note(source.start, '"<<" takes a mapping, usually an alias such as "<<: *name"')
                continue
            for key, entry in source.value.items():
                self.spend(node.start)
                into.setdefault(key, entry)

    def build(self, root: Node) -> Any:
        """The data of a tree: dicts, lists and scalars; raises Unusable when aliases make too much of it."""
        if not isinstance(root.value, dict):
            return self._build(root, root.start, 1)
        return {key: self._build(entry.value, entry.key.start, 2) for key, entry in root.value.items()}

    def _build(self, node: Node, top: Mark, depth: int) -> Any:
        self.spend(top)
        if depth > MAX_DEPTH:
            raise Unusable(top, f"aliases nest lists and mappings more than {MAX_DEPTH} deep in this")
        if isinstance(node.value, list):
            return [self._build(item, top, depth + 1) for item in node.value]
        if isinstance(node.value, dict):
            return {key: self._build(entry.value, top, depth + 1) for key, entry in node.value.items()}
        return node.value


def _template_in(key: Node) -> str | None:
    """The name in a mapping that is a key, as YAML reads `{{ name }}` without quotes; None for other keys."""
    entries = key.value if isinstance(key.value, dict) else {}
    return next((name for name, entry in entries.items() if len(entries) == 1 and entry.value.value is None), None)


def _whole(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    number = WrittenInt(text, base)
    number.text = text
    return int(number) if repr(int(number)) == text else number


def _start(event: Any) -> Mark:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _end(event: Any) -> Mark:
    return event.end_mark.line + 1, event.end_mark.column + 1


MAX_BYTES = 4 * 1024 * 1024
"""How large a scenario file may be."""

Location = tuple[str | int, ...]
"""Keys and item numbers (from 0) that lead from the top of a file to a value; pydantic's `<tags>` of unions may be among them."""


def is_tag(part: str | int) -> bool:
    """Whether a part of a location is the tag of a union's branch, which is not written in the file."""
    return isinstance(part, str) and part.startswith("<") and part.endswith(">")


@dataclass(frozen=True, slots=True)
class Source:
    """A scenario file as it was read: its data, its lines and where everything stands."""

    file: str
    data: dict[str, Any]
    root: Node
    lines: Sequence[str]
    problems: Sequence[Problem] = ()
    """Its problems as YAML that did not prevent reading its data."""

    def value(self, loc: Location) -> Any:
        """The data at a location; None if there is none."""
        found: Any = self.data
        for part in loc:
            match found, part:
                case dict(), str() if part in found:
                    found = found[part]
                case list(), int() if part < len(found):
                    found = found[part]
                case _ if not is_tag(part):
                    return None
        return found

    def line_text(self, number: int) -> str:
        """The text of a line, counted from 1; empty beyond the end."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def place(self, loc: Location) -> Place:
        """Where a value is written; if it does not exist, where the last existing part of its location is."""
        return Place(self.file, *self._walk(loc).value.start)

    def key_place(self, loc: Location) -> Place:
        """Where the key of a value is written; for an item of a list, where the item is."""
        return Place(self.file, *self._walk(loc).key.start)

    def spans(self, loc: Location, lines: Sequence[int]) -> bool:
        """Whether a written value has a part on one of some lines, which are sorted."""
        node = self._walk(loc).value
        at = bisect_left(lines, node.start[0])
        return at < len(lines) and lines[at] <= node.end[0] - (node.end[1] == 1)

    def find(self, loc: Location, text: str) -> Place:
        """Where a text first occurs inside a written value; the value's place when it cannot be found."""
        node = self._walk(loc).value
        (first, column), (last, end) = node.start, node.end
        for number in range(first, last + 1):
            line = self.line_text(number)[: end - 1 if number == last else None]
            at = line.find(text, column - 1 if number == first else 0)
            if at >= 0:
                return Place(self.file, number, at + 1)
        return Place(self.file, first, column)

    def problem(self, place: Place, message: str, severity: Literal["error", "warning"] = "error") -> Problem:
        """A problem at a place of this file, with the line it stands on."""
        return Problem(place, message, quote_line(self.lines, (place.line, place.column)), severity)

    def _walk(self, loc: Location) -> Entry:
        entry = Entry(self.root, self.root)
        for part in loc:
            children = entry.value.value
            if isinstance(part, str) and isinstance(children, dict) and part in children:
                entry = children[part]
            elif isinstance(part, int) and isinstance(children, list) and 0 <= part < len(children):
                entry = Entry(children[part], children[part])
            elif not is_tag(part):
                break
        return entry


def parse(content: str | bytes, file: str, known_keys: Sequence[str] = ()) -> Source:
    """Parse YAML 1.2, of which JSON is a part. Raises ScenarioError when no data can be made of it.

    `known_keys` are those at the top of a scenario, of which messages know that a ":" is missing behind them.
    Keys given twice, keys that are not text and tags are added to `problems`, so that the rest can be checked as well.
    """
    text = decode(content, file) if isinstance(content, bytes) else content.removeprefix("\ufeff")
    if isinstance(text, Problem):
        raise ScenarioError([text])
    lines = split_lines(text)
    if forbidden := find_forbidden(text, file, lines):
        raise ScenarioError([forbidden])
    composer = Composer(yaml.parse(text, Loader=yaml.CSafeLoader))
    stopped: Problem | None = None
    root: Node | None = None
    data: Any = None
    try:
        root = composer.compose()
        data = {} if root is None else composer.build(root)
    except Unusable as found:
        stopped = Problem(Place(file, *found.mark), str(found), quote_line(lines, found.mark))
    except yaml.YAMLError as error:
        if (end := find_too_deep(error)) is not None:
            # Newer parsers look no deeper than a thousand brackets, and find these before they tell of the first.
            return parse(text[:end], file, known_keys)
        stopped = explain_syntax(error, file, lines)
    if stopped is None:
        stopped = _check_top(root, file, lines)
    if stopped is not None:
        stopped = explain_missing_colon(lines, stopped, known_keys) or stopped
    problems = [Problem(Place(file, *mark), message, quote_line(lines, mark)) for mark, message in composer.findings]
    if stopped is not None or root is None:
        raise ScenarioError([*problems, *([stopped] if stopped else [])])
    return Source(file, data, root, lines, problems)


def _check_top(root: Node | None, file: str, lines: Sequence[str]) -> Problem | None:
    if root is None or root.value is None:
        return Problem(Place(file, 1, 1), 'the file is empty; a scenario is a mapping with "rules:"')
    if isinstance(root.value, dict):
        return None
    found = "a list" if isinstance(root.value, list) else "a single value"
    message = f"{NO_MAPPING}, not {found}"
    return Problem(Place(file, *root.start), message, quote_line(lines, root.start))
