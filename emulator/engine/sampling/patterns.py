"""Texts that match a regular expression: a modest reader of the common ground of JavaScript's, RE2's and Python's syntax.

Lookarounds and word boundaries are read but write nothing; every text is tried against the real expression before use.
"""

import re
import warnings
from collections.abc import Iterator
from dataclasses import field
from functools import lru_cache
from random import Random

from emulator.engine.sampling.expressions import Again, Chars, Choice, Piece, Repeat, Unreadable, parse
from emulator.values import dataclass

LONGEST_TEXT = 100_000
_WIDTHS = (3, 2, 5, 0, 1, 9, 20)
_TRIES_PER_WIDTH = 4
_MOST_WRITTEN = 4 * LONGEST_TEXT
_FILLER = "abcdefghijklmnopqrstuvwxyz"


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    named = re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern)  # JavaScript's spelling of named groups
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return re.compile(named)
        except (re.error, OverflowError, RecursionError):
            return None


def matches(pattern: str, text: str) -> bool:
    """Whether the expression is found in the text; an expression that Python cannot read is taken as found."""
    compiled = _compiled(pattern)
    return compiled is None or compiled.search(text) is not None


@lru_cache(maxsize=512)
def _parsed(pattern: str) -> Choice | None:
    try:
        return parse(pattern)
    except (Unreadable, RecursionError):
        return None


def write_matching(pattern: str, random: Random, least: int, most: int) -> Iterator[str]:
    """Texts of `least` to `most` characters in which the expression is found, the plainest first; none if too hard."""
    tree = _parsed(pattern)
    if tree is None:
        return
    # Counting every repetition up together finds the exact length that a single one needs; halving speeds long ones.
    steps = sorted({*range(min(least, 64)), least, least // 2, most, max(least - 8, 0)})
    written = 0
    for writer in [
        *(_Writer(random, width) for width in _WIDTHS for _ in range(_TRIES_PER_WIDTH)),
        *(_Writer(random, width, exact=True) for width in steps if width <= LONGEST_TEXT),
    ]:
        text = writer.attempt(tree)
        written += writer.length
        if written > _MOST_WRITTEN:
            return
        if text is None:
            continue
        for fitted in _fit(text, pattern, random, max(least, min(most, 1))):
            if least <= len(fitted) <= most and matches(pattern, fitted):
                yield fitted


def _fit(text: str, pattern: str, random: Random, least: int) -> Iterator[str]:
    """The text as it is, then lengthened at an end where the expression has no anchor.

    With an anchor it would not match, and some expressions take for ever to find that out.
    """
    yield text
    missing = least - len(text)
    if 0 < missing <= LONGEST_TEXT:
        filler = "".join(random.choices(_FILLER, k=missing))
        if "$" not in pattern:
            yield text + filler
        if "^" not in pattern.replace("[^", ""):
            yield filler + text


@dataclass(slots=True)
class _Writer:
    """One attempt: repetitions go up to `width` beyond their minimum, or exactly that far."""

    random: Random
    width: int
    exact: bool = False
    groups: dict[str, str] = field(default_factory=dict)
    length: int = 0

    def attempt(self, tree: Choice) -> str | None:
        """A text for the tree; None where it would be too long or a class has no characters."""
        try:
            return self._write(tree)
        except Unreadable:
            return None

    def _write(self, piece: Piece) -> str:
        match piece:
            case Chars():
                self.length += 1
                if self.length > LONGEST_TEXT:
                    raise Unreadable
                return piece.pick(self.random)
            case Choice():
                chosen = self.random.choice(piece.branches)
                text = "".join([self._write(item) for item in chosen])
                for key in piece.keys:
                    self.groups[key] = text
                return "" if piece.silent else text
            case Repeat():
                return "".join([self._write(piece.piece) for _ in range(self._times(piece))])
            case Again():
                return self.groups.get(piece.key, "")

    def _times(self, piece: Repeat) -> int:
        spare = self.width if piece.most is None else min(self.width, piece.most - piece.least)
        if spare < 0 or piece.least > LONGEST_TEXT:
            raise Unreadable
        return piece.least + (spare if self.exact else self.random.randint(0, spare))
