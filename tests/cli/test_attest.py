"""`vertex-emulator attest` and `vertex-emulator drift`, against emulators and against servers that answer nonsense."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from emulator.api.emulator import Emulator
from emulator.recording.recording import Manifest, RecordedExchange, RecordedRequest, write_exchange, write_manifest
from emulator.recording.sender import Sender
from emulator.server.settings import Settings

Run = Callable[..., Result]
SCENARIO = Path(__file__).parents[2] / "scenarios" / "attest.yaml"
CHAT = "/v1/projects/PROJECT/locations/global/endpoints/openapi/chat/completions"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulator that answers the probes."""
    with Emulator(SCENARIO, settings=Settings(fallback="default")) as running:
        yield running


@pytest.fixture(scope="module")
def other() -> Iterator[Emulator]:
    """One that answers otherwise."""
    settings = Settings(fallback="default", quirks=frozenset({"null_finish_reason", "object_errors"}))
    with Emulator(SCENARIO, settings=settings) as running:
        yield running


@pytest.fixture
def nonsense() -> Iterator[Callable[[bytes], str]]:
    """Start a server that answers every request with some bytes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def start(answer: bytes) -> str:
        def answer_all() -> None:
            try:
                while True:
                    client, _ = listener.accept()
                    with client:
                        client.recv(65536)
                        client.sendall(answer)
            except OSError:
                return

        threading.Thread(target=answer_all, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_all_rows_hold(run: Run, emulator: Emulator) -> None:
    """The table, the counts, the report, and that an emulator is no evidence."""
    result = run("attest", "--upstream", emulator.url, "--project", "some-project-7")
    assert result.exit_code == 0, result.stdout
    assert "holds         answers.key-order (3 of 3)\n" in result.stdout
    assert "not testable  refusals.unknown-models: an emulator answers so only with --models known\n" in result.stdout
    assert " holds, 0 differs, 0 refused, " in result.stdout
    assert "an emulator answered, so that this says nothing about the real service\n" in result.stdout
    assert "report: attest.json and attest.md; " in result.stdout
    again = run("attest", "--upstream", emulator.url, "--project", "some-project-7")
    assert again.exit_code == 0
    assert "attest.json has " in again.stderr
    assert again.stdout.splitlines()[:-1] == result.stdout.splitlines()[:-1]
    assert "some-project" not in Path("attest.json").read_text("utf-8")
    applied = run("attest", "--apply", "attest.json")
    assert applied.exit_code == 1
    assert "the report is of an emulator" in applied.stderr


def test_what_differs(run: Run, other: Emulator) -> None:
    """The smallest difference, the exit status, and the same as JSON."""
    only = ("--only", "streams.chunk-keys", "--only", "errors.*", "--only", "answers.text:plain")
    result = run("attest", "--upstream", other.url, *only, "--rate", "100000")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "holds         answers.text"
    assert (
        "differs       streams.chunk-keys (1 of 3): finish: chunks.0.choices.0.finish_reason: expected no such key, found null"
        in lines
    )
    assert (
        "differs       errors.framing (2 of 2): chat completions: shape of the error: expected an array of one, found an object"
        in lines
    )
    assert "3 rows: 1 holds, 2 differs, 0 refused, 0 not testable" in lines
    document = json.loads(run("attest", "--upstream", other.url, *only, "--json").stdout)
    assert {one["probe"]: one["result"] for one in document["judgements"]}["errors.framing:streams"] == "differs"
    markdown = Path("attest.md").read_text("utf-8")
    assert "## errors.framing:chat completions" in markdown
    assert '"status": "INVALID_ARGUMENT"' in markdown


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>Welcome</html>",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: \xff\n\ndata: [[[[\n\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>Bad Gateway</html>",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
    ],
)
def test_nonsense(run: Run, nonsense: Callable[[bytes], str], answer: bytes) -> None:
    """Nothing holds, the exit status is 1, and there is no traceback."""
    result = run("attest", "--upstream", nonsense(answer), "--only", "routes.*", "--only", "answers.*")
    assert result.exit_code == 1
    assert " rows: 0 holds, " in result.stdout
    assert "Traceback" not in result.output
    assert Path("attest.md").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ([], 2, "no project to ask with; name the one that pays: --project PROJECT"),
        (["--project", "p"], 1, "requests to aiplatform.googleapis.com for project p: about "),
        (["--project", "p", "--location", "eu", "--only", "answers.text"], 1, "to send 2 requests to aiplatform.eu.rep.googleapis.com for project p"),
        (["--project", "p", "--yes", "--token", "a b"], 1, "the access token has blanks"),
        (["--only", "answers.txt", "--list"], 1, 'no row and no probe is called "answers.txt"; did you mean "answers.text"?'),
        (["--only", "quotas.refill"], 1, "the row quotas.refill is not testable: needs a quota that is used up"),
        (["--upstream", "ftp://x"], 1, '"ftp://x" is no URL of an upstream'),
        (["--upstream", "http://127.0.0.1:1", "--only", "answers.*"], 1, "no answer came 5 times in a row (cannot reach http://127.0.0.1:1"),
        (["--upstream", "http://127.0.0.1:1", "--report", "no/such/folder.json"], 1, "cannot write no/such/folder.json: no such file or directory"),
        (["--apply", "nothing.json"], 1, "cannot read nothing.json: no such file or directory"),
    ],
)  # fmt: skip
def test_mistakes(run: Run, arguments: list[str], status: int, text: str) -> None:
    """Each is one sentence, and nothing is sent."""
    result = run("attest", *arguments)
    assert result.exit_code == status
    assert text in " ".join(result.stderr.split())


def test_another_run(run: Run, emulator: Emulator) -> None:
    """A report of another run is not gone on with."""
    only = ("--only", "answers.text")
    assert run("attest", "--upstream", emulator.url, *only).exit_code == 0
    result = run("attest", "--upstream", emulator.url, *only, "--location", "eu")
    assert result.exit_code == 1
    assert (
        "attest.json is the report of another run, whose location was global and not eu; remove it, or" in result.stderr
    )


def test_only_as_much_as_is_allowed(run: Run, emulator: Emulator) -> None:
    """What is left is told, and the next run goes on."""
    result = run("attest", "--upstream", emulator.url, "--only", "answers.*", "--max-cost", "0.003")
    assert "left for want of --max-cost; run it again to go on" in result.stderr
    assert run("attest", "--upstream", emulator.url, "--only", "answers.*").exit_code == 0


def test_the_list(run: Run) -> None:
    """Each probe with the claim of its row."""
    lines = run("attest", "--list").stdout.splitlines()
    assert len(lines) > 300
    assert "signatures.text " in " ".join(lines)
    assert {"probe": "ends.stop", "row": "ends.stop", "claim": "`stop` sequences stop the visible text and are not in it", "status": "documented"} in json.loads(run("attest", "--list", "--json").stdout)  # fmt: skip


def record(folder: Path, url: str) -> None:
    """Record three requests."""
    write_manifest(folder, Manifest("a test", datetime(2026, 11, 1, tzinfo=UTC)))
    ask: dict[str, Any] = {
        "model": "google/gemini-3.8-flash",
        "messages": [{"role": "user", "content": "Write three sentences about the sea."}],
    }
    with Sender(url) as sender:
        extras: list[dict[str, Any]] = [{}, {"stream": True}, {"n": 9}]
        for number, more in enumerate(extras, start=1):
            headers = (("content-type", "application/json"), ("authorization", "Bearer t"))
            request = RecordedRequest(
                "POST", "aiplatform.googleapis.com", CHAT, "", headers, json.dumps(ask | more).encode()
            )
            exchange = RecordedExchange(number, datetime(2026, 11, 1, tzinfo=UTC), request, sender.send(request))
            write_exchange(folder, exchange)


def test_drift(run: Run, emulator: Emulator, other: Emulator, tmp_path: Path) -> None:
    """Nothing has changed, or what has; as text and as JSON."""
    folder = tmp_path / "recording"
    folder.mkdir()
    record(folder, emulator.url)
    same = run("drift", "recording", "--upstream", emulator.url)
    assert same.exit_code == 0
    assert same.stdout == (
        "as recorded   0001  POST openapi/chat/completions\n"
        "as recorded   0002  POST openapi/chat/completions\n"
        "as recorded   0003  POST openapi/chat/completions\n"
        "\n3 requests: 3 as recorded, 0 changed, 0 not compared\n"
    )
    changed = run("drift", "recording", "--upstream", other.url)
    assert changed.exit_code == 1
    assert changed.stdout == (
        "as recorded   0001  POST openapi/chat/completions\n"
        "changed       0002  POST openapi/chat/completions\n"
        "    chunks.choices.*.finish_reason: was nothing, is null\n"
        "changed       0003  POST openapi/chat/completions\n"
        "    framing: was an array of one, is an object on several lines\n"
        "\n3 requests: 1 as recorded, 2 changed, 0 not compared\n"
    )
    written: Any = json.loads(run("drift", "recording", "--upstream", other.url, "--json").stdout)
    assert [one["result"] for one in written] == ["as recorded", "changed", "changed"]
    assert written[1]["changes"] == [{"where": "chunks.choices.*.finish_reason", "was": "nothing", "is": "null"}]


def test_mistakes_of_drift(run: Run, emulator: Emulator, nonsense: Callable[[bytes], str], tmp_path: Path) -> None:
    """Each is one sentence; an upstream that answers nonsense has changed."""
    folder = tmp_path / "recording"
    folder.mkdir()
    assert "recording is no recording: it has no recording.yaml" in run("drift", "recording").stderr
    record(folder, emulator.url)
    assert 'the project "PROJECT" of the recording is a placeholder' in run("drift", "recording").stderr
    asked = run("drift", "recording", "--project", "p")
    assert (asked.exit_code, "to send 3 requests to aiplatform.googleapis.com: about " in asked.stderr) == (1, True)
    for answer in (b"garbage", b"HTTP/1.1 200 OK\r\n\r\n<html>", b"HTTP/1.1 502 No\r\n\r\n"):
        result = run("drift", "recording", "--upstream", nonsense(answer))
        assert (result.exit_code, "0 as recorded, 3 changed" in result.stdout) == (1, True)
    (folder / "0002.yaml").write_text("number: x", "utf-8")
    broken = run("drift", "recording", "--upstream", emulator.url)
    assert (broken.exit_code, "0002.yaml:1: " in broken.stderr) == (1, True)
