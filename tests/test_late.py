"""A package's own module runs when something is asked of it, and is then what it always was."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from emulator.late import run_late


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that says when it runs, with a part that asks the package for a name."""
    package = tmp_path / "latecomer"
    package.mkdir()
    (package / "__init__.py").write_text("from latecomer import big\nfrom latecomer.part import one\ntwo = 2\n")
    (package / "big.py").write_text("")
    (package / "part.py").write_text("one = 1\n")
    (package / "other.py").write_text("from latecomer import one\n")
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("latecomer", "latecomer.big", "latecomer.part", "latecomer.other"):
        # Set first, so that whatever is imported is taken away in the end.
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
        del sys.modules[module]
    return package.name


def test_a_part_is_imported_without_the_rest(name: str) -> None:
    """Parts do not run the package, also if they ask it for what another part has."""
    run_late(name, one="latecomer.part")
    other: Any = import_module("latecomer.other")
    assert other.one == 1
    assert "latecomer.big" not in sys.modules


def test_the_package_runs_when_it_is_asked(name: str) -> None:
    """Asked for something of its own, the package runs once, and leaves nothing of ours behind."""
    run_late(name, one="latecomer.part")
    package: Any = import_module(name)
    assert "latecomer.big" not in sys.modules
    assert (package.two, package.one) == (2, 1)
    assert "latecomer.big" in sys.modules
    assert type(package) is ModuleType
    assert not {"late_parts", "is_running"}.intersection(vars(package))
    with pytest.raises(AttributeError, match="module 'latecomer' has no attribute 'three'"):
        package.three  # noqa: B018  # what it raises is looked at


def test_what_is_imported_stays_as_it_is(name: str) -> None:
    """A package that has run already is left alone, and one that there is not is nobody's concern."""
    package: Any = import_module(name)
    run_late(name)
    run_late("no_such_package")
    assert sys.modules[name] is package
    assert type(package) is ModuleType
    assert "no_such_package" not in sys.modules
