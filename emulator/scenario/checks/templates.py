"""Checks of templates: their syntax and the variables they use."""

import re
from collections.abc import Iterator
from typing import Any

from emulator.errors import Problem
from emulator.scenario.rules import ANSWERS
from emulator.scenario.templates.failures import TemplateError
from emulator.scenario.templates.template import is_template, strings_in, unknown_names
from emulator.scenario.templates.variables import VARIABLES, explain_unknown
from emulator.scenario.yaml import Location, Source

_GROUP = re.compile(r"\(\?P<([^>]+)>")

TEMPLATED = (*(key for key in ANSWERS if key != "conversation"), "headers", "finish", "fault")
"""The keys of a rule whose texts may be templates; in a conversation only `assistant` turns may."""


def list_groups(written: Any) -> tuple[str, ...]:
    """The named groups of all regular expressions in a `when` as it is written; each is a variable of its rule."""
    patterns = [text for loc, text in strings_in(written) if "regex" in loc]
    return tuple(dict.fromkeys(name for pattern in patterns for name in _GROUP.findall(pattern)))


def check_templates(loc: Location, source: Source) -> Iterator[Problem]:
    """The problems of the templates in the rule (or `defaults`) that is written at a place."""
    written: Any = source.data
    for part in loc:
        written = written.get(part) if isinstance(written, dict) else written[part]
    if not isinstance(written, dict):
        return
    known = (*VARIABLES, *list_groups(written.get("when")))
    for inner, text, groups in _list_texts(written, loc):
        if is_template(text):
            yield from _check_template(text, inner, (*known, *groups), source)


def _list_texts(written: dict[str, Any], loc: Location) -> Iterator[tuple[Location, str, tuple[str, ...]]]:
    """The texts that may be templates, each with the named groups of the conversation turns before it."""
    turns = written.get("conversation")
    turns = turns if isinstance(turns, list) else []
    for key in TEMPLATED:
        groups = _groups_of_turn(turns[0]) if key not in ANSWERS and turns else ()
        yield from ((inner, text, groups) for inner, text in strings_in(written.get(key), (*loc, key)))
    earlier: tuple[str, ...] = ()
    for number, turn in enumerate(turns):
        written_reply = turn.get("assistant") if isinstance(turn, dict) else None
        place = (*loc, "conversation", number, "assistant")
        yield from ((inner, text, earlier) for inner, text in strings_in(written_reply, place))
        earlier += _groups_of_turn(turn)


def _groups_of_turn(turn: Any) -> tuple[str, ...]:
    is_request = isinstance(turn, dict) and "assistant" not in turn
    return list_groups(turn) if is_request else ()


def _check_template(text: str, loc: Location, known: tuple[str, ...], source: Source) -> Iterator[Problem]:
    try:
        unknown = unknown_names(text, known)
    except TemplateError as error:
        place = source.find(loc, error.near) if error.near else source.place(loc)
        yield source.problem(place, str(error))
        return
    for name in unknown:
        yield source.problem(source.find(loc, name), explain_unknown(name, known))
