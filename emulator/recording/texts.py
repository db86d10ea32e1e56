"""Texts with placeholders such as `{MODEL}`, compared with what came, and the smallest part in which two texts differ."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_HOLE = re.compile(r"\{([A-Z][A-Z0-9_]*)\}|…")
_KEPT = 24
"""Characters that are shown of what two texts have in common, before and behind their difference."""
_SHOWN = 160
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is otherwise: where, what was expected, and what came."""

    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, found {self.found}"


def fill(template: str, values: Mapping[str, str]) -> str:
    """A text with those of its placeholders replaced for which there is a value."""
    return _HOLE.sub(lambda hole: values.get(hole[1] or "", hole[0]), template)


def fits_template(template: str, text: str, values: Mapping[str, str]) -> bool:
    """Whether a text is the template with each placeholder, and each `…`, replaced by anything; those with a value by that."""
    filled = fill(template, values)
    pattern, at = "", 0
    for hole in _HOLE.finditer(filled):
        pattern += re.escape(filled[at : hole.start()]) + ".*?"
        at = hole.end()
    return re.fullmatch(pattern + re.escape(filled[at:]), text, re.DOTALL) is not None


def clean(text: str) -> str:
    """A text on one line; what a terminal would not show is replaced."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in line)


def shorten(value: object) -> str:
    """A value on one line, its middle left out where it is long."""
    text = clean(str(value))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 40]} … {text[-37:]}"


def show_difference(expected: str, found: str) -> tuple[str, str]:
    """Both texts without what they have in common at their ends, but for some characters."""
    shortest = min(len(expected), len(found))
    start = next((at for at in range(shortest) if expected[at] != found[at]), shortest)
    rest = shortest - start
    end = next((at for at in range(rest) if expected[-1 - at] != found[-1 - at]), rest)
    first, last = max(0, start - _KEPT), max(0, end - _KEPT)

    def cut(text: str) -> str:
        return f"{'…' if first else ''}{text[first : len(text) - last]}{'…' if last else ''}"

    return shorten(cut(expected)), shorten(cut(found))
