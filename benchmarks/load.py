"""The load: wrk of Debian on one thread, and what it tells when it is done."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from benchmarks.asking import HEADERS
from benchmarks.serving import pin
from benchmarks.situations import NUMBER, Situation
from benchmarks.subjects import CACHE, UnavailableError

MARK = "RESULT "
SCRIPT = """
local file = assert(io.open(os.getenv("BENCHMARK_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
%s
if os.getenv("BENCHMARK_NUMBER") ~= "" then
  -- Written out once, but for the number: what the load takes of the processors, the servers cannot have.
  local before, after = wrk.body:match("^(.-)" .. os.getenv("BENCHMARK_NUMBER") .. "(.*)$")
  local number, head, tail = 0
  function init()
    head, tail = wrk.format(nil, nil, nil, before .. " 00000000" .. after):match("^(.-) 00000000(.*)$")
  end
  request = function()
    number = number + 1
    return head .. string.format(" %%08d", number) .. tail
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\\n%s{"requests": %%d, "microseconds": %%d, "bytes": %%.0f, "median": %%d, "slowest": %%d, ' ..
    '"refused": %%d, "broken": %%d}\\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""
# What wrk brings along where nobody may install it.
_DEBIAN = ("wrk", "libluajit-5.1-2", "libluajit-5.1-common", "libssl3")


@dataclass(frozen=True)
class Load:
    """What came of one run of wrk. Times are in seconds."""

    requests: int
    seconds: float
    median: float
    """Half of the answers took no longer."""
    slowest: float
    """99 of 100 answers took no longer."""
    refused: int
    """Answers with a status that is an error."""
    broken: int
    """Connections that failed, and answers that did not come."""
    processor: float = 0.0
    """How much of a processor wrk itself took."""

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds

    @property
    def errors(self) -> int:
        """All that went wrong."""
        return self.refused + self.broken


def install_wrk() -> str:
    """The path of wrk, which is installed from Debian if need be: for all by root, else under `.cache/`."""
    found = shutil.which("wrk")
    if found is not None:
        return found
    unpacked = CACHE / "wrk"
    program = unpacked / "usr" / "bin" / "wrk"
    if program.exists():
        return str(program)
    try:
        if os.geteuid() == 0:
            subprocess.run(["apt-get", "install", "-y", "-q", "wrk"], check=True, stdout=subprocess.DEVNULL)  # noqa: S607  # wherever it is
            return install_wrk()
        unpacked.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-q", *_DEBIAN], cwd=unpacked, check=True, stdout=subprocess.DEVNULL)  # noqa: S607  # as above
        for package in unpacked.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, unpacked], check=True)  # noqa: S607  # as above
    except (OSError, subprocess.CalledProcessError):
        raise UnavailableError("wrk cannot be installed; on Debian: apt-get install wrk") from None
    return str(program)


def run_wrk(
    url: str, situation: Situation, *, connections: int, seconds: float, folder: Path, cpus: Sequence[int] = ()
) -> Load:
    """Ask over and over on so many connections that stay open, from one thread."""
    body, script = folder / "body.json", folder / "load.lua"
    body.write_bytes(situation.body)
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in HEADERS.items())
    script.write_text(SCRIPT % (headers, MARK), "utf-8")
    wrk = install_wrk()
    libraries = ":".join(map(str, (CACHE / "wrk").glob("usr/lib/*-linux-*")))
    command = [
        *(*pin(cpus), wrk, "--threads", "1", "--connections", str(connections), "--duration", f"{seconds:.0f}s"),
        *("--timeout", "30s", "--latency", "--script", str(script), url),
    ]
    environment = {"BENCHMARK_BODY": str(body), "BENCHMARK_NUMBER": NUMBER if situation.new else ""}
    before = getrusage(RUSAGE_CHILDREN)
    done = subprocess.run(
        command,
        env={**os.environ, **environment} | ({"LD_LIBRARY_PATH": libraries} if libraries else {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 60,
    )
    if done.returncode:
        raise SystemExit(f"wrk failed: {done.stderr or done.stdout}")
    after, load = getrusage(RUSAGE_CHILDREN), read_output(done.stdout)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return replace(load, processor=took / load.seconds)


def read_output(text: str) -> Load:
    """What wrk wrote, with this module's script. Raises ValueError if the script's line is not there."""
    for line in text.splitlines():
        if line.startswith(MARK):
            told = json.loads(line.removeprefix(MARK))
            return Load(
                requests=told["requests"],
                seconds=told["microseconds"] / 1e6,
                median=told["median"] / 1e6,
                slowest=told["slowest"] / 1e6,
                refused=told["refused"],
                broken=told["broken"],
            )
    raise ValueError(f"wrk did not tell its result:\n{text}")
