"""Whether the error catalogue knows what a scenario calls an error."""

from emulator.catalogue import errors as catalogue
from emulator.scenario.words import find_near, join, quote

_LONGEST_KEY = 100


def explain_unknown_error(key: int | str) -> str | None:
    """What is wrong with a number, a status or a name of an error, with the nearest correct spelling; None if nothing is."""
    text = str(key)
    if len(text) <= _LONGEST_KEY and catalogue.find(key) is not None:
        return None
    known = catalogue.names()
    near = None if text.isdecimal() else find_near(text, known)
    numbers = [name for name in known if name.isdecimal()]
    hint = f'did you mean "{near}"?' if near else f"use {join(numbers, 'or')}, a status such as UNAVAILABLE, or a name"
    return f"the error catalogue has no {quote(key)}; {hint}"
