"""`vertex-emulator record` as a process: unchanged programs, their own credentials, what is on the disk afterwards."""

import json
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator import Emulator, Settings
from emulator.recording.recording import Recording

PROGRAMS = Path(__file__).with_name("programs")
UPSTREAM = Path(__file__).parents[1] / "recording" / "upstream.yaml"
PROJECT = "blue-sky-4711"
REFRESH_TOKEN, CLIENT_SECRET, CLIENT_ID = (
    "1//0g-Refresh-Token_of-the-run",
    "GOCSPX-secret-of-the-run",
    "123456789012-abc.apps.googleusercontent.com",
)
ACCOUNT = "ada.lovelace@corp.example"
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def google() -> Iterator[Emulator]:
    """The second emulator, which plays Google: other seed, other quirks, tokens only of its own."""
    settings = Settings(seed="another", quirks=frozenset({"announce_index"}), auth="issued", project=PROJECT)
    with Emulator(UPSTREAM, settings=settings) as emulator:
        yield emulator


@pytest.fixture
def credentials(tmp_path: Path) -> dict[str, str]:
    """The program's own credentials: those of a user, who asks Google for tokens."""
    file = tmp_path / "credentials.json"
    key = {
        "type": "authorized_user",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKEN,
    }
    file.write_text(json.dumps({**key, "quota_project_id": PROJECT, "account": ACCOUNT}))
    return {"GOOGLE_APPLICATION_CREDENTIALS": str(file), "GOOGLE_CLOUD_PROJECT": PROJECT}


def files_of(folder: Path) -> str:
    """All files of a recording as text."""
    return "".join(path.read_text("utf-8") for path in folder.iterdir())


def test_openai_python(programs: Any, google: Emulator, credentials: dict[str, str], tmp_path: Path) -> None:
    """Everything the program asks is kept, its output and exit status are its own, and no secret of the run is on the disk."""
    done = programs.run(
        *("--to", "out", "--upstream", google.url, "--", sys.executable, PROGRAMS / "recorded.py", PICTURE),
        command="record",
        env=credentials,
    )
    answers = done.answers
    results = answers["results"]
    assert results["plain"] == "This is answer 1."
    assert results["tools"][1] == "Sunny with a light breeze."
    assert results["retried"] == "Second time lucky."
    assert results["cut"][-1] == "APIError" or len(results["cut"]) > 1
    recording = Recording.read(tmp_path / "out")
    statuses = [each.answer.status for each in recording.exchanges]
    assert statuses == [200, 200, 200, 200, 200, 200, 200, 400, 429, 200, 200]
    assert [each.answer.end for each in recording.exchanges] == ["complete"] * 10 + ["cut"]
    content = files_of(tmp_path / "out")
    for signature in results["tools"][0]:
        assert signature in content
    assert PICTURE in content
    said = "".join(results["secrets"])
    for secret in (answers["token"], PROJECT, ACCOUNT, REFRESH_TOKEN, CLIENT_SECRET, "123456789012"):
        assert secret in said or secret == "123456789012"
        assert secret not in content
    summary = "vertex-emulator: 11 exchanges recorded in out; 1 cut by the upstream; not recorded: 1 to oauth2.googleapis.com\n"
    assert (done.err, done.left) == (summary, [])


def test_node(programs: Any, google: Emulator, packages: Path, tmp_path: Path) -> None:
    """The OpenAI client for Node and Node's own HTTPS are recorded too."""
    token = google.api_key
    done = programs.run(
        *("--to", "out", "--upstream", google.url, "--", "node", PROGRAMS / "recorded.mjs"),
        command="record",
        env={"PACKAGES": str(packages), "TOKEN": token, "PROJECT": PROJECT, "NODE_OPTIONS": "--no-warnings"},
    )
    answers = done.answers
    assert (answers["plain"], answers["own"]) == ("This is answer 7.", "This is answer 8.")
    assert answers["streamed"].startswith("One word after the other")
    exchanges = Recording.read(tmp_path / "out").exchanges
    assert [each.answer.status for each in exchanges] == [200, 200, 200]
    assert len(exchanges[1].answer.frames) > 2
    content = files_of(tmp_path / "out")
    assert token not in content
    assert PROJECT not in content


ASK = """
import json, os, ssl, sys, urllib.request
trust = ssl.create_default_context()
url = "https://aiplatform.googleapis.com/v1/projects/p/locations/global/endpoints/openapi/chat/completions"
body = {"model": "google/gemini-3.5-flash", "messages": [{"role": "user", "content": "number 1"}]}
headers = {"authorization": "Bearer " + os.environ["TOKEN"]}
for _ in range(int(sys.argv[1])):
    print(urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), context=trust).status, flush=True)
"""


def test_killed(programs: Any, google: Emulator, tmp_path: Path) -> None:
    """A recorder that is killed leaves whole files, and no secret in them."""
    token = google.api_key
    arguments = ("record", "--to", "out", "--upstream", google.url, "--", sys.executable, "-c", ASK, "100000")
    with programs.start(*arguments, env={"TOKEN": token}) as process:
        for _ in range(12):
            assert process.stdout.readline() == "200\n"
        process.kill()
        process.wait()
    exchanges = Recording.read(tmp_path / "out").exchanges
    assert len(exchanges) >= 6
    assert all(each.answer.end == "complete" for each in exchanges)
    assert token not in files_of(tmp_path / "out")


@pytest.mark.parametrize("status", [0, 7])
def test_status_is_the_programs(programs: Any, google: Emulator, status: int) -> None:
    """The program's exit status is returned; what recorded nothing says so."""
    done = programs.run("--upstream", google.url, "--", "sh", "-c", f"exit {status}", command="record")
    assert (done.status, done.out, done.left) == (status, "", [])
    assert done.err == (
        "vertex-emulator: 0 exchanges recorded in recording\n"
        "vertex-emulator: nothing that can be recorded came by; a program whose base URL is not Google's (OPENAI_BASE_URL) is recorded by "
        "`vertex-emulator serve --record DIR --upstream URL`, whose address is its base URL then\n"
    )


def test_environment_is_the_programs(programs: Any, google: Emulator) -> None:
    """The program keeps its credentials, its base URL and its proxies for others; only what leads to Google's hosts is changed."""
    names = (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GCE_METADATA_HOST",
        "HTTP_PROXY",
        "NO_PROXY",
        "PATH",
    )
    program = f"import json, os; print(json.dumps([os.environ.get(name) for name in {names}]))"
    env = {"NO_PROXY": "intern.example,.googleapis.com", "no_proxy": "", "HTTP_PROXY": "http://127.0.0.1:9"}
    found = dict(
        zip(
            names,
            programs.run(
                "--upstream", google.url, "--", sys.executable, "-c", program, command="record", env=env
            ).answers,
            strict=True,
        )
    )
    before = programs.environment(**env)
    assert found.pop("NO_PROXY") in {"127.0.0.1,localhost,::1", "127.0.0.1,localhost,::1,intern.example"}
    assert found == {name: before[name] for name in found}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "out"], "Error: no program to run; write it behind `--`: record -- COMMAND...\n"),
        (["--import", "x.har", "--", "true"], "Error: --import takes the exchanges from a file, so that no program is run\n"),
        (["--redact", "(", "--", "true"], "Error: Invalid value for '--redact' (env var: 'VERTEX_EMULATOR_REDACT'): \"(\" is no regular expression: missing ), unterminated subpattern at position 0\n"),
        (["--upstream", "gateway", "--", "true"], 'vertex-emulator: "gateway" is no URL of an upstream; expected one such as https://gateway.example.com or http://127.0.0.1:8080\n'),
        (["--upstream", "http://u:p@h", "--", "true"], "vertex-emulator: the URL of the upstream has a login, which would replace the program's own; leave it out\n"),
        (["--upstream", "https://h/v1/projects/p/locations/l", "--", "true"], 'vertex-emulator: the upstream is named without the path of an endpoint, which each request brings: https://h, not "https://h/v1/projects/p/locations/l"\n'),
        (["--to", ".", "--", "true"], "vertex-emulator: . is not empty and no recording, since it has no recording.yaml; name another folder for the recording\n"),
        (["--to", "/dev/null", "--", "true"], "vertex-emulator: cannot record into /dev/null: file exists; name another folder for the recording\n"),
        (["--import", "no.har"], "vertex-emulator: cannot read no.har: no such file or directory\n"),
        (["--", "no-such-program"], "vertex-emulator: cannot run no-such-program: no such file or directory\n"),
    ],
)  # fmt: skip
def test_mistakes(programs: Any, arguments: list[str], message: str) -> None:
    """Wrong usage and what cannot be done are said in a sentence, and nothing runs."""
    env = dict.fromkeys(("https_proxy", "HTTP_PROXY", "ALL_PROXY"), "")
    done = programs.run(*arguments, command="record", env=env)
    assert done.status != 0
    assert (done.out, done.left) == ("", [])
    assert done.err.endswith(message)
    assert "Traceback" not in done.err


def test_without_httpx(programs: Any, tmp_path: Path) -> None:
    """Without httpx, the sentence says what to install."""
    # A name that cannot be found, whatever is installed.
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['httpx'] = None\n")
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{programs.environment()['PYTHONPATH']}"}
    done = programs.run("--", "true", command="record", env=env)
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "vertex-emulator: the upstream is asked through httpx, which is not installed; pip install 'vertex-openai-emulator[record]'\n"
    )


def test_serve(programs: Any, google: Emulator, tmp_path: Path) -> None:
    """`serve --record` does the same for programs that take a base URL, prints a line for each exchange, and sums up at its end."""
    token = google.api_key
    with programs.start("serve", "--port", "0", "--record", "out", "--upstream", google.url) as process:
        banner = "".join(iter(process.stdout.readline, "Ctrl-C stops the server.\n"))
        url = re.search(r"OPENAI_BASE_URL=(\S+)", banner)[1]  # type: ignore[index]  # None fails the test, too
        assert f"to {google.url}\nand records what is said in out" in banner
        base_url = url.replace("PROJECT", PROJECT).replace("LOCATION", "us-central1")
        body = json.dumps({"model": "google/gemini-3.5-flash", "messages": [{"role": "user", "content": "number 3"}]})
        response = httpx.post(
            f"{base_url}/chat/completions", content=body, headers={"authorization": f"Bearer {token}"}, timeout=60
        )
        assert "This is answer 3." in response.text
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    lines = err.splitlines()
    assert lines[-1] == "vertex-emulator: 1 exchange recorded in out"
    assert lines[-2].startswith("vertex-emulator: #1 POST /v1/projects/redacted-project-1/")
    (exchange,) = Recording.read(tmp_path / "out").exchanges
    assert exchange.request.host == "us-central1-aiplatform.googleapis.com"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--upstream", "http://h"], "Error: --upstream needs --record DIR, where the exchanges with the upstream are kept"),
        (["--redact", "x"], "Error: --redact needs --record DIR, where the exchanges with the upstream are kept"),
        (["--record", "out", "some.yaml"], "Error: --record forwards all requests, so that no scenario would be asked; leave SCENARIOS out"),
        (["--record", "out", "--workers", "2"], "Error: --record works in one process; leave --workers and --store out"),
        (["--record", "out", "--proxy"], "Error: --record has no proxy; unchanged programs are recorded by `vertex-emulator record -- COMMAND...`"),
        (["--record", "out", "--port", "PORT", "--upstream", "http://localhost:PORT"], "vertex-emulator: the upstream http://localhost:PORT is this server itself; name another one, or another --port"),
    ],
)  # fmt: skip
def test_mistakes_with_serve(programs: Any, arguments: list[str], message: str) -> None:
    """Options of `serve` that contradict each other are refused before anything is written."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    done = programs.run(*(each.replace("PORT", port) for each in arguments), command="serve")
    assert (done.status != 0, done.out) == (True, "")
    assert done.err.splitlines()[-1] == message.replace("PORT", port)
    assert not (programs.folder / "out").exists()
