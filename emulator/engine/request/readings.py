"""Readings of a request's texts that many conditions ask for, each made once for a request and only if it is asked for."""

from collections.abc import Callable
from typing import Any, TypeVar

from emulator.budget import LongWorkError
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

    __slots__ = ("_clock", "_end", "_results", "_searches", "fold", "parse")

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        """With a `clock`, in seconds, `check_time` raises LongWorkError once searches have taken long."""
        self._clock = clock
        self._end = 0.0
        self._searches = 0
        self.fold: Callable[[str], str] = _ReadOnce(str.casefold).__getitem__
        """A text without differences of letter case (`str.casefold`)."""
        self.parse: Callable[[str], Any] = _ReadOnce(parse_or_text).__getitem__
        """A text as JSON, or as it is if it is none."""
        self._results: dict[Callable[[Any], Any], Any] = {}

    @property
    def is_short(self) -> bool:
        """Whether work that takes long has to be done elsewhere."""
        return self._clock is not None

    def check_time(self, length: int) -> None:
        """Note a search in a text of this length. Raises LongWorkError if the searches take long, on an event loop."""
        self._searches += 1
        if self._clock is None or (self._searches % _SEARCHES and length < _LONG_TEXT):
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
