"""`when`, compiled: a match is an empty list of differences.

Rules of this file: a condition knows how to hold and how to say what it wanted and what it got, from the same parts, so that
the verdict and its explanation cannot disagree. Explanations are made only when somebody asks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from emulator.engine.matching.json import lacks, write
from emulator.engine.matching.texts import Short, TextTest, compile_test
from emulator.engine.request.facts import Facts
from emulator.engine.request.tools import suitable_tool
from emulator.scenario.when import Test, When

SHORTENED: Final = 120
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one condition wanted and what the request has."""

    field: str
    holds: bool
    wanted: str
    got: str
    lines: tuple[str, ...] = ()
    """What is shown below it."""
    reached: int = 0
    """How far a conversation went along with its transcript."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One demand of a `when`."""

    field: str
    holds: Callable[[Facts], bool]
    wanted: str
    got: Callable[[Facts], str]
    captures: Callable[[Facts], Mapping[str, str]] | None = None

    def compare(self, facts: Facts) -> Comparison:
        """What was wanted beside what the request has."""
        return Comparison(self.field, self.holds(facts), self.wanted, self.got(facts))


def matches(conditions: Sequence[Condition], facts: Facts) -> bool:
    """Whether all conditions hold."""
    for condition in conditions:  # noqa: SIM110  # every rule is asked for every request: a generator would double the cost
        if not condition.holds(facts):
            return False
    return True


def compare(conditions: Sequence[Condition], facts: Facts) -> list[Comparison]:
    """Each condition beside the request; those that do not hold are the differences."""
    return [condition.compare(facts) for condition in conditions]


def captured(conditions: Sequence[Condition], facts: Facts) -> dict[str, str]:
    """The named groups of all regular expressions that matched."""
    found: dict[str, str] = {}
    for condition in conditions:
        if condition.captures is not None:
            found.update(condition.captures(facts))
    return found


def _one(value: str | None) -> Sequence[str]:
    return () if value is None else (value,)


TEXTS: dict[str, tuple[Short, Callable[[Facts], Sequence[str]]]] = {
    "model": ("glob", lambda facts: (facts.model,)),
    "publisher": ("glob", lambda facts: (facts.publisher,)),
    "api_version": ("glob", lambda facts: (facts.target.api_version,)),
    "project": ("glob", lambda facts: (facts.target.project,)),
    "location": ("glob", lambda facts: (facts.target.location,)),
    "endpoint": ("glob", lambda facts: (facts.target.endpoint,)),
    "last_user": ("contains", lambda facts: _one(facts.last_user)),
    "any_user": ("contains", lambda facts: facts.any_user),
    "system": ("contains", lambda facts: _one(facts.system)),
    "tool_result": ("contains", lambda facts: facts.tool_results),
    "tool_choice": ("glob", lambda facts: facts.tool_choice),
    "response_format": ("glob", lambda facts: facts.response_format),
}
_JSON: dict[str, Callable[[Facts], Any]] = {
    "params": lambda facts: facts.request,
    "google": lambda facts: facts.google,
    "body": lambda facts: facts.request,
}


def compile_when(when: When) -> tuple[Condition, ...]:
    """The conditions of a `when`, in the order of the language's reference."""
    return tuple(condition for name in When.model_fields for condition in _compile(name, getattr(when, name)))


def _compile(name: str, value: Any) -> list[Condition]:
    if value is None:
        return []
    if name in TEXTS:
        short, read = TEXTS[name]
        return [_on_texts(name, compile_test(value, short), read)]
    if name in _JSON:
        return [_on_json(name, value, _JSON[name])]
    return _SPECIAL[name](value)


def _on_texts(name: str, test: TextTest, read: Callable[[Facts], Sequence[str]]) -> Condition:
    return Condition(
        name,
        _holds(test, read),
        test.wanted,
        lambda facts: show(read(facts)),
        (lambda facts: test.groups(read(facts))) if test.patterns else None,
    )


def _holds(test: TextTest, read: Callable[[Facts], Sequence[str]]) -> Callable[[Facts], bool]:
    check = test.only_check
    if check is None:
        return lambda facts: test.passes(read(facts))

    def holds(facts: Facts) -> bool:
        for value in read(facts):  # noqa: SIM110  # as in `matches`
            if check(value):
                return True
        return False

    return holds


def _on_json(name: str, wanted: Any, read: Callable[[Facts], Any]) -> Condition:
    return Condition(
        name,
        lambda facts: lacks(read(facts), wanted) is None,
        shorten(write(wanted)),
        lambda facts: lacks(read(facts), wanted) or "contained",
    )


def _last(value: Any) -> list[Condition]:
    roles = value if isinstance(value, list) else [value]
    return [
        Condition("last", lambda facts: facts.last in roles, " or ".join(roles), lambda facts: facts.last or "nothing")
    ]


def _turn(value: str) -> list[Condition]:
    first, dash, end = value.rstrip("+").partition("-")
    low = int(first)
    high = None if value.endswith("+") else int(end) if dash else low
    return [
        Condition(
            "turn",
            lambda facts: low <= facts.turn and (high is None or facts.turn <= high),
            value,
            lambda facts: str(facts.turn),
        )
    ]


def _after_tool(value: bool | str | Test) -> list[Condition]:
    if isinstance(value, bool):
        wanted = "a tool result at the end" if value else "no tool result at the end"
        return [
            Condition(
                "after_tool",
                lambda facts: bool(facts.answered_tools) is value,
                wanted,
                lambda facts: show(facts.answered_tools),
            )
        ]
    return [_on_texts("after_tool", compile_test(value, "glob"), lambda facts: facts.answered_tools)]


def _stream(value: bool) -> list[Condition]:
    return [
        Condition(
            "stream", lambda facts: facts.stream is value, str(value).lower(), lambda facts: str(facts.stream).lower()
        )
    ]


def _tool_names(facts: Facts) -> list[str]:
    return [name for name, _, _ in facts.tools]


def _tools(value: Any) -> list[Condition]:
    if isinstance(value, bool):
        wanted = "tools declared" if value else "no tools declared"
        return [
            Condition("tools", lambda facts: bool(facts.tools) is value, wanted, lambda facts: show(_tool_names(facts)))
        ]
    if value == "auto":
        wanted = "a tool that suits the last user message"
        return [
            Condition(
                "tools", lambda facts: suitable_tool(facts) is not None, wanted, lambda facts: show(_tool_names(facts))
            )
        ]
    tests = value if isinstance(value, list) else [value]
    return [_on_texts("tools", compile_test(test, "glob"), _tool_names) for test in tests]


def _all_of(name: str, read: Callable[[Facts], Any]) -> Callable[[Any], list[Condition]]:
    def compile_list(value: Any) -> list[Condition]:
        wanted = set(value if isinstance(value, list) else [value])
        text = " and ".join(sorted(wanted))
        return [
            Condition(name, lambda facts: wanted <= set(read(facts)), text, lambda facts: show(sorted(read(facts))))
        ]

    return compile_list


def _header(value: dict[str, bool | str | Test]) -> list[Condition]:
    return [_one_header(name.lower(), test) for name, test in value.items()]


def _one_header(name: str, test: bool | str | Test) -> Condition:
    field = f"header {name}"
    if isinstance(test, bool):
        return Condition(
            field,
            lambda facts: (name in facts.headers) is test,
            "present" if test else "absent",
            lambda facts: "present" if name in facts.headers else "absent",
        )
    return _on_texts(field, compile_test(test, "glob"), lambda facts: _one(facts.headers.get(name)))


def _any(value: list[When]) -> list[Condition]:
    groups = [compile_when(one) for one in value]
    return [
        Condition(
            "any",
            lambda facts: any(matches(group, facts) for group in groups),
            " | ".join(_summary(group) for group in groups),
            lambda facts: "none of these" if not any(matches(group, facts) for group in groups) else "one of these",
            lambda facts: next((captured(group, facts) for group in groups if matches(group, facts)), {}),
        )
    ]


def _all(value: list[When]) -> list[Condition]:
    return [condition for one in value for condition in compile_when(one)]


def _not(value: When) -> list[Condition]:
    group = compile_when(value)
    return [
        Condition(
            "not",
            lambda facts: not matches(group, facts),
            f"not ({_summary(group)})",
            lambda facts: ", ".join(f"{one.field} {one.got}" for one in compare(group, facts)),
        )
    ]


def _summary(conditions: Sequence[Condition]) -> str:
    return ", ".join(f"{condition.field} {condition.wanted}" for condition in conditions)


_SPECIAL: dict[str, Callable[[Any], list[Condition]]] = {
    "last": _last,
    "turn": _turn,
    "after_tool": _after_tool,
    "stream": _stream,
    "tools": _tools,
    "modalities": _all_of("modalities", lambda facts: facts.modalities),
    "has": _all_of("has", lambda facts: facts.has),
    "header": _header,
    "any": _any,
    "all": _all,
    "not_": _not,
}


def shorten(text: str) -> str:
    """A text on one line, cut where it gets long."""
    line = " ".join(text.split())
    return line if len(line) <= SHORTENED else f"{line[: SHORTENED - 1]}…"


def show(values: Sequence[str]) -> str:
    """Values as a report shows them."""
    return ", ".join(f'"{shorten(value)}"' for value in values) if values else "nothing"
