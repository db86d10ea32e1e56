"""Text tests, compiled: the operators `equals`, `contains`, `glob`, `regex` and so on of `Test` in `scenario/when.py`."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Literal

from emulator.engine.matching.json import contains, to_json
from emulator.engine.request.readings import Readings
from emulator.scenario.patterns import Pattern, compile_pattern
from emulator.scenario.when import ResultTest, Test

DefaultOperator = Literal["contains", "glob"]
"""The operator that a plain string stands for: `contains` on prose, `glob` on identifiers."""
Check = Callable[[str, Readings], bool]
"""One operator, compiled: whether a value passes; what the value comes to in lower case or as JSON is read from the `Readings`."""
_SHORT_TEXT = 200
"""Characters of a text that most patterns search so quickly that nobody looks at the clock."""
_WILDCARDS = re.compile(r"[*?]+")


@dataclass(frozen=True, slots=True)
class TextTest:
    """A compiled test: one of the values must pass all `checks`, and none of the values may pass one of `excluded`."""

    checks: tuple[Check, ...]
    excluded: "tuple[TextTest, ...]"
    wanted: str
    """The test in words."""
    patterns: tuple[Pattern, ...] = ()

    def passes(self, values: Sequence[str], readings: Readings | None = None) -> bool:
        """Whether the values of a field pass; `readings` are shared by all tests of one request."""
        readings = Readings() if readings is None else readings
        if self.checks and not any(all(check(value, readings) for check in self.checks) for value in values):
            return False
        return not any(test.passes((value,), readings) for test in self.excluded for value in values)

    @property
    def single_check(self) -> Check | None:
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


def compile_test(test: str | Test | Sequence[str | Test], default: DefaultOperator) -> TextTest:
    """Compile a test, or several of which one must pass; `default` is the operator that a plain string stands for."""
    if isinstance(test, str):
        return TextTest((_compile_operator(default, test),), (), _describe(default, test))
    if not isinstance(test, Test):
        check, words, found = _compile_any([compile_test(one, default) for one in test])
        return TextTest((check,), (), words, found)
    checks: list[Check] = []
    wanted: list[str] = []
    patterns: list[Pattern] = []
    for name in ("equals", "contains", "starts_with", "ends_with", "regex", "glob"):
        value = getattr(test, name)
        if value is not None:
            checks.append(_compile_operator(name, value))
            wanted.append(_describe(name, value))
    if test.regex is not None:
        patterns.append(compile_pattern(test.regex))
    if test.any_of is not None:
        check, words, found = _compile_any([compile_test(one, default) for one in test.any_of])
        checks.append(check)
        wanted.append(words)
        patterns += found
    if isinstance(test, ResultTest) and test.json_ is not None:
        part = test.json_
        checks.append(lambda value, readings: contains(readings.parse(value), part))
        wanted.append(f"JSON containing {to_json(part)}")
    excluded: tuple[TextTest, ...] = ()
    if test.not_ is not None:
        excluded = (compile_test(test.not_, default),)
        wanted.append(f"not {excluded[0].wanted}")
    return TextTest(tuple(checks), excluded, ", ".join(wanted) or "anything", tuple(patterns))


def _compile_any(choices: Sequence[TextTest]) -> tuple[Check, str, tuple[Pattern, ...]]:
    """Tests of which one must pass: their check, their words and their patterns."""
    patterns = tuple(pattern for choice in choices for pattern in choice.patterns)
    words = " or ".join(choice.wanted for choice in choices)
    singles = [one for choice in choices if (one := choice.single_check) is not None]
    if len(singles) == len(choices):
        return (lambda value, readings: any(check(value, readings) for check in singles)), words, patterns
    return (lambda value, readings: any(one.passes((value,), readings) for one in choices)), words, patterns


def _compile_operator(name: str, value: str) -> Check:
    folded = value.casefold()
    match name:
        case "equals":
            return lambda text, _: text == value
        case "contains":
            return lambda text, readings: folded in readings.fold(text)
        case "starts_with":
            return lambda text, readings: readings.fold(text).startswith(folded)
        case "ends_with":
            return lambda text, readings: readings.fold(text).endswith(folded)
        case "regex":
            return _compile_regex(compile_pattern(value))
        case _:
            return _compile_glob(folded)


def _compile_regex(pattern: Pattern) -> Check:
    search, is_quick = pattern.search, pattern.is_quick(_SHORT_TEXT)

    def check(text: str, readings: Readings) -> bool:
        if is_quick and len(text) <= _SHORT_TEXT:
            return search(text) is not None
        return readings.is_found(pattern, text)

    return check


def _compile_glob(folded: str) -> Check:
    """Compile a glob in lower case. The longest of its literal parts is looked for first, which is many times quicker."""
    if not any(wildcard in folded for wildcard in "*?["):
        return lambda text, readings: readings.fold(text) == folded
    literal = "" if "[" in folded else max(_WILDCARDS.split(folded), key=len)
    match_whole = re.compile(translate(folded)).match

    def check(text: str, readings: Readings) -> bool:
        lowered = readings.fold(text)
        return literal in lowered and match_whole(lowered) is not None

    return check


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
