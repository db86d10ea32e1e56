"""Wording of problem messages: quoting values, listing accepted ones, suggesting the nearest spelling."""

from collections.abc import Iterable, Sequence
from typing import Any

_SHOWN = 9
_FEW = 3
_LONGEST_QUOTE = 40


def _find_close(word: str, known: Iterable[str], n: int, cutoff: float = 0.6) -> list[str]:
    from difflib import get_close_matches  # noqa: PLC0415  # only mistakes need it

    return get_close_matches(word, list(known), n, cutoff)


def quote(value: Any) -> str:
    """A found value as a message shows it: text in quotes and shortened, a list or mapping by its kind."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a mapping" if value else "an empty mapping"
    text = " ".join(str(value).split())
    return f'"{text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"}"'


def join(words: Iterable[str], conjunction: str) -> str:
    """`a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} {conjunction} {last}" if most else last


def find_near(word: str, known: Iterable[str]) -> str | None:
    """The known spelling nearest to a word, case ignored; None when none is near."""
    spellings = list(known)
    if near := _find_close(word, spellings, n=1):
        return near[0]
    by_folded = {name.casefold(): name for name in spellings}
    near = _find_close(word.casefold(), by_folded, n=1)
    return by_folded[near[0]] if near else None


def did_you_mean(spelling: str) -> str:
    """`did you mean "x"?`, the only place that words this."""
    return f'did you mean "{spelling}"?'


def suggest_one(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or nothing when no known word is near."""
    near = find_near(word, known)
    return f"; {did_you_mean(near)}" if near else ""


def suggest(word: str, known: Sequence[str]) -> str:
    """`; did you mean "x"?`, or else the known words: all when they are few, the nearest when they are many."""
    if near := suggest_one(word, known):
        return near
    if not known:
        return ""
    if len(known) <= _SHOWN:
        return f"; expected {join(known, 'or')}"
    return f"; the nearest are {join(_find_close(word, known, n=_FEW, cutoff=0.0), 'and')}"


def list_accepted(word: str, accepted: Sequence[str]) -> str:
    """The values that are accepted: all when they are few, else the nearest ones."""
    if len(accepted) <= _SHOWN:
        return join(accepted, "or")
    nearest = _find_close(word, accepted, n=_FEW, cutoff=0.0)
    return f"one of {len(accepted)} names such as {join(nearest, 'and')}"
