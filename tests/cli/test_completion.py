"""Completion in the shells of the guide, by the line that the guide gives for each."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "command-line.md").read_text("utf-8")
LINES = {
    shell: line.replace("\\|", "|")
    for shell, line in re.findall(r"(?m)^\| (bash|zsh|fish)\b.* \| `([^`]+)` \|$", GUIDE)
}
PROGRAM = "from emulator.cli import main; main(prog_name='vertex-emulator')"
# What each shell does at a tab; zsh is asked through the function that the line has registered with it.
ASK = {
    "bash": "COMP_WORDS=({words}); COMP_CWORD={last}; _vertex_emulator_completion vertex-emulator; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
    "zsh": "compadd() {{ [[ $1 = -U ]] || return 0; print -l -- ${{(P)${{@[-1]}}}} }}; _describe() {{ print -l -- ${{(P)3}} }}; "
    "words=({words}); CURRENT={number}; $_comps[vertex-emulator]",
    "fish": "complete -C '{words}'",
}
BEFORE = {"bash": "", "zsh": "autoload -Uz compinit; compinit -u -D; ", "fish": ""}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("vertex-emulator se", {"serve"}),
        ("vertex-emulator serve --vet", {"--vetting"}),
        ("vertex-emulator serve --vetting st", {"strict"}),
        ("vertex-emulator exec --credentials m", {"metadata"}),
    ],
)
def test_a_tab_completes(shell: str, words: str, wanted: set[str], tmp_path: Path) -> None:
    """Commands, options and values."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell}")
    command = tmp_path / "vertex-emulator"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{PROGRAM}" "$@"\n', "utf-8")
    command.chmod(0o755)
    script = BEFORE[shell] + LINES[shell] + "; "
    script += ASK[shell].format(words=words, last=words.count(" "), number=words.count(" ") + 1)
    done = subprocess.run(
        [program, *(["-f"] if shell == "zsh" else []), "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = {re.split(r"[\t:]", line)[0] for line in done.stdout.splitlines() if line}
    assert found == wanted, done.stdout + done.stderr
