"""docs/cookbook/: each recipe is run as it stands, with a real client, and prints what its page says."""

import contextlib
import io
import os
import re
import runpy
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from emulator.scenario.loading import read_text
from tests.test_readme import ANYTHING, SERVE, Block, Workspace, read_blocks

FOLDER = Path(__file__).parents[2] / "docs" / "cookbook"
INDEX = FOLDER / "index.md"
MARK = "tests/contract/test_cookbook.py -->\n"
PAGES = tuple(FOLDER / f"{name}.md" for name in ("answers", "tools", "failures", "testing", "programs"))
MAX_LINES = 32
"""Lines of a block; a recipe is short."""
NOT_SCENARIOS = {"cassette.yaml"}
FRAMEWORKS = {
    "LangChain": ("langchain-agents", ("langchain", "langchain-openai")),
    "pydantic-ai": ("pydantic-ai", ("pydantic-ai-slim[openai]",)),
    "LiteLLM falls over to another region": ("litellm", ("litellm", "mcp", "google-cloud-aiplatform", "cryptography")),
}
"""Recipes that tests/contract/frameworks/test_cookbook.py runs: the environment each needs, with its packages."""


@dataclass(frozen=True)
class Recipe:
    """A section of a page of the cookbook."""

    page: Path
    title: str
    problem: str
    """The paragraph below the heading."""
    blocks: tuple[Block, ...]

    def __str__(self) -> str:
        return f"{self.page.stem}-{re.sub(r'[^a-z0-9]+', '-', self.title.lower()).strip('-')}"

    @property
    def anchor(self) -> str:
        """The part of its address behind the #."""
        return re.sub(r"[^\w\s-]", "", self.title.lower()).replace(" ", "-")


def with_own_server(blocks: Iterable[Block]) -> Iterator[Block]:
    """Let blocks talk to the server that their own recipe starts, or to none."""
    server = ""
    for block in blocks:
        server = block.server if block.text.startswith(SERVE) else server
        yield replace(block, server=server)


def read_recipes(page: Path) -> list[Recipe]:
    """Read the recipes of a page."""
    text = page.read_text("utf-8")
    blocks = list(read_blocks(page))
    starts = [
        (found[1], text[: found.start()].count("\n") + 1, found.end()) for found in re.finditer(r"(?m)^## (.+)$", text)
    ]
    ends = [*(line for _, line, _ in starts[1:]), text.count("\n") + 2]
    return [
        Recipe(
            page,
            title,
            text[behind:].strip().split("\n\n")[0],
            tuple(with_own_server(block for block in blocks if line < block.line < end)),
        )
        for (title, line, behind), end in zip(starts, ends, strict=True)
    ]


RECIPES = [recipe for page in PAGES for recipe in read_recipes(page)]


def assert_prints(block: Block, printed: str) -> None:
    """Hold that a block printed what stands below it."""
    expected = block.expected or ""
    wanted = re.escape(expected.strip()).replace(ANYTHING, ".*?")
    if not re.fullmatch(wanted, printed.strip(), re.DOTALL):
        pytest.fail(f"{block.guide}:{block.line}\nwanted:\n{expected}\nprinted:\n{printed}", pytrace=False)


def run_commands(recipe: Recipe, workspace: Workspace) -> None:
    """Run the shell blocks of a recipe."""
    for block in recipe.blocks:
        if block.language == "sh" and not block.text.startswith(SERVE):
            assert_prints(block, workspace.run(block))


def run_here(path: Path) -> str:
    """Run a program in this process, whose imports it shares, and return what it prints."""
    printed = io.StringIO()
    with contextlib.chdir(path.parent), contextlib.redirect_stdout(printed):
        runpy.run_path(str(path), run_name="__main__")
    return printed.getvalue()


@pytest.mark.parametrize("recipe", [one for one in RECIPES if one.title not in FRAMEWORKS], ids=str)
def test_recipe(recipe: Recipe, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Its blocks run in their order, and print what stands below them."""
    if any(block.language == "js" for block in recipe.blocks):
        modules = request.getfixturevalue("node_openai") / "node_modules"
        (tmp_path / "node_modules").symlink_to(modules, target_is_directory=True)
    with ExitStack() as stack:
        run_commands(recipe, Workspace(recipe.blocks, tmp_path, stack))
    for block in recipe.blocks:
        if block.language == "python" and not block.file:
            path = tmp_path / "recipe.py"
            path.write_text(block.text, "utf-8")
            assert_prints(block, run_here(path))


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_recipe_is_short(recipe: Recipe) -> None:
    """A problem in a sentence or two, blocks of at most so many lines, and scenarios without warnings."""
    assert recipe.problem
    assert len(recipe.problem) <= 260
    assert any(block.expected for block in recipe.blocks)
    used = "".join(block.text.partition("\n")[2] if block.file else block.text for block in recipe.blocks)
    assert all(block.file in used for block in recipe.blocks if block.file)
    assert all(block.text.count("\n") <= MAX_LINES for block in recipe.blocks)
    for block in recipe.blocks:
        if block.language == "yaml" and block.file not in NOT_SCENARIOS:
            assert read_text(block.text).warnings == ()


def test_there_are_many() -> None:
    """At least 40 recipes with titles of their own, on pages that this test knows."""
    assert len({recipe.title for recipe in RECIPES}) == len(RECIPES) >= 40
    assert {path.name for path in FOLDER.iterdir()} == {INDEX.name, *(page.name for page in PAGES)}
    assert {recipe.title for recipe in RECIPES} >= set(FRAMEWORKS)


def test_index_lists_all() -> None:
    """The first page links to every recipe, by page."""
    lines = []
    for page in PAGES:
        title = page.read_text("utf-8").split("\n", 1)[0].partition(": ")[2]
        recipes = [f"- [{one.title}]({page.name}#{one.anchor})" for one in RECIPES if one.page == page]
        lines += [f"## [{title[0].upper()}{title[1:]}]({page.name})", "", *recipes, ""]
    text = INDEX.read_text("utf-8")
    head, mark, _ = text.partition(MARK)
    wanted = f"{head}{mark}\n" + "\n".join(lines)
    if os.environ.get("UPDATE_EXPECTED"):
        INDEX.write_text(wanted, "utf-8")
    assert INDEX.read_text("utf-8") == wanted
