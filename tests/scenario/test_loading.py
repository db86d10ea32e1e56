"""Files and folders: which are read, in which order, what they are called, and what stops the reading."""

import os
from pathlib import Path

import pytest

from emulator.errors import Place, ScenarioError
from emulator.scenario.checks.parsed_file import rule_name
from emulator.scenario.loading import default_scenario_path, read_paths, read_text
from emulator.scenario.yaml import MAX_BYTES

GOOD = "rules:\n  - when: {{project: {0}}}\n    reply: {0}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, name: str = "a") -> None:
    """Write a good scenario that answers only the project of that name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(GOOD.format(name), "utf-8")


def refusal(*paths: str | Path) -> str:
    """The report of paths that cannot be read."""
    with pytest.raises(ScenarioError) as caught:
        read_paths(paths)
    return str(caught.value)


def test_a_folder_is_read_in_order_without_hidden_files(folder: Path) -> None:
    """All YAML files below a folder are read, sorted, save hidden ones and other kinds."""
    for name in ("s/b.yaml", "s/a.yml", "s/c/d.yaml", "s/.e.yaml", "s/.f/g.yaml"):
        write(folder / name, Path(name).stem)
    (folder / "s" / "h.json").write_text("{}")
    (folder / "s" / "notes.txt").write_text("no: [")
    reading = read_paths(["s"])
    assert [file.file for file in reading.scenarios] == ["s/a.yml", "s/b.yaml", "s/c/d.yaml"]
    assert reading.warnings == ()


def test_files_keep_the_order_in_which_they_are_named(folder: Path) -> None:
    """Named files come as named, each once, JSON among them; they know their names and folders."""
    write(folder / "a.yaml", "a")
    write(folder / "b.yaml", "b")
    (folder / "c.json").write_text('{"$schema": "scenario.schema.json", "scenario": "see", "rules": [{"reply": "x"}]}')
    reading = read_paths([folder / "b.yaml", "a.yaml", "b.yaml", ".", "c.json"])
    assert [file.file for file in reading.scenarios] == ["b.yaml", "a.yaml", "c.json"]
    assert [file.name for file in reading.scenarios] == ["b", "a", "see"]
    assert {file.folder for file in reading.scenarios} == {folder}
    assert reading.scenarios[0].place(("rules", 0, "reply")) == Place("b.yaml", 3, 12)


def test_files_elsewhere_keep_their_whole_path(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file that is not below the current directory is shown as it was named."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "a.yaml"
    write(elsewhere)
    assert read_paths([elsewhere]).scenarios[0].file == str(elsewhere)


def test_problems_of_all_files_come_together(folder: Path) -> None:
    """One error tells everything: missing files, empty folders, mistakes and warnings, in the order of the files."""
    (folder / "empty").mkdir()
    (folder / "bad.yaml").write_text("rules:\n  - rply: x\n")
    (folder / "odd.yaml").write_text("scenario: odd\n")
    assert refusal("none.yaml", "empty", "odd.yaml", "bad.yaml").splitlines() == [
        "none.yaml:1:1: there is no such file or folder",
        "empty:1:1: this folder has no scenario: no file in it ends in .yaml or .yml",
        "odd.yaml:1:1: warning: this scenario has no rules, so it answers nothing",
        "  scenario: odd",
        "  ^",
        'bad.yaml:2:5: unknown key "rply" in a rule; did you mean "reply"?',
        "    - rply: x",
        "      ^",
    ]


def test_a_large_file_is_refused(folder: Path) -> None:
    """Files and texts have a bounded size."""
    text = "#" * (MAX_BYTES + 1)
    (folder / "large.yaml").write_text(text)
    said = "this file is larger than 4 MiB; divide it into several"
    assert refusal("large.yaml") == f"large.yaml:1:1: {said}"
    with pytest.raises(ScenarioError, match=said):
        read_text(text)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the permissions of a file do not stop everybody")
def test_an_unreadable_file_is_a_problem(folder: Path) -> None:
    """A file without permission is told like any other problem."""
    write(folder / "a.yaml")
    (folder / "a.yaml").chmod(0)
    assert refusal("a.yaml") == "a.yaml:1:1: this file cannot be read: permission denied"


def test_an_impossible_path_is_a_problem(folder: Path) -> None:
    """A path that no file can have is told like any other problem."""
    assert refusal("a\0b.yaml").startswith("a\0b.yaml:1:1: this file cannot be read: ")


def test_links_do_not_lead_out_of_the_folder(folder: Path) -> None:
    """A file that a scenario names is looked at where its links lead."""
    (folder / "s").mkdir()
    (folder / "secret.png").write_bytes(b"x")
    (folder / "s" / "link.png").symlink_to("../secret.png")
    (folder / "s" / "a.yaml").write_text("rules:\n  - reply: {image: link.png}\n")
    assert '"link.png" is outside the scenario\'s folder' in refusal("s/a.yaml")


def test_text_has_no_folder_unless_given(folder: Path) -> None:
    """A scenario without a file names no files, unless it is told where they are."""
    (folder / "dot.png").write_bytes(b"x")
    text = "rules:\n  - reply: {image: dot.png}\n"
    with pytest.raises(ScenarioError, match="this scenario has no folder"):
        read_text(text)
    (file,) = read_text(text, "pushed", folder).scenarios
    assert (file.file, file.name, file.folder) == ("pushed", "pushed", folder)


def test_rules_have_names() -> None:
    """A rule without a name is called by its number in the file."""
    (file,) = read_text("rules:\n  - {name: a, when: {turn: 1}, reply: x}\n  - reply: y\n").scenarios
    assert [rule_name(rule, number) for number, rule in enumerate(file.scenario.rules, 1)] == ["a", "rule 2"]


def test_default_scenario_is_there() -> None:
    """The scenario used when none is given is good, without a warning."""
    assert read_paths([default_scenario_path()]).warnings == ()
