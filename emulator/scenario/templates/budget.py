"""The work budget of a template: characters, items, loop iterations and calls are counted and limited per evaluation.

Without it a template could block the server: Jinja's own sandbox limits only `range`.
"""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from emulator.errors import AnswerError

BUDGET = 16 * 1024 * 1024
"""Units of work of one evaluation; a character costs 1."""
TURN = 100
"""Units that an iteration of a loop, a call or a filter costs."""
_ITEM = 10
_MAX_BITS = 4096
_WIDE = re.compile(r"%[^a-zA-Z%]*?(\d{6,}|\*)|\{[^{}]*?(\d{6,}|\{)")

_left: ContextVar[list[int]] = ContextVar("left")
known_names: ContextVar[Mapping[str, Any]] = ContextVar("known_names")
"""The variables of the template that is being evaluated."""


class BudgetError(Exception):
    """The template exceeds its budget or a limit, or makes something that cannot be text."""


def open_budget(context: Mapping[str, Any]) -> tuple[Any, Any]:
    """Start an evaluation; the result is passed to `close_budget`."""
    return _left.set([BUDGET]), known_names.set(context)


def close_budget(tokens: tuple[Any, Any]) -> None:
    """End an evaluation."""
    _left.reset(tokens[0])
    known_names.reset(tokens[1])


def spend(amount: int) -> None:
    """Take units from the budget. Raises BudgetError when none are left."""
    left = _left.get()
    left[0] -= amount
    if left[0] < 0:
        raise BudgetError("it does too much work")


def weigh(value: Any) -> Any:
    """Charge for the length of a new value and return it."""
    if isinstance(value, str | bytes | list | tuple | dict):
        if len(value) > MAX_OUTPUT:
            raise BudgetError(f"it makes a value of more than {MAX_OUTPUT:,} characters or items")
        spend(len(value))
    return value


def measure(value: Any) -> Any:
    """Charge for everything inside a value, which shared lists can make exponentially large, and return it."""
    pending = [value]
    seen: set[int] = set()
    while pending:
        found = pending.pop()
        if isinstance(found, str):
            # Only repetition makes a text grow: those of the request exist already.
            spend(len(found) if id(found) in seen else 0)
            seen.add(id(found))
        elif isinstance(found, list | tuple | dict):
            spend(len(found) * _ITEM)
            pending += found.values() if isinstance(found, dict) else found
    return value


def check_operator(operator: str, left: Any, right: Any) -> None:
    """Raise BudgetError before an operator makes something huge."""
    sized = (str, bytes, list, tuple)
    if operator == "*":
        for value, times in ((left, right), (right, left)):
            if isinstance(value, sized) and isinstance(times, int) and len(value) * times > MAX_OUTPUT:
                raise BudgetError(f"it repeats something to more than {MAX_OUTPUT:,} characters or items")
    if operator == "%" and isinstance(left, str):
        check_widths(left)
        measure(right)
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * max(right, 1) if operator == "**" else left.bit_length() + right.bit_length()
        if bits > _MAX_BITS:
            raise BudgetError("it makes a number of too many digits")


def check_numbers(*values: Any) -> None:
    """Raise BudgetError when a number is too large for a width or a count."""
    for value in values:
        if isinstance(value, int) and abs(value) > MAX_OUTPUT:
            raise BudgetError(f"{value} is too large here")


def check_product(length: int, times: int) -> None:
    """Raise BudgetError when the product of two lengths, which a text may reach, exceeds the budget."""
    if length * times > BUDGET:
        raise BudgetError("it makes too long a text")


def check_widths(text: str) -> None:
    """Raise BudgetError when a format has a huge width, or one that is only known when it runs."""
    if _WIDE.search(text):
        raise BudgetError("a width in it is too large")


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
        case ZeroDivisionError():
            return "it divides by zero"
        case RecursionError():
            return "it is nested too deeply"
    for pattern, explain in _TYPE_ERRORS.items():
        if found := re.search(pattern, str(error)):
            return explain(found)
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


MAX_OUTPUT = 1024 * 1024
"""How many characters a template may make."""


class TemplateError(AnswerError):
    """A template that cannot be read, or that failed for this request.

    `near` is the part of the text that is wrong, empty when that is not known.
    """

    def __init__(self, message: str, near: str = "") -> None:
        self.near = near
        super().__init__(message)
