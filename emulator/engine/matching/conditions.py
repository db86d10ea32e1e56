"""The conditions of `when`, compiled: each has a check of a request, and a description of what it wanted and got.

To add a condition such as `user_count`: add the key with its type and docstring to `When` in `scenario/when.py`; give the value a
property in `engine/request/facts.py`; then add one line to `TEXT_FIELDS` below if its values are texts, to `_JSON_FIELDS` if it is
JSON that must be contained, or a function that compiles it to `_COMPILERS` at the end.

Check and description use the same parts, so that a report cannot disagree with the decision. Descriptions of requests are made
only for reports.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from emulator.engine.matching.json import find_difference, to_json
from emulator.engine.matching.texts import DefaultOperator, TextTest, compile_test
from emulator.engine.request.facts import Facts
from emulator.engine.request.tools import suitable_tool
from emulator.scenario.when import Test, When

_MAX_SHOWN: Final = 120
"""Characters of a value that a report shows."""


def _optional(value: str | None) -> Sequence[str]:
    return () if value is None else (value,)


TEXT_FIELDS: dict[str, tuple[DefaultOperator, Callable[[Facts], Sequence[str]]]] = {
    "model": ("glob", lambda facts: (facts.model,)),
    "publisher": ("glob", lambda facts: (facts.publisher,)),
    "api_version": ("glob", lambda facts: (facts.target.api_version,)),
    "project": ("glob", lambda facts: (facts.target.project,)),
    "location": ("glob", lambda facts: (facts.target.location,)),
    "endpoint": ("glob", lambda facts: (facts.target.endpoint,)),
    "last_user": ("contains", lambda facts: _optional(facts.last_user)),
    "any_user": ("contains", lambda facts: facts.any_user),
    "system": ("contains", lambda facts: _optional(facts.system)),
    "tool_result": ("contains", lambda facts: facts.tool_results),
    "tool_choice": ("glob", lambda facts: facts.tool_choice),
    "response_format": ("glob", lambda facts: facts.response_format),
}
"""Conditions on texts: the operator of a plain string, and the values, of which one must pass."""
_JSON_FIELDS: dict[str, Callable[[Facts], Any]] = {
    "params": lambda facts: facts.request,
    "google": lambda facts: facts.google,
    "body": lambda facts: facts.request,
}
"""Conditions on JSON that must contain what is written."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line of a report: what a condition wanted and what the request has."""

    field: str
    holds: bool
    wanted: str
    got: str
    details: tuple[str, ...] = ()
    """Further lines below it."""
    matched_turns: int = 0
    """How many turns of the request match a conversation's transcript."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One compiled condition of a `when`."""

    field: str
    holds: Callable[[Facts], bool]
    wanted: str
    got: Callable[[Facts], str]
    captures: Callable[[Facts], Mapping[str, str]] | None = None

    def compare(self, facts: Facts) -> Comparison:
        """Compare the condition with a request."""
        return Comparison(self.field, self.holds(facts), self.wanted, self.got(facts))


def matches(conditions: Sequence[Condition], facts: Facts) -> bool:
    """Whether all conditions hold."""
    for condition in conditions:  # noqa: SIM110  # runs for every rule and request, and a generator would double the cost
        if not condition.holds(facts):
            return False
    return True


def compare(conditions: Sequence[Condition], facts: Facts) -> list[Comparison]:
    """Compare each condition with a request."""
    return [condition.compare(facts) for condition in conditions]


def captured(conditions: Sequence[Condition], facts: Facts) -> dict[str, str]:
    """The named groups of all regular expressions that matched."""
    found: dict[str, str] = {}
    for condition in conditions:
        if condition.captures is not None:
            found.update(condition.captures(facts))
    return found


def compile_when(when: When) -> tuple[Condition, ...]:
    """The conditions of a `when`, in the order of the language's reference."""
    conditions: list[Condition] = []
    for name in When.model_fields:
        value = getattr(when, name)
        if value is None:
            continue
        if name in TEXT_FIELDS:
            default, read = TEXT_FIELDS[name]
            conditions.append(_text_condition(name, compile_test(value, default), read))
        elif name in _JSON_FIELDS:
            conditions.append(_json_condition(name, value, _JSON_FIELDS[name]))
        else:
            conditions += _COMPILERS[name](value)
    return tuple(conditions)


def _text_condition(name: str, test: TextTest, read: Callable[[Facts], Sequence[str]]) -> Condition:
    check = test.single_check

    def holds(facts: Facts) -> bool:
        if check is None:
            return test.passes(read(facts))
        for value in read(facts):  # noqa: SIM110  # as in `matches`
            if check(value):
                return True
        return False

    captures = (lambda facts: test.groups(read(facts))) if test.patterns else None
    return Condition(name, holds, test.wanted, lambda facts: show(read(facts)), captures)


def _json_condition(name: str, wanted: Any, read: Callable[[Facts], Any]) -> Condition:
    return Condition(
        name,
        lambda facts: find_difference(read(facts), wanted) is None,
        shorten(to_json(wanted)),
        lambda facts: find_difference(read(facts), wanted) or "contained",
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
    if not isinstance(value, bool):
        return [_text_condition("after_tool", compile_test(value, "glob"), lambda facts: facts.answered_tools)]
    wanted = "a tool result at the end" if value else "no tool result at the end"
    return [
        Condition(
            "after_tool",
            lambda facts: bool(facts.answered_tools) is value,
            wanted,
            lambda facts: show(facts.answered_tools),
        )
    ]


def _stream(value: bool) -> list[Condition]:
    return [
        Condition(
            "stream", lambda facts: facts.stream is value, str(value).lower(), lambda facts: str(facts.stream).lower()
        )
    ]


def _tools(value: Any) -> list[Condition]:
    def names(facts: Facts) -> list[str]:
        return [name for name, _, _ in facts.tools]

    if isinstance(value, bool):
        wanted = "tools declared" if value else "no tools declared"
        return [Condition("tools", lambda facts: bool(facts.tools) is value, wanted, lambda facts: show(names(facts)))]
    if value == "auto":
        wanted = "a tool that suits the last user message"
        return [
            Condition("tools", lambda facts: suitable_tool(facts) is not None, wanted, lambda facts: show(names(facts)))
        ]
    tests = value if isinstance(value, list) else [value]
    return [_text_condition("tools", compile_test(test, "glob"), names) for test in tests]


def _contains_all(name: str, read: Callable[[Facts], Any]) -> Callable[[Any], list[Condition]]:
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
    return _text_condition(field, compile_test(test, "glob"), lambda facts: _optional(facts.headers.get(name)))


def _any(value: list[When]) -> list[Condition]:
    groups = [compile_when(one) for one in value]

    def holds(facts: Facts) -> bool:
        return any(matches(group, facts) for group in groups)

    return [
        Condition(
            "any",
            holds,
            " | ".join(_describe(group) for group in groups),
            lambda facts: "one of these" if holds(facts) else "none of these",
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
            f"not ({_describe(group)})",
            lambda facts: ", ".join(f"{one.field} {one.got}" for one in compare(group, facts)),
        )
    ]


_COMPILERS: dict[str, Callable[[Any], list[Condition]]] = {
    "last": _last,
    "turn": _turn,
    "after_tool": _after_tool,
    "stream": _stream,
    "tools": _tools,
    "modalities": _contains_all("modalities", lambda facts: facts.modalities),
    "has": _contains_all("has", lambda facts: facts.has),
    "header": _header,
    "any": _any,
    "all": _all,
    "not_": _not,
}
"""Conditions that are neither texts nor JSON, each with the function that compiles its value."""


def _describe(conditions: Sequence[Condition]) -> str:
    return ", ".join(f"{condition.field} {condition.wanted}" for condition in conditions)


def shorten(text: str, limit: int = _MAX_SHOWN) -> str:
    """A text on one line, cut where it is longer than `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def show(values: Sequence[str]) -> str:
    """Values as a report shows them."""
    return ", ".join(f'"{shorten(value)}"' for value in values) if values else "nothing"
