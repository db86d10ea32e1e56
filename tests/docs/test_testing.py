"""docs/testing.md has all methods of the rule builder, and says of the request, fixtures and marker what there is."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emulator.api.emulator import Emulator
from emulator.api.rules import RuleBuilder
from emulator.engine.request.facts import Facts
from pytest_vertex_emulator import plugin


def test_methods_are_those_of_the_rule_builder(assert_generated: Any) -> None:
    """Each has a row, `reply` the first."""
    assert_generated("testing.md", "\n".join(rows()))


def rows() -> Iterator[str]:
    """The rows of the table, in the order of the class."""
    yield "| method | what it does |"
    yield "| --- | --- |"
    for name, method in vars(RuleBuilder).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            _, *parameters = inspect.signature(method).parameters.values()
            first = next((at for at, one in enumerate(parameters) if one.kind is one.KEYWORD_ONLY), len(parameters))
            names = [f"{str(one).partition(one.name)[0]}{one.name}" for one in parameters]
            names[first:first] = ["*"] if first < len(names) and "*" not in "".join(names) else []
            yield f"| `{name}({', '.join(names)})` | {inspect.getdoc(method)} |"


def test_calls_in_the_table_are_valid(read_guide: Callable[[str], str]) -> None:
    """Each makes a rule."""
    guide = read_guide("testing.md")
    methods = guide[guide.index("| method |") : guide.index("<!-- end -->")]
    calls = re.findall(r"`(\.\w+\([^`)][^`]*\))`", methods)
    assert len(calls) > 4
    with Emulator() as vertex:
        for call in calls:
            eval(f"vertex.on().say('Hi'){call}", {"vertex": vertex})  # noqa: S307  # calls of our own page
        assert vertex.verify().problems == ()


def table(guide: str, title: str) -> list[str]:
    """The names in the first column of the table with this title."""
    rows = re.split(rf"(?m)^\| {title} \|.*\n\| ---.*\n", guide)[1].split("\n\n")[0].splitlines()
    return [name for row in rows for name in re.findall(r"`(\w+)", row.split(" | ")[0])]


def test_facts_that_are_listed_exist(read_guide: Callable[[str], str]) -> None:
    """The guide names attributes that a request has."""
    source = inspect.getsource(Facts) + inspect.getsource(Facts.__mro__[1])
    names = table(read_guide("testing.md"), "attribute")
    assert len(names) > 20
    assert [name for name in names if not hasattr(Facts, name) and f"self.{name}" not in source] == []


def test_fixtures_and_options_are_listed(read_guide: Callable[[str], str], request: pytest.FixtureRequest) -> None:
    """The guide names every fixture of the plugin and every option of the marker."""
    guide = read_guide("testing.md")
    fixtures = [name for name in vars(plugin) if name.startswith("vertex")]
    assert sorted(table(guide, "fixture")) == sorted(fixtures)
    marker = re.search(r"vertex\((.*?)\):", "\n".join(request.config.getini("markers")))
    assert marker is not None
    assert sorted(table(guide, "option")) == sorted(re.findall(r"(\w+)=", marker[1]))
