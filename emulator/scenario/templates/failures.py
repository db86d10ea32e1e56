"""What goes wrong in a template, in the words of the scenario language."""

import re
from collections.abc import Callable

from emulator.budget import BudgetError
from emulator.errors import AnswerError


class TemplateError(AnswerError):
    """A template that cannot be read, or that failed for this request.

    `near` is the part of the text that is wrong, empty when that is not known.
    """

    def __init__(self, message: str, near: str = "") -> None:
        self.near = near
        super().__init__(message)


TOO_DEEP = "it is nested too deeply"

_KINDS = {
    "NoneType": "nothing",
    "bool": "true or false",
    "dict": "a mapping",
    "float": "a number",
    "int": "a number",
    "list": "a list",
    "str": "a text",
}


def _kind(name: str) -> str:
    return _KINDS.get(name, name)


# The words are CPython's; the groups are names of types.
_TYPE_ERRORS: dict[str, Callable[[re.Match[str]], str]] = {
    r"unsupported operand type\(s\) for (\S+?):? '(\w+)' and '(\w+)'": lambda found: (
        f'"{found[1].rstrip(":")}" does not go between {_kind(found[2])} and {_kind(found[3])}'
    ),
    r"can only concatenate (\w+) \(not \"(\w+)\"\)": lambda found: (
        f'"+" does not go between {_kind(found[1])} and {_kind(found[2])}; "~" joins as text'
    ),
    r"'(\S+)' not supported between instances of '(\w+)' and '(\w+)'": lambda found: (
        f'{_kind(found[2])} and {_kind(found[3])} cannot be compared with "{found[1]}"'
    ),
    r"'(\w+)' object is not iterable": lambda found: f"{_kind(found[1])} has no items to go through",
    r"'(\w+)' object is not callable": lambda found: f"{_kind(found[1])} cannot be called",
    r"object of type '(\w+)' has no len": lambda found: f"{_kind(found[1])} has no length",
    r"Object of type (\w+) is not JSON serializable": lambda found: f"{_kind(found[1])} cannot be written as JSON",
    r"Out of range float values are not JSON compliant": lambda _found: "JSON has no number for infinity or NaN",
}


def explain_failure(error: Exception) -> str:
    """What went wrong in a template, for the end of a sentence."""
    from jinja2.exceptions import SecurityError, UndefinedError  # noqa: PLC0415 - jinja2 is slow to import

    match error:
        case BudgetError() | UndefinedError():
            return str(error)
        case SecurityError():
            return str(error) if str(error).startswith('"') else "it does something that templates may not do"
        case OverflowError() if "Range too big" in str(error):
            return "a range has more than 100,000 numbers"
        case OverflowError():
            return "a number in it is too large"
        case MemoryError():
            return "it makes too much"
        case ZeroDivisionError():
            return "it divides by zero"
        case RecursionError():
            return TOO_DEEP
    for pattern, explain in _TYPE_ERRORS.items():
        if found := re.search(pattern, str(error)):
            return explain(found)
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
