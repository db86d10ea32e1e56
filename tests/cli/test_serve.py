"""`vertex-emulator serve`, as a program of its own."""

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

SCENARIO = 'rules:\n  - name: one\n    reply: "{answer}"\n'


def ask(base_url: str, bearer: str = "any") -> str:
    """Ask a server something and return what it says."""
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
    """Replace the scenario, all at once as editors do."""

    def replace(text: str) -> None:
        new = tmp_path / "new.txt"
        new.write_text(text, "utf-8")
        new.replace(tmp_path / "s.yaml")

    return replace


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_greets_serves_and_ends_well(serve: Any, number: signal.Signals) -> None:
    """The greeting can be used as it stands; SIGTERM and Ctrl-C end the server with status 0 and no word."""
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
    """With --quiet nothing follows the greeting."""
    program = serve("--quiet")
    ask(program.read_base_url())
    program.process.terminate()
    assert program.read_rest().strip() == ""


def test_urls_name_the_project(serve: Any) -> None:
    """--project and --location stand in the URLs that are printed."""
    base_url = serve("--project", "blue", "--location", "global").read_base_url()
    assert base_url.endswith("/v1/projects/blue/locations/global/endpoints/openapi")
    assert ask(base_url)


def test_issued_tokens_only(serve: Any) -> None:
    """With --auth issued, the printed token passes and another does not."""
    program = serve("--auth", "issued")
    greeting = program.read_until("export OPENAI_API_KEY=")
    base_url, token = (line.partition("=")[2] for line in greeting[-2:])
    assert ask(base_url, token)
    with pytest.raises(HTTPError, match="401"):
        ask(base_url, "another")


def test_watch_reads_again_and_keeps_the_last_good(serve: Any, write: Any) -> None:
    """A change is taken over, a broken one is told and leaves the last good rules, and the next good one is taken over."""
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


def test_watch_sees_the_first_scenario_of_an_empty_folder(serve: Any, tmp_path: Path) -> None:
    """An empty folder means the built-in default, until there is a scenario in it."""
    (tmp_path / "mine").mkdir()
    program = serve("--watch", "mine")
    greeting = program.read_until("serves")
    assert greeting[0] == "there are no scenarios in mine yet"
    assert 'serves "default"' in greeting[-1]
    base_url = program.read_base_url()
    (tmp_path / "mine" / "new.yaml").write_text(SCENARIO.format(answer="here I am"), "utf-8")
    program.read_until("read again: 1 rule")
    assert ask(base_url) == "here I am"


def test_busy_port(run: Any) -> None:
    """A port in use is told in one sentence that says what to do."""
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
def test_options_that_make_no_sense(run: Any, arguments: list[str], said: str) -> None:
    """Nothing to watch and a control token that everybody has are wrong usage."""
    result = run("serve", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
