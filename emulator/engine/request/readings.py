"""Readings of a request's texts that many conditions ask for, each made once for a request and only if it is asked for."""

from collections.abc import Callable
from typing import Any, TypeVar

from emulator.wire.json_text import parse_or_text

Reading = TypeVar("Reading")
Subject = TypeVar("Subject")


class _ReadOnce(dict[str, Reading]):
    """What a function makes of texts, called once for each."""

    def __init__(self, read: Callable[[str], Reading]) -> None:
        self._read = read

    def __missing__(self, text: str) -> Reading:
        found = self[text] = self._read(text)
        return found


class Readings:
    """The texts of one request in the forms in which conditions compare them; it lives as long as the request's facts."""

    __slots__ = ("_results", "fold", "parse")

    def __init__(self) -> None:
        self.fold: Callable[[str], str] = _ReadOnce(str.casefold).__getitem__
        """A text without differences of letter case (`str.casefold`)."""
        self.parse: Callable[[str], Any] = _ReadOnce(parse_or_text).__getitem__
        """A text as JSON, or as it is if it is none."""
        self._results: dict[Callable[[Any], Any], Any] = {}

    def once(self, function: Callable[[Subject], Reading], subject: Subject) -> Reading:
        """The result of a function of the request's facts, called once however many rules ask for it."""
        if function not in self._results:
            self._results[function] = function(subject)
        found: Reading = self._results[function]
        return found
