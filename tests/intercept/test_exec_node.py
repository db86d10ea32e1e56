"""Node clients written for the real service run unchanged; so do LiteLLM's own routes."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CACHE = Path(__file__).parents[2] / ".cache"
PROGRAMS = Path(__file__).with_name("programs")
SKY = Path(__file__).with_name("sky.yaml")
BLUE = "Because of Rayleigh scattering."


def test_node(programs: Any, packages: Path) -> None:
    """google-auth-library, fetch, openai plain and streamed, node:https, the AI SDK; the host of a dedicated endpoint."""
    done = programs.run(
        *("--project", "blue", "--auth", "issued", SKY, "--", "node", PROGRAMS / "clients.mjs"),
        env={"PACKAGES": str(packages), "NODE_OPTIONS": "--no-warnings"},
    )
    answers = done.answers
    assert answers["project"] == "blue"
    assert len(answers["answers"]) == 7
    assert set(answers["answers"].values()) == {BLUE}
    assert ", 0 misses, 0 refusals, 0 leaks" in done.err


def test_node_in_a_folder_with_quotes(programs: Any, tmp_path: Path) -> None:
    """The module that Node loads first is found whatever the folder is called."""
    folder = tmp_path / "quo\"ted back\\slash it's"
    folder.mkdir()
    done = programs.run("--", "node", "-e", "console.log('started')", env={"TMPDIR": str(folder)})
    assert (done.status, done.out) == (0, "started\n"), done.err


@pytest.mark.frameworks
def test_litellm(programs: Any) -> None:
    """LiteLLM's vertex_ai/ routes find project, credentials and host by themselves."""
    folder = CACHE / "frameworks" / f"litellm-exec-py{sys.version_info.major}{sys.version_info.minor}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run(
            [folder / "bin" / "python", "-m", "pip", "install", "-q", "litellm", "google-cloud-aiplatform"], check=True
        )
        (folder / "complete").touch()
    command = (folder / "bin" / "python", PROGRAMS / "litellm_routes.py")
    done = programs.run(SKY, "--", *command, env={"LITELLM_LOCAL_MODEL_COST_MAP": "True"})
    assert set(done.answers.values()) == {BLUE}
    assert ", 0 misses, 0 refusals, 0 leaks" in done.err
