"""Checks of the steps of a reply."""

import json
from collections.abc import Iterator
from typing import Any

from emulator.errors import Problem
from emulator.scenario.conversation import options_of, steps_of
from emulator.scenario.faults import Cut, Fail, FaultTrigger, Stall
from emulator.scenario.locations import name_of_value
from emulator.scenario.steps import Call, Json, OneOf, Reply, Say, Step, Think
from emulator.scenario.templates.template import is_template, strings_in
from emulator.scenario.yaml import Location, Source
from emulator.suggestions import quote

_SHOWN = 60
_TRIGGER_KEYS = tuple(FaultTrigger.model_fields)


def check_reply(reply: Reply, loc: Location, source: Source) -> Iterator[Problem]:
    """Whether a reply that is a list has steps, and whether each of them is reached."""
    if not isinstance(reply, list):
        return
    if not reply:
        message = f'{name_of_value(loc)} must not be empty; an empty answer is written as ""'
        yield source.problem(source.place(loc), message)
    for number, step in enumerate(reply[:-1]):
        if verb := ends_reply(step):
            line = source.place((*loc, number)).line
            message = f'this step is never reached: the reply ends with the "{verb}" on line {line}'
            yield source.problem(source.place((*loc, number + 1)), message, "warning")
            return


def ends_reply(step: Step) -> str | None:
    """The verb of a step after which no other is reached; None where others may be."""
    if isinstance(step, OneOf):
        options = options_of(step)
        lasts = [steps[-1] for one in options if (steps := steps_of(one))]
        return "one_of" if len(lasts) == len(options) and all(map(ends_reply, lasts)) else None
    if not isinstance(step, FaultTrigger) or any(getattr(step, key) is not None for key in _TRIGGER_KEYS):
        return None
    match step:
        case Fail():
            return "fail"
        case Cut():
            return "cut"
        case Stall(stall="forever"):
            return "stall"
    return None


def check_chunks(step: Say | Think | Call | Json, loc: Location, source: Source) -> Iterator[Problem]:
    """Whether the pieces in `chunks` together make what is sent."""
    chunks, (key, written) = step.chunks, _written(step)
    if isinstance(written, list) and key in ("say", "think") and chunks is not None:
        message = f'"{key}" is already given in pieces, so "chunks" has nothing to say'
        yield source.problem(source.key_place((*loc, "chunks")), message)
        return
    if not isinstance(chunks, list) or any(is_template(text) for _loc, text in strings_in([written, *chunks])):
        return
    if written == "auto" and key in ("with", "json"):
        return
    joined = "".join(chunks)
    if isinstance(written, str) and key != "json":
        if joined != written:
            message = f'"chunks" must together make the text of "{key}", but they make {quote(joined)}'
            yield source.problem(source.place((*loc, "chunks")), message)
    elif not _is_json_of(joined, written):
        message = f'"chunks" must together make the JSON of "{key}", but they make {quote(joined)}'
        yield source.problem(source.place((*loc, "chunks")), message)


def explain_json_text(value: Any) -> str | None:
    """The problem with JSON in quotes as the value of `json`, which would be sent as a text in quotes; None for other values."""
    if not isinstance(value, str) or is_template(value) or not value.lstrip().startswith(("{", "[")):
        return None
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return None
    return f"this is sent as a text in quotes; leave the quotes out for the JSON itself: json: {value if len(value) <= _SHOWN else '...'}"


def _written(step: Say | Think | Call | Json) -> tuple[str, Any]:
    """The key whose value is divided, and that value."""
    match step:
        case Say():
            return "say", step.say
        case Think():
            return "think", step.think
        case Call():
            return "with", step.with_
    return "json", step.json_


def _is_json_of(text: str, value: Any) -> bool:
    try:
        return bool(json.loads(text) == value)
    except (ValueError, RecursionError):
        return False
