"""`vertex-emulator sweep`: real programs, each with a server of its own for each bad day."""

import io
import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from emulator.api.sweeps import Row
from emulator.cli.sweep import Progress

CLIENTS = Path(__file__).with_name("clients")
NAIVE, ROBUST = str(CLIENTS / "naive.py"), str(CLIENTS / "robust.py")
STORY = "rules: [{reply: [{say: Once there was a bear that slept all winter., chunks: words}]}]\n"
SOME = tuple(
    f"--only={name}"
    for name in ("crlf", "end_mid_stream", "stall_mid_stream", "429", "cut_inside_character", "stop_on_calls")
)

# The words stop where the middle of the stream is; nothing but the seconds differs from run to run.
OF_THE_NAIVE = """\
undisturbed: status 0, 1 request, _ s

variation             result        requests  seconds  what happens
end_mid_stream        wrong answer         1 _  the answer ends in its middle as if it were complete: HTTP is …
                      line 1: wanted "…ce there was a bear that slept…", got "…ce there was a "
cut_inside_character  not met              1 _  the connection is closed between the bytes of one character
                      fault without effect: the answer has no character of several bytes to be cut in
stall_mid_stream      hung                 1 _  the answer begins and never goes on
                      killed after 1 s
crlf                  survived             1 _  lines end in CR LF
stop_on_calls         not met              1 _  streamed tool calls end with finish reason `stop`
                      its answers were the same as ever
429                   crashed              1 _  429 RESOURCE_EXHAUSTED, whatever is asked
                      status 1: urllib.error.HTTPError: HTTP Error 429: Too Many Requests

6 variations: 1 survived, 1 wrong answer, 1 crashed, 1 hung, 2 not met
"""


@pytest.fixture
def sweep(run: Any, tmp_path: Path) -> Any:
    """Run `sweep` with a scenario on a Python program."""
    (tmp_path / "story.yaml").write_text(STORY, "utf-8")

    def call(*arguments: str, program: str = NAIVE) -> Any:
        return run("sweep", "story.yaml", *arguments, "--", sys.executable, program)

    return call


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write a program that sends a request by its environment variables and then runs the given code."""

    def write(text: str) -> str:
        path = tmp_path / "program.py"
        path.write_text(f"exec(open({NAIVE!r}).read())\n{text}\n", "utf-8")
        return str(path)

    return write


def without_seconds(text: str) -> str:
    """Replace the times in a table."""
    return re.sub(r" +\d+\.\d(?= s|  )", " _", text)


def results_of(text: str) -> dict[str, str]:
    """Parse the results of a table."""
    return dict(re.findall(r"(?m)^(\w+) +(survived|wrong answer|crashed|hung|not met) ", text))


@pytest.mark.slow
def test_naive_client_shows_each_result(sweep: Any) -> None:
    """A client without checks and retries gets all results; variations that had no effect do not count as survived."""
    done = sweep(*SOME, "--timeout", "1", "--jobs", "2")
    assert (without_seconds(done.stdout), done.stderr, done.exit_code) == (OF_THE_NAIVE, "", 1)


@pytest.mark.slow
def test_robust_client_fails_where_nobody_could_be_answered(sweep: Any) -> None:
    """A robust client neither hangs nor accepts half an answer, and fails with a message."""
    done = sweep("--only=*_mid_stream", "--only=crlf", "--set=faults", "--jobs=2", program=ROBUST)
    results = results_of(done.stdout)
    assert results.pop("crlf") == "survived"
    assert set(results.values()) == {"crashed"}
    assert "end_mid_stream" in results
    assert "status 1: no answer after three attempts: ValueError: the answer is not complete" in done.stdout


@pytest.mark.slow
def test_robust_client_survives_what_happens_once(sweep: Any) -> None:
    """With `--once` a retry is answered, and the exit status is 0."""
    done = sweep(*SOME, "--once", "--jobs=2", program=ROBUST)
    assert set(results_of(done.stdout).values()) == {"survived", "not met"}
    assert re.search(r"(?m)^429 +survived +2 ", done.stdout)
    assert done.exit_code == 0


def test_json_has_everything(sweep: Any) -> None:
    """--json prints one document: the undisturbed run, and each run with its settings and its result."""
    done = sweep("--only=end_mid_stream", "--only=slow_first_token", "--speed=100", "--json")
    document = json.loads(done.stdout)
    assert (document["undisturbed"]["status"], document["undisturbed"]["differs"]) == (0, None)
    cut, slow = document["runs"]
    assert (cut["variation"], cut["result"], cut["faults"]) == ("end_mid_stream", "wrong answer", ["cut=end"])
    assert (slow["result"], slow["pace"], slow["requests"]) == ("survived", "first_token_ms=3000", 1)
    assert slow["seconds"] < 3


def test_verdicts_are_in_the_table(sweep: Any, write: Any) -> None:
    """Verdicts on the client are printed below its row; killing it after the timeout causes none."""
    again = f"try:\n    exec(open({NAIVE!r}).read())\nexcept OSError:\n    exec(open({NAIVE!r}).read())\n"
    path = Path(write(""))
    path.write_text(again, "utf-8")
    done = sweep("--only=400", "--only=stall_mid_stream", "--timeout=1", program=str(path))
    assert re.search(r"(?m)^400 +crashed +2 .*\n +status 1: .*\n +error: refusal_retried \(#1, #2\)$", done.stdout)
    assert "stream_not_read" not in done.stdout


def test_output_that_always_differs_is_not_compared(sweep: Any, write: Any) -> None:
    """If undisturbed outputs differ, this is printed, and only crashes and hangs are failures."""
    done = sweep("--only=end_mid_stream", "--only=429", program=write("import os; print(os.getpid())"))
    assert "its output differs from run to run (line 2: wanted " in done.stdout
    assert results_of(done.stdout) == {"end_mid_stream": "survived", "429": "crashed"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "raise SystemExit('no luck')",
            "no luck\nvertex-emulator: the program fails though nothing disturbs it: status 1: no luck\n",
        ),
        (
            "import time; time.sleep(9)",
            "vertex-emulator: the program fails though nothing disturbs it: it did not end within 1 s\n",
        ),
        (
            "import os; os.kill(os.getpid(), 9)",
            "vertex-emulator: the program fails though nothing disturbs it: ended by SIGKILL\n",
        ),
    ],
)
def test_program_that_fails_undisturbed_is_reported(sweep: Any, write: Any, more: str, said: str) -> None:
    """A program that fails undisturbed gets its stderr printed and no table."""
    done = sweep("--timeout=1", program=write(more))
    assert (done.stdout, done.stderr, done.exit_code) == ("", said, 1)


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("", "the program asks nothing: no request reached the emulator, so there is nothing to disturb"),
        ("; exit 1", "the program fails though nothing disturbs it: status 1"),
    ],
)
def test_programs_that_ask_for_nothing_that_is_emulated(run: Any, ending: str, said: str) -> None:
    """Where a program asked for something that nothing routes, that is named."""
    done = run("sweep", "--", "sh", "-c", f"curl -s -o /dev/null https://aiplatform.googleapis.com/v1/models{ending}")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"vertex-emulator: {said}; it asked for GET /v1/models: no such path: ")


def test_a_miss_without_disturbance_is_named(run: Any, tmp_path: Path) -> None:
    """Where the program fails because no rule answers it, that is why."""
    (tmp_path / "sky.yaml").write_text("rules: [{when: {last_user: sky}, reply: Blue.}]", "utf-8")
    body = '{"model": "google/gemini-3.5-flash", "messages": [{"role": "user", "content": "sea"}]}'
    ask = f"curl -s $OPENAI_BASE_URL/chat/completions -H \"Authorization: Bearer $OPENAI_API_KEY\" -d '{body}' >&2; exit 1"
    done = run("sweep", str(tmp_path / "sky.yaml"), "--", "sh", "-c", ask)
    assert done.exit_code == 1
    assert done.stderr.endswith('; no rule of "sky" answers this request (session demo, turn 1)\n')


def test_unusable_programs_are_reported(run: Any) -> None:
    """A program that sends no request and one that does not exist are reported."""
    done = run("sweep", "--", "true")
    assert (done.exit_code, done.stderr.partition(":")[2]) == (
        1,
        " the program asks nothing: no request reached the emulator, so there is nothing to disturb\n",
    )
    done = run("sweep", "--", "no-such-program")
    assert (done.exit_code, done.stderr) == (
        1,
        "vertex-emulator: cannot run no-such-program: no such file or directory\n",
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "nothing*", "--", "true"], "no variation is called nothing*"),
        (["story.yaml"], "write it behind `--`: sweep [SCENARIOS]... -- COMMAND..."),
        (["--set", "bugs", "--", "true"], "'faults', 'quirks', 'errors', 'slow', 'all'"),
    ],
)
def test_wrong_usage_has_status_2(run: Any, arguments: list[str], said: str) -> None:
    """Unknown names are reported with the known ones."""
    done = run("sweep", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc to look processes up in")
def test_end_of_the_sweep_kills_its_programs(start_program: Any, tmp_path: Path) -> None:
    """A signal to the sweep kills the program and its child processes."""
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    program = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(60)\n"
    )
    process = start_program("sweep", "--timeout", "60", "--", sys.executable, "-c", program).process
    running = [int(pid) for pid in pids.read_text().split()]
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert not any(is_running(pid) for pid in running)


def is_running(pid: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_list_runs_nothing(run: Any) -> None:
    """What would be tried, by name; neither scenario nor program is needed."""
    done = run("sweep", "--list", "--set", "errors", "--only", "429*")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "429       429 RESOURCE_EXHAUSTED, whatever is asked",
        "429_once  429 RESOURCE_EXHAUSTED at first, then the answer",
    ]
    assert [one["variation"] for one in json.loads(run("sweep", "--list", "--json", "--only", "crlf").stdout)] == [
        "crlf"
    ]


def test_junit(sweep: Any, tmp_path: Path) -> None:
    """Each variation is a test case; what was not met is skipped."""
    done = sweep("--only=crlf", "--only=429", "--only=stop_on_calls", "--junit", "found.xml")
    assert done.exit_code == 1
    (suite,) = ET.parse(tmp_path / "found.xml").getroot()  # noqa: S314  # our own
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases == {"crlf": [], "429": ["failure"], "stop_on_calls": ["skipped"]}
    failure = suite.find("testcase[@name='429']/failure")
    assert failure is not None
    assert failure.get("message") == "crashed: status 1: urllib.error.HTTPError: HTTP Error 429: Too Many Requests"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """True."""
        return True


def test_progress_on_terminals() -> None:
    """The variation that runs is said, and the line is cleared before anything else is printed."""
    terminal, file = Terminal(), io.StringIO()
    rows = [Row(variation=name, effect="", result="survived") for name in ("a", "b")]
    for stream in (terminal, file):
        with Progress(["a", "b", "c"], stream) as progress:
            assert list(progress.show(iter(rows))) == rows
    shown = terminal.getvalue().split("\r\x1b[K")
    assert [text for text in shown if text] == ["1 of 3: a", "2 of 3: b", "3 of 3: c"]
    assert (shown[-1], file.getvalue()) == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("as_json", [False, True])
def test_what_has_run_is_summed_up_after_ctrl_c(start_program: Any, tmp_path: Path, *, as_json: bool) -> None:
    """Rows, summary and JUnit file of what has run; the status is that of the signal."""
    (tmp_path / "story.yaml").write_text(STORY, "utf-8")
    program = tmp_path / "program.py"
    # The program hangs in the second variation, until the sweep is stopped.
    program.write_text(
        f"exec(open({NAIVE!r}).read())\nimport os, time\nopen('runs', 'a').write('x')\n"
        "if os.path.getsize('runs') == 4: open('hangs', 'w'); time.sleep(600)\n",
        "utf-8",
    )
    more = ["--json"] if as_json else []
    names = ["--only=crlf", "--only=comment_lines", "--junit", "found.xml", "--timeout", "500"]
    running = start_program("sweep", *names, *more, "story.yaml", "--", sys.executable, str(program))
    while not (tmp_path / "hangs").exists():
        assert running.process.poll() is None
        time.sleep(0.05)
    running.process.send_signal(signal.SIGINT)
    said = running.read_rest()
    assert running.process.wait(timeout=60) == 130
    if as_json:
        shown = json.loads(said)
        assert (len(shown["runs"]), shown["stopped"]) == (1, "after 1 of 2")
    else:
        assert said.endswith("\nstopped after 1 of 2 variations; 1 variation: 1 survived\n")
    assert 'tests="1"' in (tmp_path / "found.xml").read_text("utf-8")
