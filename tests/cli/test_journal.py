"""`vertex-emulator journal`: the exchanges of a running emulator, for people and as JSON lines."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
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
    url = f"{vertex.session(project).base_url}/chat/completions"
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
    assert re.fullmatch(
        r'#1 \d\d:\d\d:\d\d p gemini-2\.5-flash "hello" → "hello" 200 "Hi" \d+\+1 tokens \d+\.\d ms', lines[0]
    )
    assert re.fullmatch(r'#2 \S+ p gemini-2\.5-flash "what\?" → miss 418 [\d.]+ ms', lines[1])
    assert lines[2] == '    no rule of "hello" answers this request (session p, turn 1)'
    assert " p → refusal 400 " in done.stdout
    assert "temperature" in lines[-1]


def test_requests_that_lead_nowhere(vertex: Emulator, run: Callable[..., Any]) -> None:
    """A line says what was probably meant; in full, host and path are there too."""
    with pytest.raises(HTTPError):
        urlopen(f"{vertex.url}/v1/models", timeout=30)  # noqa: S310  # the server of this test
    done = run("journal", "--url", vertex.url)
    assert re.fullmatch(r"#1 \S+ - 404 GET /v1/models: no such path: this endpoint does not list.*\n", done.stdout)
    done = run("journal", "1", "--url", vertex.url)
    assert done.exit_code == 0
    assert "GET /v1/models\nhost: 127.0.0.1:" in done.stdout
    assert "status      404" in done.stdout


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


def test_one_exchange_in_full(vertex: Emulator, run: Callable[..., Any]) -> None:
    """Messages, the other fields, the rule, the answer; what is not there is an error."""
    send(vertex, "hello\nthere", temperature=0.5)
    send(vertex, "what?")
    done = run("journal", "1", "--url", vertex.url)
    assert done.exit_code == 0
    place = re.escape(str(vertex.service.ruleset.rules[0].place))
    expected = r"""
#1 .* → "hello" 200 "Hi" .*

POST /v1/projects/p/locations/global/endpoints/openapi/chat/completions
host: 127\.0\.0\.1:\d+

asked:
  user        hello
              there
  model       google/gemini-2\.5-flash
  temperature 0\.5

answered:
  rule        "hello", PLACE, reply 1
  status      200
  assistant   Hi
  finish      stop
  usage       \{.*\}
  ended       complete, \d+ bytes sent
"""
    assert re.fullmatch(expected.lstrip().replace("PLACE", place), done.stdout)
    assert "  refusal" not in done.stdout
    assert "  status      418" in run("journal", "2", "--url", vertex.url).stdout
    missing = run("journal", "9", "--url", vertex.url)
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert missing.stderr == "vertex-emulator: exchange 9 is not in the journal, which keeps the last ones only\n"
    assert run("journal", "1", "--follow").exit_code == 2
