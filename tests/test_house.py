"""The rules of the house, read off its sources: rooms, circles, private names, late imports."""

import ast
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Each room may import from the lines above its own; rooms on one line do not know each other.
FLOORS = (
    ("budget", "errors", "redaction", "suggestions"),
    ("wire",),
    ("catalogue",),
    ("scenario",),
    ("engine",),
    ("verdicts",),
    ("store",),
    ("http",),
    ("server",),
    ("credentials", "intercept", "recording", "inspector"),
    ("api",),
    ("cli", "pytest_vertex_emulator"),
    ("__init__", "__main__"),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# Each takes longer to import than the server takes to start.
HEAVY = ("faker", "httpx", "jinja2", "jsonschema", "openai", "re2", "trustme")


@dataclass(frozen=True)
class Import:
    """One name that a module imports: `from emulator.wire import sse` has module emulator.wire and name sse."""

    module: str
    name: str
    line: int
    bound: str

    @property
    def room(self) -> str | None:
        """The room it comes from; None for what is not ours."""
        first, *rest = self.module.split(".")
        if first == "pytest_vertex_emulator":
            return first
        if first != "emulator":
            return None
        if rest:
            return rest[0]
        return self.name if self.name in FLOOR_OF else "__init__"


@dataclass(frozen=True)
class Source:
    """A module of the package, as text and as tree."""

    path: Path

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def room(self) -> str:
        """The room it stands in; the package's own files count as rooms."""
        first, *rest = self.path.relative_to(ROOT).with_suffix("").parts
        return rest[0] if first == "emulator" else first

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.path.read_text("utf-8"))

    @cached_property
    def imports(self) -> list[Import]:
        """All imports, those inside functions too."""
        return [each for node in ast.walk(self.tree) for each in imports_of(node)]


def imports_of(node: ast.AST) -> Iterator[Import]:
    """Read the names that one statement imports; none if it is no import."""
    if isinstance(node, ast.Import):
        for each in node.names:
            yield Import(each.name, "", node.lineno, each.asname or each.name.split(".")[0])
    elif isinstance(node, ast.ImportFrom):
        for each in node.names:
            yield Import(node.module or "", each.name, node.lineno, each.asname or each.name)


def run_at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Walk the statements that run when a module is imported: not the bodies of functions, nor what only types need."""
    for node in body:
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from run_at_import(node.orelse)
            continue
        for part in ("body", "orelse", "finalbody"):
            yield from run_at_import(getattr(node, part, []))
        for handler in getattr(node, "handlers", []):
            yield from run_at_import(handler.body)


def is_private(name: str) -> bool:
    """Tell a private name from a public one and from `__version__` and its like."""
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


SOURCES = [
    Source(path)
    for package in ("emulator", "pytest_vertex_emulator")
    for path in sorted((ROOT / package).rglob("*.py"))
]
TEXTS = sorted(
    path
    for pattern in (
        "*",
        ".ci/*",
        *(
            f"{room}/**/*"
            for room in ("emulator", "pytest_vertex_emulator", "tests", "scenarios", "docs", "benchmarks")
        ),
    )
    for path in ROOT.glob(pattern)
    if path.is_file()
    and path.name != ".git"
    and "__pycache__" not in path.parts
    and "node_modules" not in path.parts
    and (
        path.suffix in {".json", ".md", ".mjs", ".js", ".ts", ".py", ".toml", ".txt", ".yaml", ".yml", ".html"}
        or not path.suffix
    )
)


def test_rooms_are_known() -> None:
    """Every module stands in a room of the plan."""
    assert [str(source) for source in SOURCES if source.room not in FLOOR_OF] == []


def test_imports_point_down() -> None:
    """A module imports from its own room and from those below it."""
    upward = [
        f"{source}:{each.line}: {each.module} {each.name}"
        for source in SOURCES
        for each in source.imports
        if each.room is not None and each.room != source.room and not is_below(each, source.room)
    ]
    assert upward == []


def is_below(imported: Import, room: str) -> bool:
    """Tell whether an import comes from below a room; the package's own `__version__` is below all."""
    if imported.room == "__init__":
        return imported.name == "__version__" or FLOOR_OF[room] == len(FLOORS) - 1
    return imported.room in FLOOR_OF and FLOOR_OF[imported.room] < FLOOR_OF[room]


def test_private_names_stay_private() -> None:
    """No module uses another module's underscore name, neither by importing it nor through the module."""
    assert [each for source in SOURCES for each in find_private_names(source)] == []


def find_private_names(source: Source) -> list[str]:
    """Find where a module uses another's underscore names."""
    ours = [each for each in source.imports if each.room is not None]
    taken = [
        f"{source}:{each.line}: {each.module} {each.name}"
        for each in ours
        if any(is_private(part) for part in (*each.module.split("."), each.name))
    ]
    bound = {each.bound for each in ours}
    taken += [
        f"{source}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and is_private(node.attr) and root_name(node) in bound
    ]
    return taken


def root_name(node: ast.expr) -> str | None:
    """Return the name at the left end of `a.b.c`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def test_no_imports_go_round_in_circles() -> None:
    """No module needs itself by way of others, imports inside functions included."""
    names = {str(source).removesuffix(".py").removesuffix("/__init__").replace("/", "."): source for source in SOURCES}
    needs = {
        name: {
            found
            for each in source.imports
            for found in [f"{each.module}.{each.name}" if f"{each.module}.{each.name}" in names else each.module]
            if found in names and found not in {name, "emulator"}
        }
        for name, source in names.items()
    }
    # Modules that need nobody who is left are taken away; what stays goes round.
    while free := {name for name, needed in needs.items() if not needed & needs.keys()}:
        needs = {name: needed for name, needed in needs.items() if name not in free}
    assert sorted(needs) == []


def test_heavy_modules_are_imported_late() -> None:
    """What is slow to import is imported where it is used."""
    early = [
        f"{source}:{each.line}: {each.module}"
        for source in SOURCES
        for node in run_at_import(source.tree.body)
        for each in imports_of(node)
        if each.module.split(".")[0] in HEAVY
    ]
    assert early == []


def test_command_line_starts_light() -> None:
    """Importing all commands loads nothing heavy, so that the server is there at once."""
    program = f"import sys, emulator.cli; [*emulator.cli.main.commands.values()]; print(*sorted({set(HEAVY)} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("", "", 0)


def test_no_file_speaks_of_one_machine() -> None:
    """Paths of somebody's own machine mean nothing to anybody else."""
    personal = re.compile(r"(?<![\w.~}])/(?:work|home|root)/\S*|(?<![\w/-])shared/\w+")
    found = [(path, text) for path in TEXTS for text in personal.findall(path.read_text("utf-8", errors="replace"))]
    assert found == []


def test_every_dependency_is_justified() -> None:
    """The table of CONTRIBUTING.md says of each package, and of no other, why it is needed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    section = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("## Dependencies")[1].split("\n## ")[0]
    table = re.findall(r"(?m)^\| ([a-z][^ ]*) \| (?=\w)", section)
    assert table[0] == "package"
    assert table[1:] == [each.split(">=")[0] for each in project["dependencies"]]


def test_no_test_leaves_this_machine() -> None:
    """A connection to another machine is refused before a packet is sent."""
    with socket.socket() as plain, pytest.raises(RuntimeError, match=r"192\.0\.2\.1; tests may only connect"):
        plain.connect(("192.0.2.1", 80))
