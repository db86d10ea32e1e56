"""docs/architecture.md names packages, files and classes that exist, in the order that the imports have."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PACKAGES, REQUEST = re.findall(r"(?ms)^```mermaid\n(.*?)^```$", TEXT)
ROWS = re.findall(r"(?m)^\| (?!---|I want)(.+?) \| (.+?) \| (.+) \|$", TEXT.split("\n## I want to change ...\n")[1])
PATH = re.compile(
    r"`((?:emulator|pytest_vertex_emulator|tests|docs|scenarios|benchmarks|clients|deploy)/[^`]*|[A-Z]+\.md)`"
)


def read_floors() -> tuple[tuple[str, ...], ...]:
    """Read the order of the packages from tests/test_house.py; what may be imported comes first."""
    tree = ast.parse((ROOT / "tests" / "test_house.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FLOORS":
            floors: Any = ast.literal_eval(node.value)
            return tuple(floors)
    raise AssertionError("tests/test_house.py has no FLOORS")


def reachable(node: str, arrows: dict[str, set[str]]) -> set[str]:
    """Everything that arrows lead to from a node, over others too."""
    found: set[str] = set()
    todo = [node]
    while todo:
        new = arrows.get(todo.pop(), set()) - found
        found |= new
        todo += new
    return found


def test_drawing_has_the_packages_in_their_order() -> None:
    """The drawing shows exactly the packages of emulator/ and the pytest plugin's, and arrows lead from each to those it may import."""
    members = {
        node: re.findall(r"\w+", label.split(":")[0])
        for node, label in re.findall(r'(?m)^ +(\w+)\["(.+)"\]$', PACKAGES)
    }
    drawn = [name for names in members.values() for name in names]
    existing = {
        path.stem
        for path in (ROOT / "emulator").iterdir()
        if not path.name.startswith("__") and (path.suffix == ".py" or [*path.glob("*.py")])
    }
    assert sorted(drawn) == sorted({*existing, "pytest_vertex_emulator"})
    floor_of = {name: number for number, floor in enumerate(read_floors()) for name in floor}
    arrows: dict[str, set[str]] = {}
    for start, end in re.findall(r"(?m)^ +(\w+) --> (\w+)$", PACKAGES):
        arrows.setdefault(start, set()).add(end)
    for node, (name, *others) in members.items():
        assert {floor_of[other] for other in others} <= {floor_of[name]}
        lower = {other for other, (one, *_) in members.items() if floor_of[one] < floor_of[name]}
        assert reachable(node, arrows) == lower, name


def test_steps_of_a_request_are_in_files_that_exist() -> None:
    """Each step in the drawing of a request begins with a file of emulator/."""
    labels = re.findall(r'\["(.+?)"\]', REQUEST)
    paths = [label.split(":")[0] for label in labels]
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / "emulator" / path).is_file()] == []


def test_every_path_exists() -> None:
    """Each path in the text is one of the repository, written from its root."""
    paths = PATH.findall(TEXT)
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(("name", "path"), re.findall(r"(?m)^\| `([A-Z]\w+)` \| `(.+?)` \|", TEXT))
def test_what_flows_is_defined_where_the_table_says(name: str, path: str) -> None:
    """A class of the table is defined in the file beside it."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


def test_each_change_begins_in_one_file() -> None:
    """At least 30 changes, each with exactly one file to open first, and each only once."""
    assert len(ROWS) >= 30
    assert [change for change, first, _ in ROWS if not re.fullmatch(r"`[^`]+\.\w+`", first)] == []
    assert len({change for change, *_ in ROWS}) == len(ROWS)
