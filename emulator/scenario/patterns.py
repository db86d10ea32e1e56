r"""Regular expressions of scenarios: Python's, with bounded work.

Python's `re` does the matching where pattern and text together cannot make it slow, which is nearly always. Elsewhere RE2 does, in time linear in
the text, with the classes rewritten so that `\d`, `\w` and `\s` mean what they mean in Python. What RE2 cannot read either (lookarounds, back references)
is left to `re` if the text has no long runs of what the pattern repeats, else it is given up.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import repeat
from typing import Any, Union

from emulator.budget import LongWorkError
from emulator.errors import AnswerError

MAX_STEPS = 20_000_000
"""Steps that Python's `re` may take for one text by the estimate here; about 100 ms to 1 s at worst, and seldom more than one for a character."""
MAX_STEPS_TOGETHER = 100_000_000
"""Steps that all searches for one request may take by the estimate; about a second to five."""
_LINEAR_SHARE = 16
"""RE2 reads so many characters in the time of a step."""
_FEW_STEPS = 1_000_000
_STEPS_AT_ONCE = 4_000_000
"""Steps in one call of `re`, some 50 ms, in which no other thread gets its turn."""
_SHOWN = 60
_MAX_FACTOR = 2**40

_COUNT = re.compile(r"\{(\d*)(,?)(\d*)\}")
_OPENING = re.compile(r"\(\?(?:P<\w+>|P=\w+\)|#[^)]*\)|\(\w+\)|<?[=!]|>|[aiLmsux]*(?:-[imsx]+)?[:)])|\(")
_SPACE = r"\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_VARIANTS = re.compile("[iI\u0130\u0131]|[^\\x00-\\x7f]")
"""Characters that have variants without regard to letter case, which `str.casefold` does not make the same."""
_SHORTEST_LITERAL = 2
_CLASSES = {"d": r"\p{Nd}", "w": r"\p{L}\p{N}_", "s": _SPACE}


class PatternError(AnswerError):
    """A match that would take too long."""


Literal = Union[str, "tuple[tuple[Literal, ...], ...]"]
"""A text that each match contains, letter case aside; or alternatives, of one of which each match contains all."""


@dataclass(slots=True)
class _Group:
    """A group that is being read, or the whole pattern: the atoms that it repeats, its alternatives, and what they certainly contain."""

    start: int
    is_aside: bool = False
    repeated: list[str] = field(default_factory=list)
    bars: int = 0
    run: str = ""
    """The literal characters at the end of what has been read."""
    literals: list[Literal] = field(default_factory=list)
    """What a match of the alternative that is being read contains."""
    alternatives: list[tuple[Literal, ...]] = field(default_factory=list)
    """What matches of the earlier alternatives contain."""
    added: int = 0
    """How many of the literals come from the last atom, a group."""

    def end_run(self, *, ignores_case: bool) -> None:
        """Keep the literal characters read so far, without what has variants if letter case does not matter."""
        literal = max(_VARIANTS.split(self.run), key=len) if ignores_case else self.run
        self.run, self.added = "", 0
        if len(literal) >= _SHORTEST_LITERAL:
            self.literals.append(literal.casefold())

    def end_alternative(self) -> None:
        """Begin another alternative, or end the last."""
        self.alternatives.append(tuple(self.literals))
        self.literals = []

    def take(self, inner: "_Group") -> None:
        """Add the literals of a group inside, which is whole."""
        if inner.is_aside or not all(inner.alternatives):
            return
        found = inner.alternatives[0] if len(inner.alternatives) == 1 else (tuple(inner.alternatives),)
        self.literals += found
        self.added = len(found)


class _Shape:
    """What decides how long a pattern may take: what it repeats, and what RE2 reads instead of it."""

    def __init__(self, pattern: str) -> None:
        self.is_nested = False
        """Whether it repeats something that itself repeats or has alternatives: backtracking may take exponential time."""
        self.factor = 1
        """In how many ways its optional parts and alternatives can be taken."""
        self.asides: list[list[str]] = []
        """What each lookaround repeats."""
        self.needs_ascii = False
        """Whether RE2 means the same only in ASCII: word boundaries."""
        self.has_dollar = False
        """Whether RE2 means the same only in a text without a line break at its end."""
        self.is_anchored = pattern.startswith(("^", r"\A"))
        self._ignores_case = self._hides_literals = False
        self._pattern = pattern
        self._written: list[str] | None = []
        whole = _Group(0)
        self._read(whole)
        self.repeated = whole.repeated
        self.is_anchored = self.is_anchored and not whole.bars
        self._multiply(1 + whole.bars)
        self._end_alternative(whole)
        outer = _Group(0)
        outer.take(whole)
        self.literals = () if self._hides_literals else tuple(outer.literals)
        """What each match contains, all of it."""

    @property
    def translated(self) -> str | None:
        """The pattern as RE2 reads it; None if there is no such pattern."""
        return None if self._written is None else "".join(self._written)

    def _multiply(self, ways: int) -> None:
        self.factor = min(self.factor * ways, _MAX_FACTOR)

    def _write(self, text: str | None) -> None:
        if text is None:
            self._written = None
        elif self._written is not None:
            self._written.append(text)

    def _read(self, whole: _Group) -> None:
        pattern, at, groups = self._pattern, 0, [whole]
        atom: str | _Group = ""
        while at < len(pattern):
            start, char = at, pattern[at]
            count = _COUNT.match(pattern, at) if char == "{" else None
            if char in "*+?" or (count is not None and (count[1] or count[2])):
                at = count.end() if count is not None else at + 1
                low, high = (count[1], count[3] if count[2] else count[1]) if count is not None else ("", "")
                self._repeat(groups[-1], atom, is_optional=char == "?" or (low in ("", "0") and high == "1"))
                self._repeat_literals(groups[-1], may_be_absent=char != "+" and low in ("", "0"))
                self._write(f"{{{low or 0},{high}}}" if count is not None and not low else pattern[start:at])
                if pattern[at : at + 1] in ("?", "+"):
                    # A possessive one is unknown to RE2, which takes it for two.
                    self._write("?" if pattern[at] == "?" else None)
                    at += 1
                continue
            if char == "(":
                at, atom = self._open(at, groups)
                continue
            if char == ")":
                at += 1
                atom = self._close(groups)
                self._write(")")
                continue
            if char == "|":
                self._end_alternative(groups[-1])
                groups[-1].bars += 1
                self._write("|")
                at += 1
            elif char == "[":
                at = self._read_class(at)
            elif char == "\\":
                at = self._read_escape(at)
            else:
                self.has_dollar = self.has_dollar or char == "$"
                self._write(char)
                at += 1
            atom = pattern[start:at]
            if char not in "|[.^$" and (char != "\\" or not atom[1:].isalnum()):
                groups[-1].run += atom[-1:]
            else:
                groups[-1].end_run(ignores_case=self._ignores_case)

    def _open(self, at: int, groups: list[_Group]) -> tuple[int, str]:
        opening = _OPENING.match(self._pattern, at)
        text = "(" if opening is None else opening[0]
        flags = re.match(r"\(\?([a-zA-Z]+)", text)
        groups[-1].end_run(ignores_case=self._ignores_case)
        if flags is not None and not text.startswith("(?P"):
            self._ignores_case = self._ignores_case or "i" in flags[1]
            self._hides_literals = self._hides_literals or "x" in flags[1]
        if text.endswith(")"):
            # Flags, a comment, a back reference: no group.
            self._hides_literals = self._hides_literals or text.startswith(("(?#", "(?("))
            is_flags = re.fullmatch(r"\(\?[ims]+\)", text) is not None
            self._write(text if is_flags else None)
            return at + len(text), ""
        is_aside = text.endswith(("=", "!"))
        is_plain = text == "(" or text.startswith("(?P<") or re.fullmatch(r"\(\?[ims]*(-[ims]+)?:", text) is not None
        self._write(text if is_plain else None)
        groups.append(_Group(at, is_aside))
        return at + len(text), ""

    def _close(self, groups: list[_Group]) -> _Group:
        group = groups.pop() if len(groups) > 1 else groups[0]
        self._end_alternative(group)
        groups[-1].take(group)
        if group.is_aside:
            self.asides.append(group.repeated)
        else:
            groups[-1].repeated += group.repeated
        self._multiply(1 + group.bars)
        return group

    def _repeat(self, group: _Group, atom: str | _Group, *, is_optional: bool) -> None:
        if is_optional:
            self._multiply(2)
        elif isinstance(atom, _Group):
            self.is_nested = self.is_nested or bool(atom.repeated or atom.bars or self.factor > 1)
            group.repeated.append("")
        else:
            group.repeated.append(atom)

    def _repeat_literals(self, group: _Group, *, may_be_absent: bool) -> None:
        """Note that the last atom is repeated: what follows it does not follow each time, and perhaps it is not there."""
        if may_be_absent and group.run:
            group.run = group.run[:-1]
        elif may_be_absent:
            del group.literals[len(group.literals) - group.added :]
        group.end_run(ignores_case=self._ignores_case)

    def _end_alternative(self, group: _Group) -> None:
        group.end_run(ignores_case=self._ignores_case)
        group.end_alternative()

    def _read_class(self, at: int) -> int:
        pattern = self._pattern
        self._write("[")
        at += 1
        if pattern[at : at + 1] == "^":
            self._write("^")
            at += 1
        first = at
        while at < len(pattern) and (pattern[at] != "]" or at == first):
            if pattern[at] == "\\":
                at = self._read_escape(at, in_class=True)
            else:
                self._write("\\" + pattern[at] if pattern[at] in "[]" else pattern[at])
                at += 1
        self._write("]")
        return at + 1

    def _read_escape(self, at: int, *, in_class: bool = False) -> int:
        pattern = self._pattern
        name = pattern[at + 1 : at + 2]
        if name in ("x", "u"):
            digits = pattern[at + 2 : at + (4 if name == "x" else 6)]
            self._write(f"\\x{{{digits}}}")
            return at + 2 + len(digits)
        if name.lower() in _CLASSES:
            inside = _CLASSES[name.lower()]
            is_negative = name.isupper()
            self._write((None if is_negative else inside) if in_class else f"[{'^' * is_negative}{inside}]")
        elif name in ("b", "B") and not in_class:
            self.needs_ascii = True
            self._write("\\" + name)
        elif name in ("A", "Z") and not in_class:
            self._write(r"\A" if name == "A" else r"\z")
        elif name in "ntrfva" and name:
            self._write("\\" + name)
        else:
            self._write(None if not name or name.isalnum() else "\\" + name if name.isascii() else name)
        return at + 2


class Searches:
    """What the searches for one request have taken together, and what has been found out about its texts."""

    def __init__(self) -> None:
        self._steps = 0
        self._longest_runs: dict[tuple[str, int, str], int] = {}

    def spend(self, steps: int, pattern: str, length: int) -> None:
        """Take steps. Raises PatternError when the searches have taken too many together."""
        self._steps += steps
        if self._steps > MAX_STEPS_TOGETHER:
            raise PatternError(
                "the regular expressions of all rules together would take too long on this request; "
                f'"{_shorten(pattern)}" was to search a text of {length:,} characters; write them with a word of two '
                "letters or more that each match contains, or with `contains`"
            )

    def longest_run(self, atom: str, flags: int, value: str) -> int:
        """How often an atom of a pattern follows itself in a text at most, and one more."""
        key = (atom, flags, value)
        found = self._longest_runs.get(key)
        if found is None:
            found = self._longest_runs[key] = _find_longest_run(atom, flags, value)
        return found


class Pattern:
    """A compiled regular expression; made by `compile_pattern`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._compiled = re.compile(text)
        self._shape = _Shape(text)
        self._linear: Any = None

    @property
    def literals(self) -> tuple[Literal, ...]:
        """What each match contains, all of it, in lower case (`str.casefold`); empty if nothing is certain."""
        return self._shape.literals

    def may_match(self, folded: str) -> bool:
        """Whether a text, in lower case (`str.casefold`), has the literals; if not, there is no match in it, which is found out much sooner."""
        return all(_occurs(literal, folded) for literal in self._shape.literals)

    def search(self, value: str, *, is_short: bool = False, searches: Searches | None = None) -> Any:
        """The first match in a text, as `re` or RE2 gives it, or None; `searches` bounds all that is done for one request.

        Raises:
            PatternError: It would take too long.
            LongWorkError: It is to be short, and may not be.
        """
        if self.is_quick(len(value)):
            return self._compiled.search(value)
        searches = Searches() if searches is None else searches
        if (linear := self._find_linear(value)) is not None:
            searches.spend(len(value) // _LINEAR_SHARE, self.text, len(value))
            return linear.search(value)
        steps = self._estimate(value, searches)
        if self._shape.is_nested or steps > MAX_STEPS:
            raise PatternError(
                f'the regular expression "{_shorten(self.text)}" would take too long on a text of {len(value):,} characters; '
                "write it without nested or neighbouring repeats"
            )
        if is_short and steps > _FEW_STEPS:
            raise LongWorkError
        searches.spend(steps, self.text, len(value))
        if steps <= _STEPS_AT_ONCE or self._is_at_start:
            return self._compiled.search(value)
        return self._search_by_blocks(value, max(1, _FEW_STEPS // (steps // len(value))))

    def _search_by_blocks(self, value: str, size: int) -> Any:
        """Search from so many places at a time, so that other threads get their turns, which `re` gives them between two calls only."""
        match = self._compiled.match
        for begin in range(0, len(value) + 1, size):
            starts = range(begin, min(begin + size, len(value) + 1))
            if any(map(match, repeat(value), starts)):
                return next(found for start in starts if (found := match(value, start)))
        return None

    @property
    def _is_at_start(self) -> bool:
        """Whether it can match at the beginning of a text only."""
        return self._shape.is_anchored and not self._compiled.flags & re.MULTILINE

    def is_quick(self, length: int) -> bool:
        """Whether no text of this length can take long."""
        shape = self._shape
        if shape.is_nested:
            return length.bit_length() <= 4 and 2**length * shape.factor <= _FEW_STEPS  # noqa: PLR2004  # up to 15 characters
        loops = len(shape.repeated) + sum(map(len, shape.asides))
        if not loops:
            return length * shape.factor <= MAX_STEPS
        steps: int = min(length, 10**6) ** min(loops + 1, 10)
        return steps * shape.factor <= _FEW_STEPS

    def _find_linear(self, value: str) -> Any:
        """The pattern of RE2, if it means the same for this text."""
        shape = self._shape
        if shape.translated is None or (shape.needs_ascii and not value.isascii()):
            return None
        if shape.has_dollar and value.endswith("\n"):
            return None
        if self._linear is None:
            self._linear = _compile_linear(shape.translated)
        try:
            value.encode()
        except UnicodeEncodeError:
            return None
        return self._linear or None

    def _estimate(self, value: str, searches: Searches) -> int:
        """About how many steps backtracking takes at most: products of the longest runs of what is repeated."""
        starts = 1 if self._is_at_start else len(value)
        steps = 0
        for atoms in (self._shape.repeated, *self._shape.asides):
            product = self._shape.factor
            for atom in atoms:
                product = min(product * searches.longest_run(atom, self._compiled.flags, value), 10 * MAX_STEPS)
            steps += product
        return starts * steps + len(value)


def _occurs(literal: Literal, folded: str) -> bool:
    if isinstance(literal, str):
        return literal in folded
    return any(all(_occurs(one, folded) for one in option) for option in literal)


def _find_longest_run(atom: str, flags: int, value: str) -> int:
    try:
        runs = re.compile(f"(?:{atom})+", flags)
    except re.error:
        return len(value)
    if not atom:
        return len(value)
    return max((found.end() - found.start() for found in runs.finditer(value)), default=0) + 1


def _shorten(pattern: str) -> str:
    return pattern if len(pattern) <= _SHOWN else pattern[:_SHOWN] + "…"


def _compile_linear(pattern: str) -> Any:
    """RE2's pattern, False if it cannot read it."""
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415  # only for patterns that may take long

    options = re2.Options()
    options.log_errors = False
    options.max_mem = 64 * 1024 * 1024
    try:
        return re2.compile(pattern, options)
    except re2.error:
        return False


@lru_cache(maxsize=1024)
def compile_pattern(text: str) -> Pattern:
    """Compile a regular expression. Raises ValueError that says what is wrong with it."""
    try:
        return Pattern(text)
    except re.error as error:
        raise ValueError(str(error)) from None
    except (RecursionError, MemoryError):
        raise ValueError("it is nested too deeply") from None
    except OverflowError:
        raise ValueError("a number of repeats in it is too large") from None
    except Exception:  # noqa: BLE001  # numbers of thousands of digits, and what else `re` may not read
        raise ValueError("it cannot be read") from None
