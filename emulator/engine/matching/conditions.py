"""The conditions of `when`, compiled: each has a check of a request, and a description of what it wanted and got.

To add a condition such as `user_count`: add the key with its type and docstring to `When` in `scenario/when.py`; give the value a
property in `engine/request/facts.py`; then add one line to `TEXT_FIELDS` below if its values are texts, to `_JSON_FIELDS` if it is
JSON that must be contained, or a function that compiles it to `_COMPILERS` at the end. Conditions are checked for each rule and
request, so they read attributes without a function between (`attrgetter`), and what is slow to find out is a cached property of `Facts`.

Check and description use the same parts, so that a report cannot disagree with the decision. Descriptions of requests are made
only for reports.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Final, NamedTuple

from emulator.engine.matching.json import contains, find_difference, to_json
from emulator.engine.matching.texts import DefaultOperator, TextTest, compile_test
from emulator.engine.request.facts import Facts
from emulator.engine.request.tools import next_tool
from emulator.redaction import REDACTED, is_secret_field, redact_json
from emulator.scenario.when import Test, When

_MAX_SHOWN: Final = 120
"""Characters of a value that a report shows."""
_READING, _SEARCHING, _WALKING = 1, 10, 20
"""Prices of a substring, a pattern and JSON, in units of `size_of` a request."""
_TOKENS_PER_UNIT: Final = 80
MAX_SHOWN_VALUES: Final = 100
"""How many values of a condition a report shows."""
MAX_SHOWN_JSON: Final = 1000
"""Characters of JSON that a report shows of the value that differs."""


class TextField(NamedTuple):
    """A condition on texts."""

    default: DefaultOperator
    """The operator that a plain string stands for."""
    read: Callable[[Facts], Any]
    """The value, None if there is none; with `is_many` the values, of which one must pass."""
    is_many: bool = False

    def values(self, facts: Facts) -> Sequence[str]:
        """The values as a sequence."""
        found = self.read(facts)
        return found if self.is_many else () if found is None else (found,)


TEXT_FIELDS: Mapping[str, TextField] = {
    "model": TextField("glob", attrgetter("model")),
    "publisher": TextField("glob", attrgetter("publisher")),
    "api_version": TextField("glob", attrgetter("target.api_version")),
    "project": TextField("glob", attrgetter("target.project")),
    "location": TextField("glob", attrgetter("target.location")),
    "endpoint": TextField("glob", attrgetter("target.endpoint")),
    "last_user": TextField("contains", attrgetter("last_user")),
    "any_user": TextField("contains", attrgetter("any_user"), is_many=True),
    "system": TextField("contains", attrgetter("system")),
    "tool_result": TextField("contains", attrgetter("tool_results"), is_many=True),
    "tool_choice": TextField("glob", attrgetter("tool_choice"), is_many=True),
    "response_format": TextField("glob", attrgetter("response_format"), is_many=True),
    "tools": TextField("glob", attrgetter("tool_names"), is_many=True),
    "after_tool": TextField("glob", attrgetter("answered_tools"), is_many=True),
}
"""Conditions on texts. `tools` and `after_tool` can also be written in other ways, which `_COMPILERS` has."""
_JSON_FIELDS: Mapping[str, Callable[[Facts], Any]] = {
    "params": attrgetter("request"),
    "google": attrgetter("google"),
    "body": attrgetter("request"),
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
    price: int = 0
    """What `holds` costs for a long request, in units of `size_of` the request."""

    def compare(self, facts: Facts) -> Comparison:
        """Compare the condition with a request."""
        return Comparison(self.field, self.holds(facts), self.wanted, self.got(facts))


def size_of(facts: Facts) -> int:
    """The size of a request in units of work (`emulator.budget`): what looking for a text in all of it costs."""
    return facts.prompt_tokens // _TOKENS_PER_UNIT + len(facts.messages) + len(facts.tools)


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
        if name in _COMPILERS:
            conditions += _COMPILERS[name](value)
        elif name in _JSON_FIELDS:
            conditions.append(_json_condition(name, value, _JSON_FIELDS[name]))
        else:
            conditions.append(_text_condition(name, value, TEXT_FIELDS[name]))
    return tuple(conditions)


def _text_condition(name: str, written: str | Test | list[str | Test], field: TextField) -> Condition:
    test = compile_test(written, field.default)
    captures = (lambda facts: test.groups(field.values(facts))) if test.patterns else None
    return Condition(
        name,
        _compile_holds(test, field),
        test.wanted,
        lambda facts: show(field.values(facts)),
        captures,
        _READING if test.single_check is not None and not test.patterns else _SEARCHING,
    )


def _compile_holds(test: TextTest, field: TextField) -> Callable[[Facts], bool]:
    check, read, is_many = test.single_check, field.read, field.is_many
    if check is None:
        return lambda facts: test.passes(field.values(facts), facts.readings)
    if not is_many:
        return lambda facts: (value := read(facts)) is not None and check(value, facts.readings)

    def holds(facts: Facts) -> bool:
        readings = facts.readings
        for value in read(facts):  # noqa: SIM110  # as in `matches`
            if check(value, readings):
                return True
        return False

    return holds


def _json_condition(name: str, wanted: Any, read: Callable[[Facts], Any]) -> Condition:
    def describe(facts: Facts) -> str:
        difference = find_difference(redact_json(read(facts)), redact_json(wanted)) or "contained"
        return difference if len(difference) <= MAX_SHOWN_JSON else f"{difference[: MAX_SHOWN_JSON - 1]}…"

    return Condition(
        name, lambda facts: contains(read(facts), wanted), shorten(to_json(wanted)), describe, price=_WALKING
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


def _after_tool(value: bool | str | Test | list[str | Test]) -> list[Condition]:
    if not isinstance(value, bool):
        return [_text_condition("after_tool", value, TEXT_FIELDS["after_tool"])]
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
    if isinstance(value, bool):
        wanted = "tools declared" if value else "no tools declared"
        return [
            Condition("tools", lambda facts: bool(facts.tools) is value, wanted, lambda facts: show(facts.tool_names))
        ]
    if value == "auto":
        wanted = "a tool that suits the last user message and has not been called since"
        return [
            Condition(
                "tools",
                lambda facts: facts.readings.once(next_tool, facts) is not None,
                wanted,
                lambda facts: show(facts.tool_names),
            )
        ]
    tests = value if isinstance(value, list) else [value]
    return [_text_condition("tools", test, TEXT_FIELDS["tools"]) for test in tests]


def _contains_all(name: str, read: Callable[[Facts], Any]) -> Callable[[Any], list[Condition]]:
    def compile_list(value: Any) -> list[Condition]:
        wanted = set(value if isinstance(value, list) else [value])
        text = " and ".join(sorted(wanted))
        return [
            Condition(name, lambda facts: wanted <= set(read(facts)), text, lambda facts: show(sorted(read(facts))))
        ]

    return compile_list


def _header(value: dict[str, bool | str | Test | list[str | Test]]) -> list[Condition]:
    return [_one_header(name.lower(), test) for name, test in value.items()]


def _one_header(name: str, test: bool | str | Test | list[str | Test]) -> Condition:
    field = f"header {name}"
    if isinstance(test, bool):
        return Condition(
            field,
            lambda facts: (name in facts.headers) is test,
            "present" if test else "absent",
            lambda facts: "present" if name in facts.headers else "absent",
        )
    condition = _text_condition(field, test, TextField("glob", lambda facts: facts.headers.get(name)))
    return (
        replace(condition, got=lambda facts: REDACTED if name in facts.headers else show(()))
        if is_secret_field(name)
        else condition
    )


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
            sum(one.price for group in groups for one in group),
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
            price=sum(one.price for one in group),
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
    # So many words are longer than the limit, and what follows them is not looked at.
    line = " ".join(text.split(maxsplit=limit))
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def show(values: Sequence[str]) -> str:
    """Values as a report shows them."""
    if not values:
        return "nothing"
    shown = ", ".join(f'"{shorten(value)}"' for value in values[:MAX_SHOWN_VALUES])
    left = len(values) - MAX_SHOWN_VALUES
    return f"{shown} and {left} more" if left > 0 else shown
