"""YAML text -> data, with the place of everything in it."""

from collections.abc import Sequence
from typing import Any, Literal

import yaml

from emulator.errors import Place, Problem, ScenarioError
from emulator.scenario.nodes import Composer, Entry, Node, Unusable
from emulator.scenario.syntax import decode, explain_syntax, find_forbidden, find_too_deep, quote_line, split_lines
from emulator.values import dataclass

MAX_BYTES = 4 * 1024 * 1024
"""How large a scenario file may be."""

Loc = Sequence[str | int]
"""The way from the top of a file to a value: keys, numbers of items from 0; `<tags>` of unions are passed over."""


@dataclass(frozen=True, slots=True)
class Source:
    """A scenario file as it was read: its data, its lines and where everything stands."""

    file: str
    data: dict[str, Any]
    root: Node
    lines: Sequence[str]
    problems: Sequence[Problem] = ()
    """What was wrong with it as YAML, though its data could still be made."""

    def line_text(self, number: int) -> str:
        """The text of a line, counted from 1; empty beyond the end."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def place(self, loc: Loc) -> Place:
        """Where a value is written; of a way that leads nowhere, where its last existing part is."""
        return Place(self.file, *self._walk(loc).value.start)

    def key_place(self, loc: Loc) -> Place:
        """Where the key of a value is written; for an item of a list, where the item is."""
        return Place(self.file, *self._walk(loc).key.start)

    def spans(self, loc: Loc, line: int) -> bool:
        """Whether a written value has a part on a line."""
        node = self._walk(loc).value
        return node.start[0] <= line <= node.end[0] - (node.end[1] == 1)

    def find(self, loc: Loc, text: str) -> Place:
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

    def _walk(self, loc: Loc) -> Entry:
        entry = Entry(self.root, self.root)
        for part in loc:
            children = entry.value.value
            if isinstance(part, str) and isinstance(children, dict) and part in children:
                entry = children[part]
            elif isinstance(part, int) and isinstance(children, list) and 0 <= part < len(children):
                entry = Entry(children[part], children[part])
            elif not (isinstance(part, str) and part.startswith("<") and part.endswith(">")):
                break
        return entry


def parse(content: str | bytes, file: str) -> Source:
    """Reads YAML 1.2 (and so JSON); raises ScenarioError when no data can be made of it.

    Keys given twice, keys that are not text and tags are noted in `problems`, so that the rest can be looked at as well.
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
            return parse(text[:end], file)
        stopped = explain_syntax(error, file, lines)
    if stopped is None:
        stopped = _check_top(root, file, lines)
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
    message = f'a scenario is a mapping with "rules:" at its top, not {found}'
    return Problem(Place(file, *root.start), message, quote_line(lines, root.start))
