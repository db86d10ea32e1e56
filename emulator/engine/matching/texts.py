"""Tests of texts and names, compiled: what `contains`, `glob`, `regex` and their kin of the language do."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from typing import Literal

from emulator.engine.matching.json import lacks, write
from emulator.scenario.when import ResultTest, Test
from emulator.wire.json_text import parse_or_text

Short = Literal["contains", "glob"]
"""What a plain string means: `contains` on prose, `glob` on identifiers."""


@dataclass(frozen=True, slots=True)
class TextTest:
    """A compiled test: all of `holds` must accept one of the values, and none of the values may pass one of `refused`."""

    holds: tuple[Callable[[str], bool], ...]
    refused: "tuple[TextTest, ...]"
    wanted: str
    patterns: tuple[re.Pattern[str], ...] = ()

    def passes(self, values: Sequence[str]) -> bool:
        """Whether the test holds of the values a fact has: of at least one, while `not` holds of none."""
        if self.holds and not any(self._accepts(value) for value in values):
            return False
        return not any(test.passes((value,)) for test in self.refused for value in values)

    def _accepts(self, value: str) -> bool:
        return all(check(value) for check in self.holds)

    @property
    def only_check(self) -> Callable[[str], bool] | None:
        """The one check that the whole test is, if it is no more than that."""
        return self.holds[0] if len(self.holds) == 1 and not self.refused else None

    def groups(self, values: Sequence[str]) -> Mapping[str, str]:
        """The named groups of the regular expressions, of the first value in which each is found."""
        found: dict[str, str] = {}
        for pattern in self.patterns:
            match = next((hit for value in values if (hit := pattern.search(value))), None)
            if match:
                found.update({name: text or "" for name, text in match.groupdict().items()})
        return found


def compile_test(test: str | Test, short: Short) -> TextTest:
    """Compile a test as it is written; `short` says what a plain string means."""
    if isinstance(test, str):
        return TextTest((_operator(short, test),), (), _say(short, test))
    holds: list[Callable[[str], bool]] = []
    wanted: list[str] = []
    patterns: list[re.Pattern[str]] = []
    for name in ("equals", "contains", "starts_with", "ends_with", "regex", "glob"):
        value = getattr(test, name)
        if value is not None:
            holds.append(_operator(name, value))
            wanted.append(_say(name, value))
    if test.regex is not None:
        patterns.append(re.compile(test.regex))
    if test.any_of is not None:
        choices = [compile_test(one, short) for one in test.any_of]
        holds.append(lambda value: any(choice.passes([value]) for choice in choices))
        wanted.append(" or ".join(choice.wanted for choice in choices))
        patterns += [pattern for choice in choices for pattern in choice.patterns]
    if isinstance(test, ResultTest) and test.json_ is not None:
        part = test.json_
        holds.append(lambda value: lacks(parse_or_text(value), part) is None)
        wanted.append(f"JSON containing {write(part)}")
    refused: tuple[TextTest, ...] = ()
    if test.not_ is not None:
        refused = (compile_test(test.not_, short),)
        wanted.append(f"not {refused[0].wanted}")
    return TextTest(tuple(holds), refused, ", ".join(wanted) or "anything", tuple(patterns))


@cache
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern.casefold()))


def _operator(name: str, value: str) -> Callable[[str], bool]:
    folded = value.casefold()
    match name:
        case "equals":
            return value.__eq__
        case "contains":
            return lambda text: folded in text.casefold()
        case "starts_with":
            return lambda text: text.casefold().startswith(folded)
        case "ends_with":
            return lambda text: text.casefold().endswith(folded)
        case "regex":
            search = re.compile(value).search
            return lambda text: search(text) is not None
        case _:
            match_whole = _glob(value).match
            return lambda text: match_whole(text.casefold()) is not None


def _say(name: str, value: str) -> str:
    words = {"equals": "", "glob": "", "starts_with": "text starting with ", "ends_with": "text ending with "}
    return f'{words.get(name, "text containing " if name == "contains" else "text matching ")}"{value}"'
