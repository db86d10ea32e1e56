"""Files and folders: which are read, in which order, what they are called, and what stops the reading."""

import os
from pathlib import Path

import pytest

from emulator.engine.ruleset import compile_rules
from emulator.errors import Place, ScenarioError
from emulator.scenario.checks.parsed_file import rule_name
from emulator.scenario.loading import (
    MAX_INCLUDE_DEPTH,
    default_scenario_path,
    list_included,
    read_paths,
    read_text,
)
from emulator.scenario.rules import ReplyRule
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


def test_included_files_come_after_those_that_include_them(folder: Path) -> None:
    """A folder's files keep their order, but what is included stands behind all that include it, and is read once."""
    for name, included in {"a": "z/shared.yaml", "b": "[common.yaml, a.yaml]", "common": "z/shared.yaml"}.items():
        write(folder / f"{name}.yaml", name)
        with (folder / f"{name}.yaml").open("a") as file:
            file.write(f"include: {included}\n")
    write(folder / "z" / "shared.yaml", "shared")
    reading = read_paths(["."])
    assert [file.file for file in reading.scenarios] == ["b.yaml", "common.yaml", "a.yaml", "z/shared.yaml"]
    assert reading.warnings == ()
    assert [file.file for file in read_paths(["a.yaml"]).scenarios] == ["a.yaml", "z/shared.yaml"]
    assert reading.scenarios[3].folder == folder / "z"
    assert list_included(["."]) == {folder / name for name in ("z/shared.yaml", "common.yaml", "a.yaml")}


def test_included_files_that_are_missing_are_known(folder: Path) -> None:
    """Whoever watches a scenario also waits for files that are not there yet."""
    (folder / "a.yaml").write_text("include: [b.yaml, c/d.yaml, ../e.yaml]\nrules: [{reply: a}]\n")
    (folder / "b.yaml").write_text("rules: [")
    assert list_included(["a.yaml"]) == {folder / "b.yaml", folder / "c" / "d.yaml", folder.parent / "e.yaml"}
    assert refusal("a.yaml").splitlines()[0].startswith('a.yaml:1:19: there is no file "c/d.yaml" beside the scenario')


def test_flags_and_defaults_of_included_files(folder: Path) -> None:
    """The flags of a scenario are those of all its files; `defaults` are each file's own."""
    (folder / "a.yaml").write_text("include: b.yaml\ndefaults: {finish: length}\nrules: [{requires: paid, reply: a}]\n")
    (folder / "b.yaml").write_text("rules: [{sets: paid, reply: b}]\n")
    first, second = (rule for rule in compile_rules(read_paths(["a.yaml"]).scenarios).rules)
    assert (first.finish, second.finish) == ("length", None)


def test_texts_cannot_include(folder: Path) -> None:
    """A scenario without a file has no folder in which another could be."""
    write(folder / "b.yaml")
    with pytest.raises(ScenarioError, match="only a scenario in a file can include others") as caught:
        read_text("include: b.yaml\nrules: []\n", "weather.yaml")
    assert caught.value.problems[-1].place == Place("weather.yaml", 1, 10)


def test_files_cannot_include_each_other_without_end(folder: Path) -> None:
    """A long chain of files is a problem at the first that is too deep."""
    for number in range(MAX_INCLUDE_DEPTH + 3):
        (folder / f"{number}.yaml").write_text(f"include: {number + 1}.yaml\nrules: []\n")
    assert f"{MAX_INCLUDE_DEPTH}.yaml:1:10: files include each other more than {MAX_INCLUDE_DEPTH} deep" in refusal(
        "0.yaml"
    )


def test_a_link_out_of_the_folder_is_not_included(folder: Path) -> None:
    """As with media, a symbolic link is where it leads."""
    inner = folder / "inner"
    inner.mkdir()
    write(folder / "secret.yaml")
    (inner / "link.yaml").symlink_to(folder / "secret.yaml")
    (inner / "a.yaml").write_text("include: link.yaml\nrules: []\n")
    assert 'inner/a.yaml:1:10: "link.yaml" is outside the scenario\'s folder' in refusal("inner/a.yaml")


def test_rules_are_compared_within_their_scenario_only(folder: Path) -> None:
    """Read alone, the files of a folder shadow nothing of each other; a file and what it includes are one scenario."""
    for name in ("a", "b"):
        (folder / f"{name}.yaml").write_text("rules: [{reply: x}]\n")
    assert len(read_paths(["."]).warnings) == 1
    assert read_paths(["."], is_alone=True).warnings == ()
    (folder / "a.yaml").write_text("include: b.yaml\nrules: [{reply: x}]\n")
    (warning,) = read_paths(["."], is_alone=True).warnings
    assert warning.place == Place("b.yaml", 1, 9)


def test_what_begins_with_x_means_nothing_by_itself() -> None:
    """Anchors can stand under keys of one's own; their aliases are checked where they stand."""
    text = """
x-errors: [&busy {fail: 429}, {fial: 3}]
x-cheap: &cheap {usage: {prompt: 1}}
rules:
  - {name: a, when: {turn: 1}, reply: *busy, <<: *cheap}
  - {name: b, reply: [{say: Hi}, *busy]}
"""
    file = read_text(text)
    first, second = file.scenarios[0].scenario.rules
    assert isinstance(first, ReplyRule)
    assert first.usage is not None
    assert first.usage.prompt == 1
    assert second.usage is None
    with pytest.raises(ScenarioError, match='unknown key "y-cheap"'):
        read_text("y-cheap: 3\nrules: []\n")
