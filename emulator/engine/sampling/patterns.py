"""Patterns of schemas: whether one is found in a text, and texts in which it is found.

RE2 matches, in a time that is linear in the text whatever the pattern. What RE2 cannot read (lookarounds, back references, a program
of megabytes) counts as absent there, with a warning, but texts are written for it all the same.

Texts are written by a parser and a writer of our own: packages that make text for a pattern read Python's expressions only and need its
private parser, cannot be given lengths, or choose characters that look like noise.
"""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from emulator.budget import Budget

_DIGIT = ((48, 57),)
_WORD = ((97, 122), (65, 90), (48, 57), (95, 95))
_SPACE = ((32, 32), (9, 13))
_ANY = ((97, 122),)
_CLASSES = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_PROPERTIES = {"L": ((97, 122), (65, 90)), "N": _DIGIT, "P": ((45, 46),), "Z": ((32, 32),), "S": ((43, 43),)}
_LOWER, _UPPER = ((97, 122),), ((65, 90),)
_PRINTABLE = tuple(
    map(ord, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_ .,:;!?/+*=#@$%&()'\"<>|~^[]{}\\`")
)
_LAST_PICKED = 0x3000
_COUNTS = re.compile(r"\{(?:(\d{1,9})(?:(,)(\d{1,9})?)?|,(\d{1,9}))\}")
_GROUP_OPENING = re.compile(
    r"\?(?:P?<([A-Za-z_]\w*)>|(<?[=!])|P=([A-Za-z_]\w*)|(#)|(?:[a-zA-Z]*(?:-[a-zA-Z]+)?)([:)])|(>))"
)

_SHORT_CODE = re.compile(r"\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2})")
_LONG_CODE = re.compile(r"\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{4})")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|.)", re.DOTALL)
_IGNORES_CASE = re.compile(r"\(\?[a-zA-Z]*i")
_PROPERTY = re.compile(r"\{\^?(?:\w+=)?(\w+)\}|(\w)")

Ranges = tuple[tuple[int, int], ...]


class Unreadable(ValueError):  # noqa: N818  # callers catch it and go on
    """An expression that is broken, too large, or uses what is not understood here."""


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of ranges of code points, or out of everything else."""

    ranges: Ranges
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Branches, of which one is written; what it wrote is kept under its keys (number, name) for back references."""

    branches: "tuple[tuple[Piece, ...], ...]"
    keys: tuple[str, ...] = ()
    silent: bool = False
    """A lookaround: it writes nothing itself."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """A piece written `least` to `most` times; no `most` means no end."""

    piece: "Piece"
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Again:
    """What the group of that number or name wrote, again."""

    key: str


Piece = Chars | Choice | Repeat | Again


def parse(pattern: str, budget: Budget) -> Choice:
    """The tree of an expression.

    Raises:
        Unreadable: It is broken or uses what is not understood here.
        BudgetError: It is too long.
    """
    budget.spend(_READING * len(pattern), _TOO_LONG)
    reader = _Reader(pattern, budget)
    tree = reader.choice(())
    if not reader.is_done():
        raise Unreadable
    return tree


class _Reader:
    def __init__(self, pattern: str, budget: Budget) -> None:
        self._pattern = pattern
        self._budget = budget
        self._at = 0
        self._groups = 0

    def is_done(self) -> bool:
        return self._at >= len(self._pattern)

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise Unreadable
        self._at += 1
        return char

    def choice(self, keys: tuple[str, ...], *, silent: bool = False) -> Choice:
        branches: list[tuple[Piece, ...]] = []
        branch: list[Piece] = []
        while not self.is_done() and self._peek() != ")":
            if self._peek() == "|":
                self._take()
                branches.append(tuple(branch))
                branch = []
                continue
            piece = self._piece()
            if piece is not None:
                branch.append(self._repeated(piece))
        return Choice((*branches, tuple(branch)), keys, silent=silent)

    def _piece(self) -> Piece | None:
        match self._take():
            case "^" | "$":
                return None
            case ".":
                return Chars(_ANY)
            case "(":
                return self._group()
            case "[":
                return self._class()
            case "\\":
                return self._escape()
            case "*" | "+" | "?":
                raise Unreadable
            case char:
                return Chars(((ord(char), ord(char)),))

    def _repeated(self, piece: Piece) -> Piece:
        simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        while True:
            counted = _COUNTS.match(self._pattern, self._at)
            if self._peek() in simple and self._peek():
                least, most = simple[self._take()]
            elif counted:
                self._at = counted.end()
                low, comma, high, only_high = counted.groups()
                least = int(low or 0)
                most = int(high or only_high) if high or only_high else None if comma else least
            else:
                return piece
            if self._peek() in ("?", "+") and self._peek():  # lazy and possessive write the same
                self._take()
            piece = Repeat(piece, least, most)

    def _group(self) -> Piece | None:
        opening = _GROUP_OPENING.match(self._pattern, self._at)
        keys: tuple[str, ...] = ()
        silent = False
        if opening:
            self._at = opening.end()
            name, look, back, comment, flags, _atomic = opening.groups()
            if back or comment:
                self._at = self._pattern.find(")", self._at) + 1 or len(self._pattern)
                return Again(back) if back else None
            if flags == ")":
                return None
            silent = bool(look)
            keys = self._numbered(name) if name else ()
        elif self._peek() == "?":
            raise Unreadable
        else:
            keys = self._numbered(None)
        inner = self.choice(keys, silent=silent)
        if self._take() != ")":
            raise Unreadable
        return inner

    def _numbered(self, name: str | None) -> tuple[str, ...]:
        self._groups += 1
        return (str(self._groups), name) if name else (str(self._groups),)

    def _escape(self) -> Piece | None:
        char = self._take()
        if char in "bBAZzG":
            return None
        if char in "123456789":
            return Again(char)
        if char == "k":
            end = self._pattern.find(">", self._at)
            name, self._at = self._pattern[self._at + 1 : end], end + 1
            return Again(name)
        return self._escaped(char)

    def _escaped(self, char: str) -> Chars:
        """An escape that stands for one character, within a class or outside."""
        if char.lower() in _CLASSES:
            return Chars(_CLASSES[char.lower()], negated=char.isupper())
        if char in "pP":
            return Chars(self._property(), negated=char == "P")
        if char in "xu":
            return self._code(char)
        code = ord(_CONTROLS.get(char, char))
        return Chars(((code, code),))

    def _code(self, kind: str) -> Chars:
        found = (_SHORT_CODE if kind == "x" else _LONG_CODE).match(self._pattern, self._at)
        if not found:
            raise Unreadable
        self._at = found.end()
        code = int(found[1] or found[2], 16)
        if code > sys.maxunicode:
            raise Unreadable
        return Chars(((code, code),))

    def _property(self) -> Ranges:
        found = _PROPERTY.match(self._pattern, self._at)
        if not found:
            raise Unreadable
        self._at = found.end()
        name = found[1] or found[2]
        if name in ("Ll", "Lu"):
            return _LOWER if name == "Ll" else _UPPER
        return _PROPERTIES.get(name[0], _PROPERTIES["L"])

    def _class(self) -> Chars:
        negated = self._peek() == "^"
        if negated:
            self._take()
        spans: list[tuple[int, int]] = []
        first = True
        while first or self._peek() != "]":
            first = False
            item = self._class_item()
            if len(item.ranges) == 1 and item.ranges[0][0] == item.ranges[0][1] and self._is_range():
                self._take()
                end = self._class_item()
                item = Chars(((item.ranges[0][0], end.ranges[0][1]),))
            if item.ranges[0][0] > item.ranges[0][1]:
                raise Unreadable
            if item.negated:
                self._budget.spend(len(_PRINTABLE), _TOO_LONG)
            spans.extend(_outside(item.ranges) if item.negated else item.ranges)
        self._take()
        return Chars(tuple(spans), negated=negated)

    def _class_item(self) -> Chars:
        char = self._take()
        if char == "\\":
            escaped = self._take()
            return Chars(((8, 8),)) if escaped == "b" else self._escaped(escaped)
        return Chars(((ord(char), ord(char)),))

    def _is_range(self) -> bool:
        following = self._pattern[self._at : self._at + 2]
        return len(following) == 2 and following[0] == "-" and following[1] != "]"  # noqa: PLR2004  # a range is three characters


def _outside(ranges: Ranges) -> list[tuple[int, int]]:
    """The printable characters that the ranges leave free, each as a range."""
    return [(code, code) for code in _PRINTABLE if not any(low <= code <= high for low, high in ranges)]


LONGEST_TEXT = 100_000
_WIDTHS = (3, 2, 5, 0, 1, 9, 20)
_TRIES_PER_WIDTH = 4
_FILLER = "abcdefghijklmnopqrstuvwxyz"
RE2_BYTES = 1024 * 1024
_READING = 6
"""Units of work to read a character of an expression."""
_PIECE = 4
"""Units of work to write a piece of an expression."""
_PROPERTY_CLASS = 500
"""Units of work for RE2 to read a class of Unicode characters."""
_WIDEST_PROGRAM = 5_000
_STEPS_PER_UNIT = 25
"""How many instructions RE2 goes through in a unit of work."""
_LONGEST_WARNING = 100
_TOO_LONG = "the pattern is too long"
_TOO_HARD = "the pattern takes too much work"


class Patterns:
    """The expressions of one schema document, each read once."""

    def __init__(self, budget: Budget, warnings: list[str]) -> None:
        self._budget = budget
        self._warnings = warnings
        """Gets a sentence for each expression that RE2 cannot read."""
        self._compiled: dict[str, tuple[Any, int] | None] = {}
        self._trees: dict[str, Choice | None] = {}
        self._found: dict[tuple[str, str], bool] = {}

    def find(self, pattern: str, text: str) -> bool | None:
        """Whether the expression is found in the text; None for one that RE2 cannot read. Raises BudgetError."""
        if pattern not in self._compiled:
            self._compiled[pattern] = self._compile(pattern)
        compiled = self._compiled[pattern]
        if compiled is None:
            return None
        key = (pattern, text)
        if key not in self._found:
            expression, width = compiled
            self._budget.spend(_PIECE + len(text) * (1 + width // _STEPS_PER_UNIT), _TOO_HARD)
            try:
                self._found[key] = expression.search(text) is not None
            except UnicodeEncodeError:
                self._found[key] = False
        return self._found[key]

    def _compile(self, pattern: str) -> tuple[Any, int] | None:
        """The expression as RE2 has it and the length of its program, at most 5,000; None if RE2 cannot read it."""
        import re2  # type: ignore[import-untyped]  # noqa: PLC0415  # slow to import

        options = re2.Options()
        options.log_errors = False
        options.max_mem = RE2_BYTES
        classes = (
            pattern.count("\\p") + pattern.count("\\P") + (pattern.count("[") if _IGNORES_CASE.search(pattern) else 0)
        )
        self._budget.spend(100 + len(pattern) + _PROPERTY_CLASS * classes, _TOO_LONG)
        try:
            expression = re2.compile(_ESCAPE.sub(_in_re2, pattern), options)
        except (re2.error, UnicodeEncodeError):
            shown = pattern if len(pattern) <= _LONGEST_WARNING else f"{pattern[:_LONGEST_WARNING]}..."
            self._warnings.append(f'RE2 cannot read the pattern "{shown}" of the schema: values are not held to it')
            self._budget.spend(min(len(pattern) * 100, RE2_BYTES // 40), _TOO_HARD)
            return None
        finally:
            re2.purge()  # or it keeps the expressions of the last 128 requests
        size = expression._regexp.ProgramSize()  # noqa: SLF001  # the wrapper does not say it
        self._budget.spend(size, _TOO_HARD)
        return expression, min(size, _WIDEST_PROGRAM)

    def write(self, pattern: str, random: Random, least: int, most: int) -> Iterator[str]:
        """Texts of `least` to `most` characters in which the expression is found, the plainest first; none if too hard.

        Raises:
            BudgetError: It writes too much, whatever of it: groups, repetitions, references, repetitions of nothing.
        """
        if pattern not in self._trees:
            try:
                self._trees[pattern] = parse(pattern, self._budget)
            except (Unreadable, RecursionError):
                self._trees[pattern] = None
        tree = self._trees[pattern]
        if tree is None:
            return
        picks: dict[int, Callable[[Random], str]] = {}
        # Counting every repetition up together finds the exact length that a single one needs; halving speeds long ones.
        steps = sorted({*range(min(least, 64)), least, least // 2, most, max(least - 8, 0)})
        for writer in [
            *(_Writer(random, self._budget, picks, width) for width in _WIDTHS for _ in range(_TRIES_PER_WIDTH)),
            *(_Writer(random, self._budget, picks, width, exact=True) for width in steps if width <= LONGEST_TEXT),
        ]:
            text = writer.attempt(tree)
            if text is None:
                continue
            for fitted in self._fit(text, pattern, random, max(least, min(most, 1))):
                if least <= len(fitted) <= most and self.find(pattern, fitted) is not False:
                    yield fitted

    def _fit(self, text: str, pattern: str, random: Random, least: int) -> Iterator[str]:
        """The text as it is, then lengthened at an end where the expression has no anchor."""
        yield text
        missing = least - len(text)
        if 0 < missing <= LONGEST_TEXT:
            self._budget.spend(missing)
            filler = "".join(random.choices(_FILLER, k=missing))
            if "$" not in pattern:
                yield text + filler
            if "^" not in pattern.replace("[^", ""):
                yield filler + text


def _in_re2(escape: re.Match[str]) -> str:
    """An escape as RE2 spells it, which knows four digits only as `x{00e9}`, not as JavaScript's `u00e9`."""
    return f"\\x{{{escape[1]}}}" if escape[1] else escape[0]


def _picker(chars: Chars, budget: Budget) -> Callable[[Random], str]:
    """What picks a character of the class; a readable one where there is one. Raises Unreadable if there is none."""
    budget.spend(len(chars.ranges))
    if not chars.negated:
        plain = [span for span in chars.ranges if span[0] > 32 or span == (32, 32)] or chars.ranges  # noqa: PLR2004  # 32 is the space

        def pick(random: Random) -> str:
            low, high = random.choice(plain)
            return chr(random.randint(low, high))

        return pick

    def is_free(code: int) -> bool:
        return not any(low <= code <= high for low, high in chars.ranges)

    budget.spend(len(_PRINTABLE) * (1 + len(chars.ranges) // 8))
    free = list(filter(is_free, _PRINTABLE))
    if not free:
        budget.spend(2 * _LAST_PICKED * (1 + len(chars.ranges) // 8), _TOO_HARD)
        free = [code for code in range(0xA1, _LAST_PICKED) if chr(code).isprintable() and is_free(code)]
        letters = free
    else:
        letters = [code for code in free if chr(code).isalnum()]
    if not free:
        raise Unreadable
    return lambda random: chr(random.choice(letters or free))


@dataclass(slots=True)
class _Writer:
    """One attempt: repetitions go up to `width` beyond their minimum, or exactly that far."""

    random: Random
    budget: Budget
    picks: dict[int, Callable[[Random], str]]
    """What picks a character of each class of the tree."""
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
        self.budget.spend(_PIECE, _TOO_HARD)
        match piece:
            case Chars():
                self._count(1)
                if id(piece) not in self.picks:
                    self.picks[id(piece)] = _picker(piece, self.budget)
                return self.picks[id(piece)](self.random)
            case Choice():
                chosen = self.random.choice(piece.branches)
                text = self._join([self._write(item) for item in chosen])
                for key in piece.keys:
                    self.groups[key] = text
                return "" if piece.silent else text
            case Repeat():
                return self._join([self._write(piece.piece) for _ in range(self._times(piece))])
            case Again():
                text = self.groups.get(piece.key, "")
                self._count(len(text))
                return text

    def _join(self, texts: list[str]) -> str:
        text = "".join(texts)
        self.budget.spend(len(text) // 32, _TOO_HARD)
        return text

    def _count(self, count: int) -> None:
        """Count characters before they are written. Raises Unreadable for more than a text may have."""
        self.length += count
        if self.length > LONGEST_TEXT:
            raise Unreadable

    def _times(self, piece: Repeat) -> int:
        spare = self.width if piece.most is None else min(self.width, piece.most - piece.least)
        if spare < 0 or piece.least > LONGEST_TEXT:
            raise Unreadable
        return piece.least + (spare if self.exact else self.random.randint(0, spare))
