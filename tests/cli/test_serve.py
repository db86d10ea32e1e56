"""`vertex-emulator serve`, as a program of its own."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).parents[2]
SCENARIO = 'rules:\n  - name: one\n    reply: "{answer}"\n'


def ask(base_url: str, bearer: str = "any") -> str:
    """Send a request to a server and return the text of its answer."""
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "hello"}]}
    request = Request(  # noqa: S310 - the server of this test
        f"{base_url}/chat/completions", json.dumps(body).encode(), {"authorization": f"Bearer {bearer}"}
    )
    with urlopen(request, timeout=30) as response:  # noqa: S310 - as above
        content = json.load(response)["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], None]:
    """Replace the scenario atomically, as editors do."""

    def replace(text: str) -> None:
        new = tmp_path / "new.txt"
        new.write_text(text, "utf-8")
        new.replace(tmp_path / "s.yaml")

    return replace


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_banner_service_and_exit(serve: Any, number: signal.Signals) -> None:
    """The commands of the banner work as printed; SIGTERM and Ctrl-C end the server with status 0 and without output."""
    program = serve()
    greeting = program.read_until("export OPENAI_API_KEY=")
    assert greeting[0].startswith('vertex-emulator 0.1.0 serves "default" (6 rules) at http://127.0.0.1:')
    exports = dict(line.strip().removeprefix("export ").split("=", 1) for line in greeting if "export " in line)
    assert ask(exports["OPENAI_BASE_URL"], exports["OPENAI_API_KEY"])
    logged = program.read_until("otherwise")[-1]
    assert "demo" in logged
    assert " 200 " in logged
    program.process.send_signal(number)
    assert program.read_rest() == ""
    assert program.process.wait() == 0


def test_quiet_logs_nothing(serve: Any) -> None:
    """With --quiet nothing is printed after the banner."""
    program = serve("--quiet")
    ask(program.read_base_url())
    program.process.terminate()
    assert program.read_rest().strip().splitlines()[-1] == "Ctrl-C stops the server."


def test_urls_name_the_project(serve: Any) -> None:
    """--project and --location appear in the printed URLs."""
    base_url = serve("--project", "blue", "--location", "global").read_base_url()
    assert base_url.endswith("/v1/projects/blue/locations/global/endpoints/openapi")
    assert ask(base_url)


def test_issued_tokens_only(serve: Any) -> None:
    """With --auth issued, the printed token is accepted and another is not."""
    program = serve("--auth", "issued")
    greeting = program.read_until("export OPENAI_API_KEY=")
    base_url, token = (line.partition("=")[2] for line in greeting[-2:])
    assert ask(base_url, token)
    with pytest.raises(HTTPError, match="401"):
        ask(base_url, "another")


def test_watch_reads_again_and_keeps_the_last_good(serve: Any, write: Any) -> None:
    """A change is loaded; a broken one is reported and the last good rules stay in use; the next good one is loaded."""
    write(SCENARIO.format(answer="first"))
    program = serve("--watch", "s.yaml")
    base_url = program.read_base_url()
    assert ask(base_url) == "first"
    write(SCENARIO.format(answer="second"))
    program.read_until("read again: 1 rule")
    assert ask(base_url) == "second"
    write("rules:\n  - wehn: {}\n    reply: third\n")
    told = program.read_until("the last good scenarios stay in use")
    assert any(line.startswith('s.yaml:2:5: unknown key "wehn" in a rule') for line in told)
    assert ask(base_url) == "second"
    write(SCENARIO.format(answer="fourth"))
    program.read_until("read again: 1 rule")
    assert ask(base_url) == "fourth"
    program.process.terminate()
    assert program.process.wait() == 0


def test_watch_sees_included_files(serve: Any, write: Any, tmp_path: Path) -> None:
    """What a scenario includes is watched too, also what it includes only since an edit, and what is missing."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "one.yaml").write_text("rules: [{reply: one}]\n")
    write("include: one.yaml\nrules: []\n")
    program = serve("--watch", "s.yaml")
    base_url = program.read_base_url()
    assert ask(base_url) == "one"
    (tmp_path / "one.yaml").write_text("rules: [{reply: another}]\n")
    program.read_until("read again: 1 rule")
    assert ask(base_url) == "another"
    write("include: parts/two.yaml\nrules: []\n")
    told = program.read_until("the last good scenarios stay in use")
    assert any('there is no file "parts/two.yaml"' in line for line in told)
    (tmp_path / "parts" / "two.yaml").write_text("rules: [{reply: two}]\n")
    program.read_until("read again: 1 rule")
    assert ask(base_url) == "two"


BROKEN = [
    "rules:\n- reply: '{{ fake.sentence(nb_words=3, nb_words=4) }}'\n",
    "rules:\n- reply: '{{ dict(a=1, a=2) }}'\n",
    "rules:\n- reply: '{{ " + "1" * 5000 + " }}'\n",
    "rules:\n- reply: '" + "{% for i in [1] %}" * 25 + "{% endfor %}" * 25 + "'\n",
    "rules:\n- reply: '" + "{% if 1 %}" * 100 + "{% endif %}" * 100 + "'\n",
    "rules:\n- reply: '{{ 1" + "+1" * 3000 + " }}'\n",
    "rules:\n- reply: '{{ 1" + "|string" * 1000 + " }}'\n",
    "rules:\n- {when: {last_user: {regex: '" + "(" * 3000 + ")" * 3000 + "'}}, reply: a}\n",
    "rules:\n- reply: {fail: '{{ last_user '}\n",
    "rules:\n- reply: {image: '{{ model }}'}\n",
    "quota: {requests_per_minute: 1, on_excess: '{{ 429 }}'}\nrules:\n- reply: a\n",
    "rules:\n- {reply: a, fault: {fail: '{{ nobody }}'}}\n",
    "include: missing.yaml\nrules:\n- reply: {{ last_user }}\n",
    "media: {'gs://{{ model }}': .}\nrules:\n- reply: {image: 'gs://{{ model }}/../../../../etc/hostname'}\n",
]
"""Mistakes beyond the scenario language: limits of Jinja, `re` and Python, and templates where none may stand."""


@pytest.mark.slow
def test_watch_survives_every_mistake(serve: Any, write: Any) -> None:
    """Each is reported with its place, and the next good edit is served."""
    write(SCENARIO.format(answer="first"))
    program = serve("--watch", "s.yaml")
    base_url = program.read_base_url()
    for number, text in enumerate(BROKEN):
        write(text)
        told = program.read_until("the last good scenarios stay in use")
        assert any(line.startswith(("s.yaml:1:", "s.yaml:2:", "s.yaml:3:")) for line in told), (text[:60], told)
        assert not any("Traceback" in line or "mistake of the emulator" in line for line in told)
        write(SCENARIO.format(answer=f"good {number}"))
        program.read_until("read again: 1 rule")
        assert ask(base_url) == f"good {number}"


def test_pushed_mistakes_have_places(serve: Any) -> None:
    """The same over HTTP: 400, with file, line and column of each problem."""
    program = serve()
    host = urlsplit(program.read_base_url()).netloc
    for text in BROKEN:
        connection = HTTPConnection(host, timeout=60)
        connection.request("PUT", "/__emulator__/scenario?session=p", text.encode())
        response = connection.getresponse()
        assert response.status == 400
        problems = json.loads(response.read())["error"]["problems"]
        assert problems
        assert all(one["file"] == "<pushed for p>" and one["line"] and one["column"] for one in problems)
        connection.close()


def test_pictures_stay_in_the_folder_of_the_scenario(serve: Any, write: Any, tmp_path: Path) -> None:
    """A symbolic link that leads out of it is a problem with its place."""
    (tmp_path / "pictures").mkdir()
    (tmp_path.parent / "secret.png").write_bytes(b"secret")
    (tmp_path / "pictures" / "link.png").symlink_to(tmp_path.parent / "secret.png")
    write("media: {gs://mine: pictures}\nrules:\n- reply: {image: gs://mine/link.png}\n")
    program = serve("s.yaml")
    said = program.read_rest()
    assert said.startswith("s.yaml:3:18: ")
    assert """link.png" is outside the scenario's folder""" in said


def test_watch_sees_the_first_scenario_of_an_empty_folder(serve: Any, tmp_path: Path) -> None:
    """An empty folder means the built-in default, until a scenario is written into it."""
    (tmp_path / "mine").mkdir()
    program = serve("--watch", "mine")
    greeting = program.read_until("serves")
    assert greeting[0] == "there are no scenarios in mine yet"
    assert 'serves "default"' in greeting[-1]
    base_url = program.read_base_url()
    (tmp_path / "mine" / "new.yaml").write_text(SCENARIO.format(answer="here I am"), "utf-8")
    program.read_until("read again: 1 rule")
    assert ask(base_url) == "here I am"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `serve --print json` on a free port as a test runner would: with pipes for stdin and stdout, and a separate stderr."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "emulator", "serve", "--port", "0", "--print", "json", *arguments]
        pipe = subprocess.PIPE
        # A server that is killed leaves its files behind, so they go where the test's own go.
        environment = {"PYTHONPATH": str(ROOT), "PATH": "", "TMPDIR": str(tmp_path), **environment}
        started.append(
            subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read_json(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Read the one line that a server prints."""
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    assert isinstance(said, dict)
    return said


def test_prints_one_line_of_json(start: Any, write: Any) -> None:
    """The line has what clients, users of the control path and the parent process need; the log goes to stderr."""
    write(SCENARIO.format(answer="from the file"))
    process = start("--project", "blue", "--watch", "s.yaml")
    said = read_json(process)
    url = said["url"]
    assert url.startswith("http://127.0.0.1:")
    assert said == {
        "url": url,
        "base_url": f"{url}/v1/projects/blue/locations/global/endpoints/openapi",
        "api_key": said["api_key"],
        "project": "blue",
        "location": "global",
        "control_url": f"{url}/__emulator__",
        "page_url": f"{url}/__emulator__/",
        "environment": {"OPENAI_BASE_URL": said["base_url"], "OPENAI_API_KEY": said["api_key"]},
        "version": "0.1.0",
        "pid": process.pid,
        "workers": 1,
    }
    assert ask(said["base_url"], said["api_key"]) == "from the file"
    with urlopen(f"{said['control_url']}/verify?session=blue", timeout=30) as response:  # noqa: S310 - as above
        assert json.load(response)["passed"]
    process.terminate()
    rest, log = process.communicate(timeout=60)
    assert (rest, process.returncode) == ("", 0)
    assert " 200 " in log


def test_json_names_what_unchanged_programs_need(start: Any) -> None:
    """With --proxy the line has every variable to set and every variable to unset."""
    process = start(
        "--proxy", "--tls-port", "0", "--proxy-port", "0", "--auth", "issued", ALL_PROXY="socks5h://elsewhere"
    )
    said = read_json(process)
    environment = said["environment"]
    assert environment["HTTPS_PROXY"].startswith("http://127.0.0.1:")
    assert (environment["OPENAI_BASE_URL"], environment["OPENAI_API_KEY"]) == (said["base_url"], said["api_key"])
    assert environment["SSL_CERT_FILE"] == said["certificate"]
    assert Path(said["certificate"]).exists()
    assert said["tls_url"] == f"https://{environment['VERTEX_EMULATOR_TLS_ADDR']}"
    assert said["unset"] == ["ALL_PROXY"]
    assert "PYTHONPATH" not in environment
    assert ask(said["base_url"], said["api_key"])


def test_json_of_tls_alone(start: Any) -> None:
    """With --tls alone the line has the TLS URL and the certificate, but no variables of a proxy."""
    said = read_json(start("--tls", "--tls-port", "0"))
    assert said["tls_url"].startswith("https://127.0.0.1:")
    assert Path(said["certificate"]).exists()
    assert said["environment"].keys() == {"OPENAI_BASE_URL", "OPENAI_API_KEY"}
    assert "unset" not in said


def test_no_line_when_it_cannot_serve(start: Any, write: Any) -> None:
    """A scenario with problems is reported on stderr only, and the exit status is 1."""
    write("rules: [")
    process = start("s.yaml", "--until-stdin-closes")
    printed, told = process.communicate(timeout=60)
    assert (printed, process.returncode) == ("", 1)
    assert told.startswith("s.yaml:2:1: ")
    assert told.endswith("1 problem found\n")


def test_ends_when_stdin_closes(start: Any) -> None:
    """With --until-stdin-closes the server ignores its input and ends with status 0 when it is closed."""
    process = start("--until-stdin-closes", "--quiet")
    base_url = read_json(process)["base_url"]
    process.stdin.write("hello\n")
    process.stdin.flush()
    assert ask(base_url)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


def test_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """The server ends when its parent is killed and cannot clean up."""
    command = [sys.executable, "-m", "emulator", "serve", "--port", "0", "--print", "json", "--until-stdin-closes"]
    program = f"import subprocess; subprocess.Popen({command}, stdin=subprocess.PIPE).wait()"
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    ) as parent:
        pid = read_json(parent)["pid"]
        assert pid != parent.pid
        parent.kill()
        # The server has the same output: its end is the server's, too.
        assert parent.communicate(timeout=60)[0] == ""


@pytest.mark.parametrize("before", ["", "import os; os.close(0); "], ids=["null", "closed"])
def test_stdin_must_be_held_open(before: str, tmp_path: Path) -> None:
    """--until-stdin-closes with /dev/null or a closed stdin is an error, because the server would end at once."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{before}from emulator.cli import main; main()",
            "serve",
            "--port",
            "0",
            "--until-stdin-closes",
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("vertex-emulator: --until-stdin-closes wants standard input to be a pipe")


def test_busy_port(run: Any) -> None:
    """A port in use is reported in one sentence with advice."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("serve", "--port", str(port))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"vertex-emulator: cannot listen on 127.0.0.1:{port}: address already in use; "
        "choose another port, or --port 0 for a free one\n"
    )


def test_broken_scenario_is_not_served(run: Any, tmp_path: Path) -> None:
    """A server does not start with a scenario that has problems."""
    (tmp_path / "bad.yaml").write_text("rules: [", "utf-8")
    result = run("serve", "bad.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("1 problem found\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--watch"], "--watch needs scenarios to watch"),
        (["--control-token", ""], "the token is empty"),
    ],
)
def test_invalid_options(run: Any, arguments: list[str], said: str) -> None:
    """--watch without scenarios and an empty control token are wrong usage."""
    result = run("serve", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
