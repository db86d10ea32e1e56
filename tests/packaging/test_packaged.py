"""The wheel and the source distribution, in an environment without the source tree, for each Python that is found."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest

pytestmark = [pytest.mark.packaged, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
DIST = ROOT / ".cache" / "dist"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CLASSIFIED = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"]))
open_url = build_opener(ProxyHandler({})).open


def find_built(pattern: str) -> Path:
    """Find the one file of its kind that was built."""
    found = sorted(DIST.glob(pattern))
    assert len(found) == 1, f"{len(found)} files {pattern} in .cache/dist; run python -m build --outdir .cache/dist"
    return found[0]


def find_pythons() -> dict[str, Path]:
    """Find an interpreter of each version in the classifiers: this one, those of the PATH, those of pyenv."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": Path(sys.executable)}
    for version in CLASSIFIED:
        on_path = shutil.which(f"python{version}")
        others = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}"))
        if others or on_path:
            found.setdefault(version, others[-1] if others else Path(str(on_path)))
    return found


class Installed:
    """An environment in which only the wheel is installed, a folder elsewhere, and what can be run in it."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        self.bin = folder / "venv" / "bin"
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "VERTEX"))
        }
        self.environment = {**kept, "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"}
        self.environment.pop("VIRTUAL_ENV", None)
        self.run(str(python), "-m", "venv", str(self.bin.parent))
        self.install(str(find_built("*.whl")))

    def install(self, *packages: str) -> None:
        """Install packages."""
        self.run("python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages)

    def run(self, program: str, *arguments: str, status: int = 0) -> str:
        """Run a program to its end and return what it prints."""
        command = [program if os.sep in program else str(self.bin / program), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def serve(self, *arguments: str) -> Iterator[Any]:
        """Run a server; gives what it prints for programs."""
        command = [str(self.bin / "vertex-emulator"), "serve", "--port", "0", "--print", "json", *arguments]
        with subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            try:
                yield json.loads(process.stdout.readline())
            finally:
                process.kill()


@pytest.fixture(scope="module", params=find_pythons().items(), ids=lambda found: found[0])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an environment of its own."""
    return Installed(request.param[1], tmp_path_factory.mktemp(f"python{request.param[0]}"))


def test_the_program_says_what_it_is(installed: Installed) -> None:
    """It comes from the environment, not from the source tree, and has no extras."""
    said = installed.run("vertex-emulator", "-V")
    assert said.startswith(f"vertex-emulator, version {PROJECT['version']}\n")
    assert "extras: none\n" in said
    where = "import emulator, pytest_vertex_emulator as plugin; print(emulator.__file__, plugin.__file__)"
    assert all(path.startswith(str(installed.bin.parent)) for path in installed.run("python", "-c", where).split())
    assert "workers" in installed.run("vertex-emulator", "serve", "--workers", "2", "--port", "0", status=1)


def test_examples_are_served(installed: Installed) -> None:
    """The examples are in the wheel: listed, copied, checked and served, and so are the built-in default and the page."""
    assert "\ntools " in installed.run("vertex-emulator", "examples")
    installed.run("vertex-emulator", "examples", "--all", "--to", "examples")
    assert "fine" in installed.run("vertex-emulator", "check", "examples/tools.yaml")
    body = {"model": "google/gemini-3.5-flash", "messages": [{"role": "user", "content": "hello"}]}
    for scenarios in (["examples/chat.yaml"], []):
        with installed.serve(*scenarios) as server:
            path = "/v1/projects/p/locations/global/endpoints/openapi/chat/completions"
            headers = {"authorization": "Bearer any", "content-type": "application/json"}
            with open_url(Request(server["url"] + path, json.dumps(body).encode(), headers), timeout=30) as answer:  # noqa: S310  # a server of the test's own
                assert "Hello" in json.load(answer)["choices"][0]["message"]["content"]
            with open_url(server["url"] + "/__emulator__/", timeout=30) as page:
                assert b"<html" in page.read()


def test_the_starter_passes_with_the_plugin(installed: Installed) -> None:
    """What `init` writes passes in a run of pytest that finds the plugin by itself."""
    installed.install("pytest", "openai")
    installed.run("vertex-emulator", "init", "starter")
    assert "2 passed" in installed.run("pytest", "-q", "starter")


def test_extras_can_be_installed(installed: Installed) -> None:
    """Every extra for users has what it needs."""
    installed.install(f"{find_built('*.whl')}[exec,metrics,redis]")
    assert "extras: exec, metrics, redis\n" in installed.run("vertex-emulator", "-V")
    assert installed.run("vertex-emulator", "exec", "--", "true").startswith("vertex-emulator: no request")


def test_an_older_python_is_refused(tmp_path: Path) -> None:
    """Pip does not take it where Python is too old, and says in a sentence which it requires."""
    for_older = ["--python-version", "3.10", "--only-binary=:all:", "--no-deps", "--dest", str(tmp_path)]
    from_here = ["--no-index", "--find-links", str(DIST), PROJECT["name"]]
    command = [sys.executable, "-m", "pip", "download", *for_older, *from_here]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "requires a different Python: 3.10.0 not in '>=3.11'" in done.stderr
    assert not any(tmp_path.iterdir())


def test_each_holds_what_it_should() -> None:
    """The wheel holds the packages, types and examples and no test; the source distribution holds what a change needs."""
    with zipfile.ZipFile(find_built("*.whl")) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"emulator", "pytest_vertex_emulator"}
    assert {"emulator/py.typed", "pytest_vertex_emulator/py.typed", "emulator/examples/default.yaml"} <= {*names}
    with tarfile.open(find_built("*.tar.gz")) as archive:
        held = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CONTRIBUTING.md",
        "tests/conftest.py",
        "scenarios/chat.yaml",
    } <= held
    assert not any(part in name for name in held for part in ("__pycache__", ".venv", "node_modules"))
