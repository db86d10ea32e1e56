"""Text tests, compiled: the operators `equals`, `contains`, `glob`, `regex` and so on of `Test` in `scenario/when.py`."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Literal

from emulator.engine.matching.json import find_difference, to_json
from emulator.scenario.when import ResultTest, Test
from emulator.wire.json_text import parse_or_text

DefaultOperator = Literal["contains", "glob"]
"""The operator that a plain string stands for: `contains` on prose, `glob` on identifiers."""


@dataclass(frozen=True, slots=True)
class TextTest:
    """A compiled test: one of the values must pass all `checks`, and none of the values may pass one of `excluded`."""

    checks: tuple[Callable[[str], bool], ...]
    excluded: "tuple[TextTest, ...]"
    wanted: str
    """The test in words."""
    patterns: tuple[re.Pattern[str], ...] = ()

    def passes(self, values: Sequence[str]) -> bool:
        """Whether the values of a field pass."""
        if self.checks and not any(all(check(value) for check in self.checks) for value in values):
            return False
        return not any(test.passes((value,)) for test in self.excluded for value in values)

    @property
    def single_check(self) -> Callable[[str], bool] | None:
        """The check, if the test is nothing but one check."""
        return self.checks[0] if len(self.checks) == 1 and not self.excluded else None

    def groups(self, values: Sequence[str]) -> Mapping[str, str]:
        """The named groups of the regular expressions, each from the first value in which it is found."""
        found: dict[str, str] = {}
        for pattern in self.patterns:
            match = next((hit for value in values if (hit := pattern.search(value))), None)
            if match:
                found.update({name: text or "" for name, text in match.groupdict().items()})
        return found


def compile_test(test: str | Test, default: DefaultOperator) -> TextTest:
    """Compile a test; `default` is the operator that a plain string stands for."""
    if isinstance(test, str):
        return TextTest((_compile_operator(default, test),), (), _describe(default, test))
    checks: list[Callable[[str], bool]] = []
    wanted: list[str] = []
    patterns: list[re.Pattern[str]] = []
    for name in ("equals", "contains", "starts_with", "ends_with", "regex", "glob"):
        value = getattr(test, name)
        if value is not None:
            checks.append(_compile_operator(name, value))
            wanted.append(_describe(name, value))
    if test.regex is not None:
        patterns.append(re.compile(test.regex))
    if test.any_of is not None:
        choices = [compile_test(one, default) for one in test.any_of]
        checks.append(lambda value: any(choice.passes([value]) for choice in choices))
        wanted.append(" or ".join(choice.wanted for choice in choices))
        patterns += [pattern for choice in choices for pattern in choice.patterns]
    if isinstance(test, ResultTest) and test.json_ is not None:
        part = test.json_
        checks.append(lambda value: find_difference(parse_or_text(value), part) is None)
        wanted.append(f"JSON containing {to_json(part)}")
    excluded: tuple[TextTest, ...] = ()
    if test.not_ is not None:
        excluded = (compile_test(test.not_, default),)
        wanted.append(f"not {excluded[0].wanted}")
    return TextTest(tuple(checks), excluded, ", ".join(wanted) or "anything", tuple(patterns))


def _compile_operator(name: str, value: str) -> Callable[[str], bool]:
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
            match_whole = re.compile(translate(folded)).match
            return lambda text: match_whole(text.casefold()) is not None


_WORDS = {
    "equals": "",
    "glob": "",
    "contains": "text containing ",
    "starts_with": "text starting with ",
    "ends_with": "text ending with ",
    "regex": "text matching ",
}


def _describe(name: str, value: str) -> str:
    return f'{_WORDS[name]}"{value}"'
