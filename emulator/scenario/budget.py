"""What a template may spend: characters, items, turns of loops, calls.

Everything a template makes is paid from one budget per evaluation, so that no template can hold up the server.
Jinja's own sandbox bounds only `range`.
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from emulator.scenario.templates import MAX_OUTPUT

BUDGET = 16 * 1024 * 1024
"""What one evaluation may spend; a character costs 1."""
TURN = 100
"""What a turn of a loop, a call or a filter costs."""
_ITEM = 10
_MAX_BITS = 4096
_WIDE = re.compile(r"%[^a-zA-Z%]*?(\d{6,}|\*)|\{[^{}]*?(\d{6,}|\{)")

_left: ContextVar[list[int]] = ContextVar("left")
known_names: ContextVar[Mapping[str, Any]] = ContextVar("known_names")
"""The variables of the template that is being evaluated."""


class BudgetError(Exception):
    """The template makes too much of something, or something that cannot be text."""


def open_budget(context: Mapping[str, Any]) -> tuple[Any, Any]:
    """Begins an evaluation; the result is given to `close_budget`."""
    return _left.set([BUDGET]), known_names.set(context)


def close_budget(tokens: tuple[Any, Any]) -> None:
    """Ends an evaluation."""
    _left.reset(tokens[0])
    known_names.reset(tokens[1])


def spend(amount: int) -> None:
    """Pays; raises BudgetError when nothing is left."""
    left = _left.get()
    left[0] -= amount
    if left[0] < 0:
        raise BudgetError("it does too much work")


def weigh(value: Any) -> Any:
    """Pays for a new value and returns it."""
    if isinstance(value, str | bytes | list | tuple | dict):
        if len(value) > MAX_OUTPUT:
            raise BudgetError(f"it makes a value of more than {MAX_OUTPUT:,} characters or items")
        spend(len(value))
    return value


def measure(value: Any) -> Any:
    """Pays for everything inside a value, which a few repeated lists can make endless, and returns it."""
    waiting = [value]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            # Only what is repeated can grow: the texts of a request are there already.
            spend(len(found) if id(found) in seen else 0)
            seen.add(id(found))
        elif isinstance(found, list | tuple | dict):
            spend(len(found) * _ITEM)
            waiting += found.values() if isinstance(found, dict) else found
    return value


def check_operator(operator: str, left: Any, right: Any) -> None:
    """Raises BudgetError before an operator makes something huge."""
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
    """Raises BudgetError when a number is too large for a width or a count."""
    for value in values:
        if isinstance(value, int) and abs(value) > MAX_OUTPUT:
            raise BudgetError(f"{value} is too large here")


def check_product(length: int, times: int) -> None:
    """Raises BudgetError when a text may become as long as the product of two lengths."""
    if length * times > BUDGET:
        raise BudgetError("it makes too long a text")


def check_widths(text: str) -> None:
    """Raises BudgetError when a format asks for a huge width, or for one that is only known later."""
    if _WIDE.search(text):
        raise BudgetError("a width in it is too large")
