"""Templates of a scenario, read at load: their syntax and the names they use."""

import re
from collections.abc import Iterator
from typing import Any

from emulator.errors import Problem
from emulator.scenario.grammar import Loc
from emulator.scenario.rules import ANSWERS
from emulator.scenario.source import Source
from emulator.scenario.templates import (
    VARIABLES,
    TemplateError,
    compile_template,
    explain_unknown,
    is_template,
    strings_in,
    unknown_names,
)

_GROUP = re.compile(r"\(\?P<([^>]+)>")

TEMPLATED = (*ANSWERS, "headers")
"""The keys of a rule whose texts may be templates."""


def list_groups(written: Any) -> tuple[str, ...]:
    """The named groups of all regular expressions in a `when` as it is written; each is a variable of its rule."""
    patterns = [text for loc, text in strings_in(written) if "regex" in loc]
    return tuple(dict.fromkeys(name for pattern in patterns for name in _GROUP.findall(pattern)))


def check_templates(loc: Loc, source: Source) -> Iterator[Problem]:
    """The problems of the templates in the rule (or `defaults`) that is written at a place."""
    written: Any = source.data
    for part in loc:
        written = written.get(part) if isinstance(written, dict) else written[part]
    if not isinstance(written, dict):
        return
    known = (*VARIABLES, *list_groups(written.get("when")))
    for key in TEMPLATED:
        for inner, text in strings_in(written.get(key), (*loc, key)):
            if is_template(text):
                yield from _check_template(text, inner, known, source)


def _check_template(text: str, loc: Loc, known: tuple[str, ...], source: Source) -> Iterator[Problem]:
    try:
        compile_template(text)
        unknown = unknown_names(text, known)
    except TemplateError as error:
        place = source.find(loc, error.near) if error.near else source.place(loc)
        yield source.problem(place, str(error))
        return
    for name in unknown:
        yield source.problem(source.find(loc, name), explain_unknown(name, known))
