"""`examples` lists the shipped scenarios and copies them."""

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "scenarios").rglob("*.yaml"))


def test_every_example_is_listed_with_what_it_is(run: Any) -> None:
    """Each has a line with a sentence, and the last line says how to copy them."""
    result = run("examples")
    *lines, _, last = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        path.relative_to(ROOT / "scenarios").with_suffix("").as_posix() for path in EXAMPLES
    ]
    assert all(line.endswith((".", ":")) and len(line.split()) > 3 for line in lines)
    assert last == f"{len(EXAMPLES)} examples; vertex-emulator examples NAME... copies some, --all all of them"


def test_examples_are_copied_with_their_schema(run: Any, tmp_path: Path) -> None:
    """Those that are named, once each, with or without their ending, in a folder that is made."""
    result = run("examples", "tools", "documented/two_cities.yaml", "tools", "--to", "mine")
    assert result.exit_code == 0
    copied = ["tools.yaml", "documented/two_cities.yaml", "scenario.schema.json"]
    assert result.stdout == "".join(f"wrote mine/{name}\n" for name in copied)
    for name in copied:
        assert (tmp_path / "mine" / name).read_bytes() == (ROOT / "scenarios" / name).read_bytes()
    assert run("check", "mine").exit_code == 0
    assert run("examples", "chat", "--to", "mine").stdout == "wrote mine/chat.yaml\n"


def test_all_examples(run: Any, tmp_path: Path) -> None:
    """With --all the whole folder."""
    assert run("examples", "--all").exit_code == 0
    assert sorted(tmp_path.rglob("*.yaml")) == [tmp_path / path.relative_to(ROOT / "scenarios") for path in EXAMPLES]


def test_mistakes(run: Any, tmp_path: Path) -> None:
    """An unknown name, a file that is there and a folder that is none are said in a sentence, and nothing is written."""
    result = run("examples", "toosl", "chat")
    assert (result.exit_code, result.stderr) == (
        1,
        'vertex-emulator: there is no example "toosl"; did you mean "tools"?\n',
    )
    (tmp_path / "chat.yaml").write_text("mine", "utf-8")
    result = run("examples", "tools", "chat")
    assert (result.exit_code, result.stderr) == (1, "vertex-emulator: chat.yaml exists already; nothing was written\n")
    assert [path.name for path in tmp_path.iterdir()] == ["chat.yaml"]
    result = run("examples", "--to", "mine")
    assert result.exit_code == 2
    assert "--to needs the names of the examples to copy, or --all" in result.stderr
    result = run("examples", "tools", "--to", "chat.yaml")
    assert (result.exit_code, result.stderr) == (1, "vertex-emulator: cannot write into chat.yaml: file exists\n")
