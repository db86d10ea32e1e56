"""The README and the guides: every block is run, every table is compared with what it describes, every link leads somewhere."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click
import pytest

from emulator.cli.commands import main
from emulator.scenario.loading import read_paths

ROOT = Path(__file__).parents[1]
GUIDES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
UPDATE = bool(os.environ.get("UPDATE_EXPECTED"))

# What is not run here, each with its reason.
EXEMPT = {
    "python3 -m venv .venv && . .venv/bin/activate && pip install '.[exec]'": "needs packages; .ci/run installs the same way",
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/pytest -n auto": "runs this very test",
    "pip install '.[exec]' openai": "needs an index; .ci/run installs the same way",
    "pip install 'vertex-openai-emulator[exec]'": "needs an index; tests/intercept runs what stands below it",
    "pip install 'vertex-openai-emulator[record]'": "needs an index and an account; tests/intercept records from a second emulator",
    "vertex-emulator serve --record recording": "needs an account; tests/intercept records from a second emulator",
    "vertex-emulator record --import cassette.yaml --to recording": "needs a cassette; tests/recording imports some",
    "vertex-emulator serve --proxy --port 8080 --tls-port 8443 --proxy-port 8081 weather.yaml": "tests/intercept does",
    "docker build -t vertex-emulator .": "needs a Docker engine; tests/test_docker.py reads the Dockerfile",
    "# cassette.yaml": "is a cassette, which a block below it imports",
    "npm install --save-dev openai vertex-openai-emulator && node --test": "tests/contract/test_runners.py does",
    "npm install --save-dev openai vertex-openai-emulator vitest && npx vitest run": "tests/contract/frameworks/test_javascript.py does",
    "npm install --save-dev openai vertex-openai-emulator jest && npx jest": "tests/contract/frameworks/test_javascript.py does",
    "# .github/workflows/test.yml": "is no scenario; tests/contract/test_workflow.py runs its steps",
    "# .github/workflows/exec.yml": "is no scenario; tests/contract/test_workflow.py runs its steps",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SOURCE = PROJECT["project"]["urls"]["Source"]
"""Where the repository can be read."""
RAW = SOURCE.replace("//github.com/", "//raw.githubusercontent.com/")
ADDRESS = "http://127.0.0.1:8080"
SERVE = "vertex-emulator serve"
EXPORTS = dict(re.findall(r"(?m)^export (\w+)=(\S+)$", GUIDES[0].read_text("utf-8")))
ANYTHING = "…"


@dataclass(frozen=True)
class Block:
    """A fenced block of a guide."""

    guide: Path
    line: int
    language: str
    text: str
    expected: str | None
    """The text block right behind it, which is what it prints."""
    server: str
    """The command of the server it talks to: the last one above it in the guide; empty for none."""

    def __str__(self) -> str:
        return f"{self.guide.name}-{self.line}"

    @property
    def first_line(self) -> str:
        """Its first line, by which it is exempt."""
        return self.text.split("\n", 1)[0]

    @cached_property
    def file(self) -> str | None:
        """The name of the file that its first line says it is."""
        found = re.match(r"(?:#|//) ([\w.-]+\.\w+)\n", self.text)
        return found[1] if found else None


def read_blocks(guide: Path) -> Iterator[Block]:
    """Read the blocks of a guide; those of text belong to the block before."""
    text = guide.read_text("utf-8")
    fences = list(re.finditer(r"(?ms)^```(\w+)\n(.*?)^```$", text))
    server = SERVE
    for number, fence in enumerate(fences):
        language, content = fence.groups()
        if language == "text":
            continue
        if content.startswith(SERVE) and content.split("\n", 1)[0] not in EXEMPT:
            server = content.strip()
        behind = fences[number + 1] if number + 1 < len(fences) else None
        follows = behind is not None and behind[1] == "text" and not text[fence.end() : behind.start()].strip()
        expected = behind[2] if behind is not None and follows else None
        yield Block(guide, text[: fence.start()].count("\n") + 1, language, content, expected, server)


BLOCKS = [block for guide in GUIDES for block in read_blocks(guide)]


def choose(*languages: str) -> list[Block]:
    """Choose the blocks that are run: of these languages, not exempt, not files."""
    return [
        block for block in BLOCKS if block.language in languages and block.first_line not in EXEMPT and not block.file
    ]


class Workspace:
    """A folder with the files of a guide's blocks, in which they are run, and the servers that they talk to."""

    def __init__(self, blocks: Iterable[Block], folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._servers: dict[str, str] = {}
        commands = folder / "bin"
        commands.mkdir()
        shim = commands / "vertex-emulator"
        program = "from emulator.cli import main; main(prog_name='vertex-emulator')"
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{program}" "$@"\n', "utf-8")
        shim.chmod(0o755)
        path = os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ["PATH"]])
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VERTEX_", "OPENAI_"))}
        self._environment = {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "NO_PROXY": "*"}
        # Plugins for other tests, such as Hypothesis, take longer to start than a test that is shown takes to run.
        self._environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        self._environment["PYTEST_PLUGINS"] = "pytest_vertex_emulator.plugin,xdist.plugin"
        for block in blocks:
            if block.file:
                (folder / block.file).write_text(block.text, "utf-8")

    def run(self, block: Block) -> str:
        """Run a block as whoever pastes it would, and return what it prints."""
        address = self.address(block.server) if block.server else ADDRESS
        script = self.folder / ("block.py" if block.language == "python" else "block.sh")
        script.write_text(block.text.replace(ADDRESS, address), "utf-8")
        command = [sys.executable] if block.language == "python" else ["bash", "-e"]
        exported = {name: value.replace(ADDRESS, address) for name, value in EXPORTS.items()}
        done = subprocess.run(
            [*command, script],
            cwd=self.folder,
            env={**self._environment, **exported},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.sub(r"vertex-emulator: .* 0 misses, 0 refusals, 0 leaks\n", "", done.stderr) == ""
        return done.stdout.replace(address, ADDRESS)

    def address(self, command: str) -> str:
        """Return the address of the server that a command starts, started when first asked for."""
        if command not in self._servers:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command.replace('--port 8080', '--port 0')}"],
                cwd=self.folder,
                env={**self._environment, "VERTEX_EMULATOR_PORT": "0"},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            self._stack.enter_context(process)
            self._stack.callback(process.kill)
            assert process.stdout is not None
            self._servers[command] = process.stdout.readline().split()[-1]
        return self._servers[command]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None or shutil.which("curl") is None, reason="there is no bash or no curl")
@pytest.mark.parametrize(
    "guide", sorted({block.guide for block in choose("sh", "bash", "python")}), ids=lambda path: path.name
)
def test_blocks_run(guide: Path, tmp_path: Path) -> None:
    """The blocks of a guide can be pasted one after the other: each ends well, complains of nothing, and prints what the guide says it does."""
    wrong: list[str] = []
    with ExitStack() as stack:
        workspace = Workspace((block for block in BLOCKS if block.guide == guide), tmp_path, stack)
        for block in choose("sh", "bash", "python"):
            if block.guide != guide:
                continue
            try:
                run_block(block, workspace)
            except AssertionError as error:
                wrong.append(f"{guide}:{block.line}\n{error}")
    if wrong:
        pytest.fail("\n\n".join(wrong), pytrace=False)


def run_block(block: Block, workspace: Workspace) -> None:
    """Run a block and hold that it prints what it should; with UPDATE_EXPECTED, write what it prints into the guide."""
    if block.text.startswith(SERVE):
        assert workspace.address(block.server).startswith("http://127.0.0.1:")
        return
    printed = workspace.run(block)
    if block.expected is None:
        return
    if UPDATE and ANYTHING not in block.expected:
        text = block.guide.read_text("utf-8")
        shown = f"{block.text}```\n\n```text\n"
        block.guide.write_text(text.replace(f"{shown}{block.expected}```", f"{shown}{printed.strip()}\n```"), "utf-8")
        return
    wanted = re.escape(block.expected.strip()).replace(ANYTHING, ".*?")
    assert re.fullmatch(wanted, printed.strip(), re.DOTALL), f"wanted:\n{block.expected}\nprinted:\n{printed}"


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "yaml" and block.first_line not in EXEMPT], ids=str
)
def test_scenario_is_fine(block: Block, tmp_path: Path) -> None:
    """A scenario that is shown has neither problems nor warnings, beside those that its guide shows with it."""
    for one in BLOCKS:
        if one.guide == block.guide and one.language == "yaml" and one.file:
            (tmp_path / one.file).write_text(one.text, "utf-8")
    (tmp_path / "shown.yaml").write_text(block.text, "utf-8")
    assert read_paths([tmp_path / "shown.yaml"]).warnings == ()


def test_every_block_is_tried() -> None:
    """Every block is of a known kind, every test that is shown is run, and every exemption is of a block that exists."""
    assert {block.language for block in BLOCKS} <= {"sh", "bash", "python", "yaml", "js", "mermaid"}
    # All the files of that guide are run, by the tests that its commands name above.
    assert all(block.file and block.guide.name == "runners.md" for block in BLOCKS if block.language == "js")
    files = {block.file for block in BLOCKS if block.file and block.language == "python"}
    run = "".join(block.text for block in choose("sh", "bash"))
    assert all(file in run for file in files - {"conftest.py"})
    assert {block.first_line for block in BLOCKS} >= set(EXEMPT)


@pytest.mark.parametrize(
    "guide",
    [*GUIDES, *sorted((ROOT / "docs" / "cookbook").glob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_links_lead_somewhere(guide: Path) -> None:
    """Every link to a file of the repository, and to a heading in it, leads there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", guide.read_text("utf-8")):
        check_link(target, guide)


def check_link(target: str, guide: Path) -> None:
    """Follow a link of a guide to the file and the heading; those to the project's address lead to its files."""
    name, _, anchor = target.partition("#")
    if "://" in target:
        found = re.match(rf"{re.escape(SOURCE)}(?:/blob/main/(.+))?$", name) or re.match(
            rf"{re.escape(RAW)}/main/(.+)$", name
        )
        assert found or not name.startswith((SOURCE, RAW)), target
        if not found:
            return
        path = ROOT / (found[1] or "README.md")
    else:
        path = (guide.parent / name) if name else guide
    assert path.exists(), target
    if anchor:
        headings = re.findall(r"(?m)^#+ (.+)$", path.read_text("utf-8"))
        anchors = {re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in anchors, target


def test_pip_is_given_the_repository() -> None:
    """Every command that lets pip take the emulator from git names the project's address."""
    places = (*GUIDES, ROOT / "docs" / "cookbook" / "index.md", ROOT / "clients" / "node" / "index.cjs")
    addresses = [found for place in places for found in re.findall(r"git\+https:[\w./-]+", place.read_text("utf-8"))]
    assert len(addresses) >= 4
    assert set(addresses) == {f"git+{SOURCE}"}


def test_links_lead_somewhere_from_the_package_index() -> None:
    """What pyproject.toml makes of the README for the package index has no link that needs the repository around it."""
    text = GUIDES[0].read_text("utf-8")
    links = len(re.findall(r"\]\(", text))
    for one in PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(one["pattern"], one["replacement"], text)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert len(targets) == links > 40
    assert [target for target in targets if not target.startswith("https://")] == []
    assert all(target.startswith(RAW) == target.endswith(".png") for target in targets)
    for target in targets:
        check_link(target, ROOT)


def read_rows(guide: Path, heading: str) -> list[list[str]]:
    """Read the cells of all table rows of a section, header rows left out."""
    section = re.split(r"(?m)^## ", guide.read_text("utf-8").split(f"\n## {heading}\n")[1])[0]
    tables = re.findall(r"(?m)^\|.*\|\n\| ---.*\n((?:\|.*\n)+)", section)
    return [[cell.strip() for cell in row.strip("|").split("|")] for table in tables for row in table.splitlines()]


def names_in(cell: str) -> list[str]:
    """List the names that a cell has in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def test_contents_list_every_section() -> None:
    """The contents of the README link to all of its sections, in order."""
    text = GUIDES[0].read_text("utf-8")
    contents = text.split("**Contents:**")[1].split("\n\n")[0]
    assert re.findall(r"\[([^\]]+)\]\(#", contents) == re.findall(r"(?m)^## (.+)$", text)


def test_commands_are_those_of_the_program() -> None:
    """The README lists every command, in the order of `--help`, with options that it has."""
    rows = read_rows(GUIDES[0], "Commands")
    assert [name for command, *_ in rows for name in names_in(command)] == list(main.commands)
    for command, _, options in rows:
        parameters = main.commands[names_in(command)[0]].params
        known = {spelling for one in parameters if isinstance(one, click.Option) for spelling in one.opts}
        assert set(names_in(options)) <= known


def test_scenario_keys_are_those_of_the_reference() -> None:
    """The tables of the README name every key of `when`, every step and every key beside an answer, and no other."""
    reference = ROOT / "docs" / "scenarios.md"
    rows = read_rows(GUIDES[0], "Scenario keys")
    keys = {
        kind: [name for cell, *_ in rows if kind_of(cell) == kind for name in names_in(cell)]
        for kind in ("when", "step", "beside")
    }
    steps = reference.read_text("utf-8").split("\n## Replies\n")[1].split("\n## ")[0]
    wanted = {
        "when": [name for cell, *_ in read_rows(reference, "When") for name in names_in(cell)],
        "step": re.findall(r"(?m)^### `(\w+)`$", steps),
        "beside": [name for cell, *_ in read_rows(reference, "Beside the answer") for name in names_in(cell)],
    }
    assert {kind: sorted(names) for kind, names in keys.items()} == {
        kind: sorted(names) for kind, names in wanted.items()
    }


def kind_of(cell: str) -> str:
    """Tell which of the README's tables of keys a first cell is from."""
    if cell.startswith("beside it:"):
        return "beside"
    return "step" if names_in(cell)[0] in {"say", "call", "image", "one_of", "pause"} else "when"
