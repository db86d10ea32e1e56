"""The recipes of docs/cookbook/programs.md for frameworks print what the page says."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.test_cookbook import FRAMEWORKS, RECIPES, Recipe, run_commands
from tests.test_readme import Workspace

pytestmark = pytest.mark.frameworks


@pytest.mark.parametrize("recipe", [one for one in RECIPES if one.title in FRAMEWORKS], ids=str)
def test_recipe(recipe: Recipe, tmp_path: Path, make_environment: Callable[[str, Sequence[str]], Path]) -> None:
    """Its program runs with the Python of the framework's environment."""
    python = make_environment(*FRAMEWORKS[recipe.title])
    with ExitStack() as stack:
        workspace = Workspace(recipe.blocks, tmp_path, stack)
        shim = tmp_path / "bin" / "python"
        shim.write_text(f'#!/bin/sh\nexec "{python}" "$@"\n', "utf-8")
        shim.chmod(0o755)
        run_commands(recipe, workspace)
