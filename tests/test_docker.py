"""The image keeps its promises, as far as its Dockerfile can tell without a Docker engine."""

import json
import re
import tomllib
from pathlib import Path

import click
import pytest

from emulator.cli.commands import main

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

Stage = list[tuple[str, str]]


def stages() -> list[Stage]:
    """Read the Dockerfile as stages of (instruction, rest), with continued lines joined."""
    text = "\n".join(
        line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if not line.lstrip().startswith("#")
    )
    found: list[Stage] = []
    for line in filter(None, map(str.strip, re.sub(r"\\\n\s*", "", text).splitlines())):
        instruction, rest = line.split(maxsplit=1)
        if instruction == "FROM":
            found.append([])
        found[-1].append((instruction, rest))
    return found


BUILD, IMAGE = stages()


def values(stage: Stage, instruction: str) -> list[str]:
    """Return what follows an instruction, each time it stands in a stage."""
    return [rest for name, rest in stage if name == instruction]


def only(instruction: str) -> str:
    """Return what follows an instruction that stands once in the image's stage."""
    (rest,) = values(IMAGE, instruction)
    return rest


def command() -> list[str]:
    """Return the words of CMD."""
    words = json.loads(only("CMD"))
    assert isinstance(words, list)
    return words


def test_image_is_slim_and_holds_no_sources() -> None:
    """Both stages begin with the same slim Python that the package supports; the second copies only the installation."""
    first, second = values(BUILD, "FROM")[0].removesuffix(" AS build"), only("FROM")
    assert first == second
    version = re.fullmatch(r"python:3\.(\d+)-slim", second)
    assert version is not None
    assert int(version[1]) >= int(PROJECT["project"]["requires-python"].removeprefix(">=3."))
    assert values(IMAGE, "COPY") == ["--from=build /opt/emulator /opt/emulator"]


def test_build_gets_what_it_needs() -> None:
    """Every file that the package is built from is copied, exists, and is not ignored."""
    copied = [word for rest in values(BUILD, "COPY") for word in rest.split()[:-1]]
    allowed = re.findall(r"(?m)^!(.+)$", (ROOT / ".dockerignore").read_text("utf-8"))
    assert sorted(copied) == sorted(allowed)
    project, hatch = PROJECT["project"], PROJECT["tool"]["hatch"]
    wheel = hatch["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", *project["license-files"], *wheel["packages"]}
    needed |= {fragment["path"] for fragment in hatch["metadata"]["hooks"]["fancy-pypi-readme"]["fragments"]}
    needed |= {path.split("/")[0] for path in wheel["force-include"]}
    assert set(copied) == needed
    assert all((ROOT / path).exists() for path in needed)


def test_nobody_is_root() -> None:
    """The server runs as a user of its own, which the image makes before it changes to it."""
    user = only("USER")
    assert user not in {"root", "0"}
    instructions = [name for name, _ in IMAGE]
    assert f"useradd --system --no-create-home --shell /usr/sbin/nologin {user} " in only("RUN")
    assert instructions.index("RUN") < instructions.index("USER") < instructions.index("ENTRYPOINT")


def test_scenarios_are_a_volume() -> None:
    """The folder that is served is the volume, and exists before it becomes one."""
    folder = only("VOLUME")
    assert folder == "/scenarios"
    assert command()[-1] == folder
    assert only("RUN").endswith(f"mkdir {folder}")


def test_health_is_asked_of_the_control_path() -> None:
    """The health check is a Python program, needs no curl, and asks the port that is served."""
    options, words = only("HEALTHCHECK").split(" CMD ", maxsplit=1)
    assert "--interval=" in options
    program, flag, code = json.loads(words)
    assert (program, flag) == ("python", "-c")
    compile(code, "HEALTHCHECK", "exec")
    port = command()[command().index("--port") + 1]
    assert f"'http://127.0.0.1:{port}/__emulator__/ready'" in code
    assert only("EXPOSE") == port


def test_entry_point_is_the_command() -> None:
    """The image's entry point is the command that the package installs."""
    assert json.loads(only("ENTRYPOINT")) == list(PROJECT["project"]["scripts"])


def test_command_is_the_one_of_a_laptop() -> None:
    """CMD is `serve`, open to the outside of the container, with options that the command line has."""
    subcommand, *words = command()
    serve = main.get_command(click.Context(main), subcommand)
    assert serve is not None
    options = {option for parameter in serve.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options
    assert words[words.index("--host") + 1] == "0.0.0.0"  # noqa: S104 - inside the container all addresses are meant


@pytest.mark.parametrize("line", [rest for stage in (BUILD, IMAGE) for rest in values(stage, "RUN")])
def test_steps_leave_nothing_behind(line: str) -> None:
    """No step of the build downloads anything but packages, or keeps a cache of them."""
    assert "curl" not in line
    assert "apt" not in line
    assert "pip install" not in line or "--no-cache-dir" in line
