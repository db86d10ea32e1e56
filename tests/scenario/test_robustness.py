"""Whatever stands in a scenario, it is read in time and said to be wrong with its place, never with an exception."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.ruleset import compile_rules
from emulator.errors import ScenarioError
from emulator.scenario.loading import read_paths, read_text

SCENARIOS = [path.read_text("utf-8") for path in sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))]
PIECES = [
    "{{ last_user }}",
    "{{ x|",
    "%}",
    "1e999",
    "[",
    "}",
    "'",
    "\n- ",
    "*a",
    "&a ",
    "<<: ",
    "(" * 300,
    "\\",
    "9" * 5000,
    "null",
]
PIECES += [
    "{{ 1" + "+1" * 900 + " }}",
    "fail: 999",
    "turn: 9-1",
    "regex: '(a+)+'",
    "image: ../../x",
    ": ",
    "- ",
    "\u2028",
    "auto",
]
TEMPLATES_NOWHERE = [
    '{fail: "{{ last_user }}"}, reply: {fail: "{{ last_user }}"}',
    'reply: {image: "{{ model }}"}',
    'reply: {audio: "{{ model }}"}',
    'reply: {image: "gs://{{ model }}/../../../etc/hostname"}',
    'reply: a, fault: "{{ last_user }}"',
    'reply: a, pace: "{{ last_user }}"',
]


@given(
    st.sampled_from(SCENARIOS),
    st.lists(st.tuples(st.integers(0, 4000), st.sampled_from(PIECES), st.integers(0, 20)), min_size=1, max_size=3),
)
def test_mutated_scenarios_have_problems_only(text: str, changes: list[tuple[int, str, int]]) -> None:
    """A scenario with pieces put in and taken out is read, or has problems with places."""
    for at, piece, gone in changes:
        text = text[:at] + piece + text[at + gone :]
    try:
        compile_rules(read_text(text, folder=Path(__file__).parent).scenarios)
    except ScenarioError as error:
        assert error.problems  # noqa: PT017  # as below
        assert all(problem.place.line > 0 for problem in error.problems)  # noqa: PT017  # most texts are good scenarios


@pytest.mark.parametrize("rule", TEMPLATES_NOWHERE)
def test_templates_where_none_may_stand(rule: str) -> None:
    """A value that is needed when the scenario is read cannot be a template."""
    with pytest.raises(ScenarioError) as caught:
        read_text(f"rules:\n- {{{rule}}}\n")
    assert all(problem.place.line == 2 for problem in caught.value.problems)


@pytest.mark.parametrize(
    "text",
    [
        "rules:\n" + "- reply: a\n" * 5_000,
        "rules:\n- reply: a\n" + "".join(f"  key{number}: 1\n" for number in range(20_000)),
        'rules:\n- reply: &t "{{ model }}' + "word " * 20_000 + '"\n' + "- {when: {turn: 3}, reply: *t}\n" * 1000,
        'rules:\n- reply: &t "{{ modle }}' + "word " * 20_000 + '"\n' + "- {when: {turn: 3}, reply: *t}\n" * 2000,
        "rules:\n" + "".join(f"- {{when: {{turn: {number}}}, reply: a}}\n" for number in range(1, 5000)),
    ],
    ids=["rules", "keys", "template", "broken-template", "conditions"],
)
def test_large_scenarios_are_read_in_time(text: str) -> None:
    """The time to read a file grows with its size, and no faster."""
    begin = time.process_time()
    try:
        read_text(text)
    except ScenarioError as error:
        assert error.problems  # noqa: PT017  # some are wrong, all are read
    assert time.process_time() - begin < 30


def test_links_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    """A file that becomes a link to one outside after the check is a problem of the rule, and is not read."""
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (folder / "a.png").write_bytes(b"picture")
    (folder / "a.yaml").write_text("rules:\n- reply: {image: a.png}\n")
    read = read_paths([folder / "a.yaml"])
    (folder / "a.png").unlink()
    (folder / "a.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(ScenarioError, match="outside the scenario's folder"):
        compile_rules(read.scenarios)


def test_foreign_files_of_a_folder_can_be_left_out(tmp_path: Path) -> None:
    """A YAML file that is plainly no scenario is named in a warning; a misspelt scenario is still wrong."""
    (tmp_path / "a.yaml").write_text("rules:\n- reply: a\n")
    (tmp_path / "compose.yaml").write_text("services:\n  web: {image: x}\n")
    (tmp_path / "list.yaml").write_text("- a\n")
    read = read_paths([tmp_path], skip_foreign=True)
    assert [Path(one.file).name for one in read.scenarios] == ["a.yaml"]
    assert [Path(one.place.file).name for one in read.warnings] == ["compose.yaml", "list.yaml"]
    (tmp_path / "b.yaml").write_text("ruls:\n- reply: a\n")
    with pytest.raises(ScenarioError, match="ruls"):
        read_paths([tmp_path], skip_foreign=True)
