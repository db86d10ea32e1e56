"""Whether one `when` follows from another, and whether one can hold at all.

Only what is simple and certain is found: warnings rest on it, and a wrong warning is worse than none.
"""

from typing import Any

from emulator.scenario.implying import (
    contains_json,
    demands_value,
    entails,
    find_literal,
    holds,
    list_operators,
)
from emulator.scenario.operators import ResultTest, Test
from emulator.scenario.when import When

PROSE = {"last_user", "any_user", "system", "tool_result"}
_TARGET = {"model", "publisher", "api_version", "project", "location", "endpoint"}
NAMES = _TARGET | {"tool_choice", "response_format"}
_MANY = {"any_user", "tool_result", "tool_choice", "response_format"}
_TOOL_ROLES = {"tool", "function"}
_ENDLESS = 10**9


def list_conditions(when: When) -> dict[str, Any]:
    """What a `when` gives, by the names of its fields."""
    return {name: value for name in When.model_fields if (value := getattr(when, name)) is not None}


def implies(given: When, wanted: When) -> bool:
    """Whether every request that fulfils `given` fulfils `wanted`."""
    return all(
        _follows(given, name, value) for name in wanted.model_fields_set if (value := getattr(wanted, name)) is not None
    )


def find_contradiction(when: When) -> str | None:
    """Why no request can ever fulfil a `when`, None when nothing speaks against it."""
    if when.not_ is not None and implies(when.model_copy(update={"not_": None}), when.not_):
        return '"not" rules out what the other conditions demand'
    roles = set(_as_list(when.last))
    if roles and not roles & _TOOL_ROLES:
        for name in ("after_tool", "tool_result"):
            if demands_value(getattr(when, name)):
                return f'"{name}" demands that a tool result comes last, "last" that it does not'
    if roles and roles <= _TOOL_ROLES and when.after_tool is False:
        return '"last" demands that a tool result comes last, "after_tool: false" that none does'
    if when.after_tool is False and demands_value(when.tool_result):
        return '"tool_result" demands a tool result at the end, "after_tool: false" that there is none'
    return _find_in_tests(when)


def _find_in_tests(when: When) -> str | None:
    for name, value in list_conditions(when).items():
        if not isinstance(value, Test) or isinstance(value, ResultTest):
            continue
        short = "contains" if name in PROSE else "glob"
        operators = list_operators(value, short)
        rest = {key: wanted for key, wanted in operators.items() if key != "equals"}
        if value.equals is not None and not holds(rest, value.equals, short):
            return f'the tests of "{name}" contradict each other'
        positive = {key: wanted for key, wanted in operators.items() if key != "not_"}
        if value.not_ is not None and positive and entails(positive, value.not_, short):
            return f'"not" in "{name}" rules out what its other tests demand'
    return None


def _follows(given: When, name: str, wanted: Any) -> bool:
    match name:
        case "all":
            return all(implies(given, part) for part in wanted)
        case "any":
            return given.any == wanted or any(implies(given, part) for part in wanted)
        case "not_":
            return (given.not_ is not None and implies(wanted, given.not_)) or _excludes(given, wanted)
    own = getattr(given, name)
    if own is not None and ((isinstance(own, str) and own == wanted) or _value_implies(name, own, wanted)):
        return True
    if _follows_elsewhere(given, name, wanted) or any(_follows(part, name, wanted) for part in given.all or ()):
        return True
    return bool(given.any) and all(_follows(part, name, wanted) for part in given.any or ())


def _excludes(given: When, ruled_out: When) -> bool:
    """Whether what is given can never be what is ruled out; only for one condition that is plain."""
    conditions = list_conditions(ruled_out)
    if len(conditions) != 1:
        return False
    ((name, value),) = conditions.items()
    if isinstance(value, bool):
        return _follows(given, name, not value)
    literal = find_literal(getattr(given, name), "glob") if name in _TARGET else None
    return literal is not None and isinstance(value, str) and not holds(value, literal, "glob")


def _value_implies(name: str, own: Any, wanted: Any) -> bool:
    if name in PROSE | NAMES:
        return entails(own, wanted, "contains" if name in PROSE else "glob", is_many=name in _MANY)
    match name:
        case "stream":
            return bool(own is wanted)
        case "turn":
            (low, high), (least, most) = read_turns(own), read_turns(wanted)
            return least <= low and high <= most
        case "last":
            return set(_as_list(own)) <= set(_as_list(wanted))
        case "has" | "modalities":
            return set(_as_list(own)) >= set(_as_list(wanted))
        case "after_tool" | "tools":
            return _names_imply(own, wanted)
        case "header":
            return _headers_imply(own, wanted)
    return contains_json(own, wanted)


def _names_imply(own: Any, wanted: Any) -> bool:
    if wanted is True:
        return demands_value(own)
    if own is False or wanted is False:
        return own is wanted
    if wanted == "auto" or own == "auto":
        return bool(own == wanted)
    owned = _as_list(own)
    return all(any(item is not True and entails(item, each, "glob") for item in owned) for each in _as_list(wanted))


def _headers_imply(own: dict[str, Any], wanted: dict[str, Any]) -> bool:
    given = {name.lower(): value for name, value in own.items()}
    for name, value in wanted.items():
        found = given.get(name.lower())
        is_present = value is True and demands_value(found)
        if found is None or (not is_present and (type(found) is not type(value) or found != value)):
            return False
    return True


def _follows_elsewhere(given: When, name: str, wanted: Any) -> bool:
    """What follows from a condition of another name."""
    match name:
        case "any_user":
            last = given.last_user
            return demands_value(last) and last is not None and entails(last, wanted, "contains", is_many=True)
        case "publisher":
            model = find_literal(given.model, "glob") or ""
            return "/" in model and holds(wanted, model.split("/")[0], "glob")
        case "last":
            return _demands_tool_result(given) and set(_as_list(wanted)) >= _TOOL_ROLES
        case "after_tool" if wanted is True:
            return demands_value(given.tool_result)
        case "after_tool" if wanted is False:
            return given.last is not None and not set(_as_list(given.last)) & _TOOL_ROLES
    return False


def _demands_tool_result(when: When) -> bool:
    return demands_value(when.tool_result) or demands_value(when.after_tool)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def read_turns(text: str) -> tuple[int, int]:
    """The first and last turn of `3`, `2-4` or `3+`."""
    if text.endswith("+"):
        return int(text[:-1]), _ENDLESS
    first, _, last = text.partition("-")
    return int(first), int(last or first)
