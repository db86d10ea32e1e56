"""`vertex-emulator exec` as a process: streams, exit status, signals, what is said and what is left."""

import fcntl
import os
import pty
import signal
import socket
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

SKY = Path(__file__).with_name("sky.yaml")
CHAT = Path(__file__).with_name("programs") / "chat.py"
SILENT = "vertex-emulator: no request reached the emulator, 0 misses, 0 refusals, 0 leaks\n"


@pytest.mark.parametrize("status", [0, 7, 143])
def test_status_is_the_programs(programs: Any, status: int) -> None:
    """The program's exit status is returned, no files are left, and one line has the counts."""
    done = programs.run("--", "sh", "-c", f"exit {status}")
    assert (done.status, done.out, done.err, done.left) == (status, "", SILENT, [])


@pytest.mark.parametrize("name", ["with:colon", "it's", 'quo"ted', "back\\slash $HOME"])
def test_any_folder_for_temporary_files(programs: Any, tmp_path: Path, name: str) -> None:
    """The emulator's `gcloud` comes first in PATH, and its files can be read."""
    folder = tmp_path / name
    folder.mkdir()
    script = 'gcloud config get project; head -c 27 "$SSL_CERT_FILE"'
    done = programs.run("--project", "blue", "--", "sh", "-c", script, env={"TMPDIR": str(folder)})
    assert (done.status, done.out, done.err) == (0, "blue\n-----BEGIN CERTIFICATE-----", SILENT)
    assert list(folder.iterdir()) == []


def test_status_of_a_signal(programs: Any) -> None:
    """A program ended by a signal has the status that a shell gives it."""
    done = programs.run("--", "sh", "-c", "kill -KILL $$")
    assert (done.status, done.left) == (128 + signal.SIGKILL, [])


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [("no-such-program", 127, "no such file or directory"), ("/", 126, "permission denied")],
)
def test_programs_that_cannot_be_run(programs: Any, name: str, status: int, reason: str) -> None:
    """A program that does not exist or cannot be executed is reported in one line."""
    done = programs.run("--", name)
    assert (done.status, done.err, done.left) == (status, f"vertex-emulator: cannot run {name}: {reason}\n", [])


def test_streams_are_the_programs(programs: Any) -> None:
    """Input and output pass unchanged; options after the dashes are the program's."""
    done = programs.run(
        "--", "sh", "-c", 'cat; echo "$@"; echo fault >&2', "sh", "--verify", "--", "-v", stdin="hello\n"
    )
    assert (done.status, done.out, done.err) == (0, "hello\n--verify -- -v\n", "fault\n" + SILENT)


def test_open_files_are_passed_on(programs: Any) -> None:
    """The program inherits a file that a shell opens for it, and none of the emulator's sockets."""
    program = (
        "import os, stat; fds = [fd for fd in range(3, 256) if os.path.exists(f'/dev/fd/{fd}')];"
        "print(os.read(int(os.environ['FD']), 9), [fd for fd in fds if stat.S_ISSOCK(os.fstat(fd).st_mode)])"
    )
    reading, writing = os.pipe()
    os.write(writing, b"hello")
    with programs.start(
        "exec", "--", sys.executable, "-c", program, env={"FD": str(reading)}, pass_fds=[reading]
    ) as process:
        out, _ = process.communicate()
    os.close(reading)
    os.close(writing)
    assert out == "b'hello' []\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_are_passed_on(programs: Any, number: signal.Signals) -> None:
    """Signals are forwarded to the program, which decides how it ends; no files are left."""
    program = f"trap 'echo caught; exit 9' {number.name[3:]}; echo ready; read nothing"
    with programs.start("exec", "--", "sh", "-c", program) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert (process.stdout.read(), process.stderr.read(), process.wait()) == ("caught\n", SILENT, 9)
    assert list(programs.temporary.iterdir()) == []


def test_sigterm_ends_a_program_without_a_handler(programs: Any) -> None:
    """SIGTERM ends a program that does not handle it, and the status says so."""
    with programs.start("exec", "--", "sh", "-c", "echo ready; exec cat") as process:
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM
    assert list(programs.temporary.iterdir()) == []


def test_control_c_ends_both(programs: Any) -> None:
    """Ctrl-C at a terminal reaches the program once, and the emulator ends after it."""
    ours, theirs = pty.openpty()
    program = "trap 'echo caught' INT; echo ready; read nothing; echo over"
    with programs.start(
        "exec",
        "--",
        "sh",
        "-c",
        program,
        preexec_fn=lambda: take_terminal(theirs),
        stdin=theirs,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        os.write(ours, b"\x03")
        assert process.stdout.readline() == "caught\n"
        os.write(ours, b"\n")
        assert (process.stdout.read(), process.stderr.read(), process.wait()) == ("over\n", SILENT, 0)
    os.close(ours)
    os.close(theirs)
    assert list(programs.temporary.iterdir()) == []


def take_terminal(terminal: int) -> None:
    """Make a terminal the controlling one of this process and those it starts."""
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def test_nobody_listens_afterwards(programs: Any) -> None:
    """While the program runs its folder exists, readable only by its owner; afterwards nothing listens any more."""
    program = """
import json, os, stat
folder = os.path.dirname(os.environ["SSL_CERT_FILE"])
modes = {each: oct(stat.S_IMODE(os.stat(os.path.join(folder, each)).st_mode)) for each in [".", *os.listdir(folder)]}
print(json.dumps([modes, [os.environ["HTTPS_PROXY"], os.environ["OPENAI_BASE_URL"], os.environ["VERTEX_EMULATOR_TLS_ADDR"]]]))
"""
    modes, addresses = programs.run("--", sys.executable, "-c", program).answers
    assert modes["."] == "0o700"
    assert modes["service-account.json"] == "0o600"
    assert not any("KEY" in name.upper() and mode != "0o600" for name, mode in modes.items())
    for address in addresses:
        port = int(address.rpartition("127.0.0.1:")[2].partition("/")[0])
        with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
            probe.connect(("127.0.0.1", port))


def test_misses_and_refusals_are_counted(programs: Any) -> None:
    """The last line has the counts; with -v the log is on stderr; without --verify the status is the program's."""
    done = programs.run("-v", SKY, "--", sys.executable, CHAT, "sky", "sea")
    assert (done.status, done.out) == (0, "418\n")
    assert '"sky" 200' in done.err
    assert 'wanted text containing "sky", got "sea"' in done.err
    assert done.err.endswith("vertex-emulator: 2 requests, 1 miss, 0 refusals, 0 leaks\n")


def test_log_goes_to_a_file(programs: Any) -> None:
    """With --log the log is written to the file, and stderr has only the program's output and the last line."""
    done = programs.run("--log", "requests.log", SKY, "--", sys.executable, CHAT, "sky")
    assert done.err == "vertex-emulator: 1 request, 0 misses, 0 refusals, 0 leaks\n"
    assert '"sky" 200' in (programs.folder / "requests.log").read_text("utf-8")


def test_leaks_are_named(programs: Any) -> None:
    """A host that is not emulated is refused, and reported at once and in the last line."""
    done = programs.run("--", "curl", "-sS", "https://example.com/")
    assert done.status == 56
    assert "CONNECT tunnel failed, response 403" in done.err
    said = (
        "a program wanted to reach example.com, which is not emulated; refused (--pass example.com lets it through)\n"
    )
    assert f"vertex-emulator: leak: {said}" in done.err
    assert done.err.endswith(
        "\nvertex-emulator: no request reached the emulator, 0 misses, 0 refusals, 1 leak (example.com)\n"
    )


def test_wrong_usage(programs: Any) -> None:
    """A missing program is wrong usage; a broken scenario is reported as by other commands."""
    done = programs.run("python", "app.py")
    assert done.status == 2
    assert "no program to run; write it behind `--`: exec [SCENARIOS]... -- COMMAND..." in done.err
    (programs.folder / "bad.yaml").write_text("rules: [", "utf-8")
    done = programs.run("bad.yaml", "--", "true")
    assert (done.status, done.err.splitlines()[-1]) == (1, "1 problem found")
