"""`vertex-emulator journal`: the exchanges of a running emulator, for people and as JSON lines."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from emulator.api.emulator import Emulator
from emulator.server.settings import Settings

ROOT = Path(__file__).parents[2]
SCENARIO = "rules: [{name: hello, when: {last_user: hello}, reply: Hi}]"


@pytest.fixture
def vertex(tmp_path: Path) -> Iterator[Emulator]:
    """A running emulator."""
    path = tmp_path / "hello.yaml"
    path.write_text(SCENARIO, "utf-8")
    with Emulator(path, settings=Settings(auth="off")) as running:
        yield running


def send(vertex: Emulator, text: str, project: str = "p", **more: Any) -> None:
    """Send one request and read the answer, whatever it is."""
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": text}], **more}
    url = f"{vertex.base_url(project)}/chat/completions"
    request = Request(url, json.dumps(body).encode())  # noqa: S310  # the server of this test
    try:
        urlopen(request, timeout=30).close()  # noqa: S310  # as above
    except OSError as error:
        error.close()  # type: ignore[attr-defined]  # an HTTPError, for the server is there


def test_lines_for_people(vertex: Emulator, run: Callable[..., Any]) -> None:
    """A line has time, project, rule or outcome, and status; warnings and explanations are below it."""
    send(vertex, "hello")
    send(vertex, "what?")
    send(vertex, "hello", temperature="hot")
    done = run("journal", "--url", vertex.url)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert re.fullmatch(r' {4}1  \d\d:\d\d:\d\d  p  "hello"  200  \d+\.\d ms  complete', lines[0])
    assert re.fullmatch(r" {4}2  \S+  p  miss  418  .* ms  complete", lines[1])
    assert lines[2].strip() == 'no rule of "hello" answers this request (session p, turn 1)'
    assert "  p  refusal  400  " in done.stdout
    assert "temperature" in lines[-1]


def test_json_lines(vertex: Emulator, run: Callable[..., Any]) -> None:
    """With --json each line is an exchange as the control path shows it; --session selects those of a project."""
    send(vertex, "hello")
    send(vertex, "hello", project="q")
    shown = [json.loads(line) for line in run("journal", "--url", vertex.url, "--json").stdout.splitlines()]
    assert [(one["number"], one["session"], one["rule"]) for one in shown] == [(1, "p", "hello"), (2, "q", "hello")]
    assert shown == [one.to_json() for one in vertex.service.journal]
    (line,) = run("journal", "--url", vertex.url, "--session", "q", "--json").stdout.splitlines()
    assert json.loads(line)["number"] == 2


def test_follow(vertex: Emulator) -> None:
    """With --follow new exchanges are printed as they come; Ctrl-C ends it with status 0."""
    send(vertex, "hello")
    command = [sys.executable, "-m", "emulator", "journal", "--url", vertex.url, "--follow", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
    ) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["number"] == 1
            send(vertex, "hello")
            send(vertex, "what?")
            assert json.loads(process.stdout.readline())["number"] == 2
            assert json.loads(process.stdout.readline())["outcome"] == "miss"
            process.send_signal(2)
            assert process.communicate(timeout=30) == ("", "")
        finally:
            process.kill()
    assert process.returncode == 0


def test_unreachable_emulator_is_reported(run: Callable[..., Any]) -> None:
    """An unreachable emulator is reported in one sentence with advice."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        done = run("journal", "--url", url)
    assert done.exit_code == 1
    assert f"at {url} (connection refused); --url" in done.stderr
    assert done.stderr.count("\n") == 1
