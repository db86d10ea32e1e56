"""Whether one `when` implies another, and whether it can hold at all.

Only simple and certain implications are found, because a wrong warning is worse than none.
"""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from emulator.scenario.patterns import PatternError, compile_pattern
from emulator.scenario.when import ResultTest, Test, When

Operators = dict[str, Any]
AnyTest = str | Test | list[Any] | Operators
"""A test as it is written, or as operators."""
_WILD = re.compile(r"[*?\[]")


def list_operators(test: AnyTest, short: str) -> Operators:
    """A test as operators; `short` is the operator that a plain text stands for, and a list is `any_of`."""
    if isinstance(test, dict):
        return test
    if isinstance(test, list):
        return {"any_of": test}
    if isinstance(test, str):
        return {short: test}
    return {name: value for name, value in vars(test).items() if value is not None}


def entails(given: AnyTest, wanted: AnyTest, short: str, *, is_many: bool = False) -> bool:
    """Whether whatever passes the given test passes the wanted one.

    `is_many` is for what a request may have several of: one of them must pass, but none may be what `not` rules out.
    """
    operators, demanded = list_operators(given, short), list_operators(wanted, short)
    for name, value in demanded.items():
        if name == "not_" and is_many:
            if "not_" not in operators or not entails(value, operators["not_"], short):
                return False
        elif not _follows(operators, name, value, short):
            return False
    return demands_value(operators) or not demands_value(demanded)


def demands_value(test: Any) -> bool:
    """Whether a test passes only if there is a value: a mere `not` passes without one."""
    if isinstance(test, Test | dict):
        return any(name != "not_" for name in list_operators(test, "equals"))
    return test not in (None, False)


def holds(test: AnyTest, value: str, short: str) -> bool:
    """Whether a value passes a test."""
    return all(_holds(name, wanted, value, short) for name, wanted in list_operators(test, short).items())


def find_literal(test: Any, short: str) -> str | None:
    """The one value that passes a test, letter case aside; None when there may be several."""
    if not isinstance(test, str | Test):
        return None
    operators = list_operators(test, short)
    if "equals" in operators:
        return str(operators["equals"])
    glob = operators.get("glob")
    return glob if glob is not None and not _WILD.search(glob) else None


def find_substrings(given: Operators) -> list[str]:
    """Texts in lower case that occur in every value that passes a test."""
    written = [given[name].casefold() for name in ("contains", "starts_with", "ends_with") if name in given]
    return [*written, *_glob_literals(given)]


def contains_json(whole: Any, part: Any) -> bool:
    """Whether JSON contains other JSON: keys not named may have any value, lists may have more items."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and contains_json(whole[key], value) for key, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(contains_json(item, wanted) for item in whole) for wanted in part)
    return isinstance(whole, bool) == isinstance(part, bool) and bool(whole == part)


def _follows(given: Operators, name: str, wanted: Any, short: str) -> bool:
    if name in given and given[name] == wanted:
        return True
    if "any_of" in given and all(entails(option, {name: wanted}, short) for option in given["any_of"]):
        return True
    if "equals" in given and name != "json_" and _holds(name, wanted, given["equals"], short):
        return True
    match name:
        case "any_of":
            return any(entails(given, option, short) for option in wanted)
        case "not_":
            return "not_" in given and entails(wanted, given["not_"], short)
        case "json_":
            return "json_" in given and contains_json(given["json_"], wanted)
    return name in _FOLLOWS and _FOLLOWS[name](given, wanted.casefold())


def _follows_glob(given: Operators, wanted: str) -> bool:
    literal = find_literal(given.get("glob"), "glob")
    if literal is not None and fnmatchcase(literal.casefold(), wanted):
        return True
    middle = wanted.strip("*")
    if _WILD.search(middle) or len(wanted) - len(middle) == 0:
        return False
    if wanted.startswith("*") and wanted.endswith("*"):
        return any(middle in part for part in find_substrings(given))
    if wanted.endswith("*"):
        return any(part.startswith(middle) for part in _known_prefixes(given))
    return any(part.endswith(middle) for part in _known_suffixes(given))


def _glob_literals(given: Operators) -> list[str]:
    glob = given.get("glob", "").casefold()
    # A set such as [ab] is cut off with all that follows: it is no literal text.
    return re.split(r"[*?]", glob.split("[")[0] + ("*" if "[" in glob else ""))


def _known_prefixes(given: Operators) -> list[str]:
    return [given[name].casefold() for name in ("starts_with",) if name in given] + _glob_literals(given)[:1]


def _known_suffixes(given: Operators) -> list[str]:
    return [given[name].casefold() for name in ("ends_with",) if name in given] + _glob_literals(given)[-1:]


_FOLLOWS: dict[str, Callable[[Operators, str], bool]] = {
    "contains": lambda given, wanted: any(wanted in part for part in find_substrings(given)),
    "starts_with": lambda given, wanted: any(part.startswith(wanted) for part in _known_prefixes(given)),
    "ends_with": lambda given, wanted: any(part.endswith(wanted) for part in _known_suffixes(given)),
    "glob": _follows_glob,
}

_HOLDS: dict[str, Callable[[Any, str], bool]] = {
    "equals": lambda wanted, value: bool(wanted == value),
    "contains": lambda wanted, value: wanted.casefold() in value.casefold(),
    "starts_with": lambda wanted, value: value.casefold().startswith(wanted.casefold()),
    "ends_with": lambda wanted, value: value.casefold().endswith(wanted.casefold()),
    "glob": lambda wanted, value: fnmatchcase(value.casefold(), wanted.casefold()),
    "regex": lambda wanted, value: compile_pattern(wanted).search(value) is not None,
}


def _holds(name: str, wanted: Any, value: str, short: str) -> bool:
    match name:
        case "any_of":
            return any(holds(option, value, short) for option in wanted)
        case "not_":
            return not holds(wanted, value, short)
        case "json_":
            return False
    return _HOLDS[name](wanted, value)


PROSE = {"last_user", "any_user", "system", "tool_result"}
_TARGET = {"model", "publisher", "api_version", "project", "location", "endpoint"}
NAMES = _TARGET | {"tool_choice", "response_format"}
_MANY = {"any_user", "tool_result", "tool_choice", "response_format"}
_TOOL_ROLES = {"tool", "function"}
_ENDLESS = 10**9


def list_conditions(when: When) -> dict[str, Any]:
    """The conditions of a `when` that are set, by the names of its fields."""
    return {name: value for name in When.model_fields if (value := getattr(when, name)) is not None}


def implies(given: When, wanted: When) -> bool:
    """Whether every request that matches `given` matches `wanted`."""
    return all(
        _condition_follows(given, name, value)
        for name in wanted.model_fields_set
        if (value := getattr(wanted, name)) is not None
    )


def find_contradiction(when: When) -> str | None:
    """Why no request can ever match a `when`, None when no contradiction is found."""
    try:
        return _find_contradiction(when)
    except PatternError:
        return None


def explain_slow_pattern(when: When) -> str | None:
    """The problem with a regular expression that would take too long on the other tests of its `when`."""
    try:
        _find_contradiction(when)
    except PatternError as error:
        return str(error)
    return None


def _find_contradiction(when: When) -> str | None:
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


def _condition_follows(given: When, name: str, wanted: Any) -> bool:
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
    if _follows_from_others(given, name, wanted) or any(
        _condition_follows(part, name, wanted) for part in given.all or ()
    ):
        return True
    return bool(given.any) and all(_condition_follows(part, name, wanted) for part in given.any or ())


def _excludes(given: When, ruled_out: When) -> bool:
    """Whether the given conditions exclude the others; found only for a single simple condition."""
    conditions = list_conditions(ruled_out)
    if len(conditions) != 1:
        return False
    ((name, value),) = conditions.items()
    if isinstance(value, bool):
        return _condition_follows(given, name, not value)
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
        case "after_tool":
            return _names_imply(_as_one_test(own), _as_one_test(wanted))
        case "tools":
            return _names_imply(own, wanted)
        case "header":
            return _headers_imply(own, wanted)
    return contains_json(own, wanted)


def _as_one_test(test: Any) -> Any:
    return list_operators(test, "glob") if isinstance(test, list) else test


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


def _follows_from_others(given: When, name: str, wanted: Any) -> bool:
    """Whether a condition follows from one of another name."""
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
