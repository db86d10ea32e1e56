"""Whether one test of a value follows from another: `contains: weather` from `equals: the weather in Oslo`.

Only what is simple and certain is found; where nothing is found, the two may still be related.
"""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from emulator.scenario.operators import Test

Operators = dict[str, Any]
_WILD = re.compile(r"[*?\[]")


def list_operators(test: str | Test | Operators, short: str) -> Operators:
    """A test as operators; `short` is the operator that a plain text stands for."""
    if isinstance(test, dict):
        return test
    if isinstance(test, str):
        return {short: test}
    return {name: value for name, value in vars(test).items() if value is not None}


def entails(
    given: str | Test | Operators, wanted: str | Test | Operators, short: str, *, is_many: bool = False
) -> bool:
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
    """Whether there must be a value for the test to pass: what is absent passes a mere `not`."""
    if isinstance(test, Test | dict):
        return any(name != "not_" for name in list_operators(test, "equals"))
    return test not in (None, False)


def holds(test: str | Test | Operators, value: str, short: str) -> bool:
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


def find_parts(given: Operators) -> list[str]:
    """Texts in lower case that occur in every value that passes."""
    written = [given[name].casefold() for name in ("contains", "starts_with", "ends_with") if name in given]
    return [*written, *_pieces(given)]


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
        return any(middle in part for part in find_parts(given))
    if wanted.endswith("*"):
        return any(part.startswith(middle) for part in _beginnings(given))
    return any(part.endswith(middle) for part in _endings(given))


def _pieces(given: Operators) -> list[str]:
    glob = given.get("glob", "").casefold()
    # A set such as [ab] is cut off with all that follows: it is no literal text.
    return re.split(r"[*?]", glob.split("[")[0] + ("*" if "[" in glob else ""))


def _beginnings(given: Operators) -> list[str]:
    return [given[name].casefold() for name in ("starts_with",) if name in given] + _pieces(given)[:1]


def _endings(given: Operators) -> list[str]:
    return [given[name].casefold() for name in ("ends_with",) if name in given] + _pieces(given)[-1:]


_FOLLOWS: dict[str, Callable[[Operators, str], bool]] = {
    "contains": lambda given, wanted: any(wanted in part for part in find_parts(given)),
    "starts_with": lambda given, wanted: any(part.startswith(wanted) for part in _beginnings(given)),
    "ends_with": lambda given, wanted: any(part.endswith(wanted) for part in _endings(given)),
    "glob": _follows_glob,
}

_HOLDS: dict[str, Callable[[Any, str], bool]] = {
    "equals": lambda wanted, value: bool(wanted == value),
    "contains": lambda wanted, value: wanted.casefold() in value.casefold(),
    "starts_with": lambda wanted, value: value.casefold().startswith(wanted.casefold()),
    "ends_with": lambda wanted, value: value.casefold().endswith(wanted.casefold()),
    "glob": lambda wanted, value: fnmatchcase(value.casefold(), wanted.casefold()),
    "regex": lambda wanted, value: re.search(wanted, value) is not None,
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
