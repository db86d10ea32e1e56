"""Readings of a request's texts that many conditions ask for, each made once for a request and only if it is asked for."""

from collections.abc import Callable
from typing import Any, TypeVar

from emulator.budget import LongWorkError
from emulator.scenario.patterns import Pattern, Searches
from emulator.wire.json_text import parse_or_text

MAX_SEARCH_SECONDS = 0.01
"""Seconds of a processor that regular expressions may search a request's texts on an event loop."""
_SEARCHES = 8
_LONG_TEXT = 4096
"""How often the clock is read: every so many searches, and behind each in a text of this length."""

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

    __slots__ = ("_clock", "_count", "_end", "_found", "_results", "_searches", "fold", "parse")

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        """With a `clock`, in seconds, `is_found` raises LongWorkError once searches have taken long."""
        self._clock = clock
        self._end = 0.0
        self._count = 0
        self._searches = Searches()
        self._found: dict[tuple[Pattern, str], bool] = {}
        self.fold: Callable[[str], str] = _ReadOnce(str.casefold).__getitem__
        """A text without differences of letter case (`str.casefold`)."""
        self.parse: Callable[[str], Any] = _ReadOnce(parse_or_text).__getitem__
        """A text as JSON, or as it is if it is none."""
        self._results: dict[Callable[[Any], Any], Any] = {}

    def is_found(self, pattern: Pattern, text: str) -> bool:
        """Whether a pattern is found in a text, searched for once however often it is asked.

        Raises:
            PatternError: The searches would take too long.
            LongWorkError: They take long, on an event loop.
        """
        found = self._found.get((pattern, text))
        if found is None:
            if len(text) < _LONG_TEXT or pattern.may_match(self.fold(text)):
                match = pattern.search(text, is_short=self._clock is not None, searches=self._searches)
                found = match is not None
            else:
                found = False
            self._found[pattern, text] = found
            self._check_time(len(text))
        return found

    def _check_time(self, length: int) -> None:
        self._count += 1
        if self._clock is None or (self._count % _SEARCHES and length < _LONG_TEXT):
            return
        now = self._clock()
        if not self._end:
            self._end = now + MAX_SEARCH_SECONDS
        elif now > self._end:
            raise LongWorkError

    def once(self, function: Callable[[Subject], Reading], subject: Subject) -> Reading:
        """The result of a function of the request's facts, called once however many rules ask for it."""
        if function not in self._results:
            self._results[function] = function(subject)
        found: Reading = self._results[function]
        return found
