"""Whether an error that a scenario names is in the catalogue."""

from collections.abc import Sequence

from emulator.catalogue import errors as catalogue
from emulator.suggestions import did_you_mean, find_near, join, quote

_LONGEST_KEY = 100


def explain_unknown_error(key: int | str) -> str | None:
    """What is wrong with an HTTP status, a status name or an error's name, with a suggestion; None if it is known."""
    if len(str(key)) <= _LONGEST_KEY and catalogue.find(key) is not None:
        return None
    hint = _suggest(str(key), catalogue.names(), "a status such as UNAVAILABLE, or a name")
    return f"the error catalogue has no {quote(key)}; {hint}"


def explain_unknown_token_error(key: int | str) -> str | None:
    """The same for an error of the token endpoints."""
    if len(str(key)) <= _LONGEST_KEY and catalogue.find_token_error(key) is not None:
        return None
    known = catalogue.token_error_names()
    return (
        f"the token endpoints have no error {quote(key)}; {_suggest(str(key), known, f'or a name such as {known[0]}')}"
    )


def _suggest(text: str, known: Sequence[str], others: str) -> str:
    if not text.isdecimal() and (near := find_near(text, known)):
        return did_you_mean(near)
    return f"use {join([name for name in known if name.isdecimal()], 'or')}, {others}"
