"""Large requests again and again: a server's memory stays near the journal's bound, and a reset gives it back."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CHAT = "/v1/projects/demo/locations/us-central1/endpoints/openapi/chat/completions"
JOURNAL_MIB = 64


class Server:
    """`vertex-emulator serve` as a process of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self._process = process
        self._port = port

    @property
    def memory(self) -> int:
        """Resident memory in MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text("utf-8")
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) // 1024

    def ask(self, method: str, path: str, body: str | None = None) -> int:
        """Send one request, read its answer and return the status."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request(method, path, body, {"Authorization": "Bearer x"})
        response = connection.getresponse()
        while response.read(1_000_000):
            pass
        connection.close()
        return response.status


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A fresh server of the default scenario."""
    if not Path("/proc/self/status").exists():
        pytest.skip("resident memory is read off /proc")
    command = [sys.executable, "-m", "emulator", "serve", "--port", "0"]
    printed = tmp_path / "printed"
    with printed.open("w") as out, subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT) as process:
        try:
            while (found := re.search(r"http://127\.0\.0\.1:(\d+)\D", printed.read_text("utf-8"))) is None:
                assert process.poll() is None, printed.read_text("utf-8")
                time.sleep(0.02)
            yield Server(process, int(found[1]))
        finally:
            process.kill()


def chat(number: int, **more: Any) -> str:
    """The body of a chat request; no two are alike."""
    return json.dumps(
        {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": f"{number}"}], **more}
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "make"),
    [
        (10, lambda number: chat(number, x=f"{number}" + "k" * 20_000_000)),
        (8, lambda number: chat(number, extra_body={"google": {"a": [{"k": one} for one in range(150_000)]}})),
        (12, lambda number: chat(number, model=f"{number}" + "m" * 5_000_000)),
    ],
    ids=["texts", "objects", "models"],
)
def test_memory_stays_within_the_bound_of_the_journal(server: Server, count: int, make: Callable[[int], str]) -> None:
    """Without bound, these would take 200 MB and more."""
    server.ask("POST", CHAT, chat(0))
    before = server.memory
    for number in range(count):
        assert server.ask("POST", CHAT, make(number)) in {200, 400}
    assert server.memory - before < 2.5 * JOURNAL_MIB
    assert server.ask("GET", "/__emulator__/journal") == 200
    assert server.ask("POST", "/__emulator__/reset") == 204
    assert server.memory - before < JOURNAL_MIB
