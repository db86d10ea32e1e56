"""Running programs by `vertex-emulator exec`, from an environment that would lead them astray."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).with_name("programs")
SKY = Path(__file__).with_name("sky.yaml")
PATIENCE = 60
"""Seconds after which a program is killed, so that a failing test ends."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, so that tests that install a framework can be deselected."""
    config.addinivalue_line("markers", "frameworks: installs a framework and runs it against the emulator")


HOSTILE = {
    "https_proxy": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "*",
    "no_proxy": "googleapis.com,.googleapis.com",
    "ALL_PROXY": "socks5h://127.0.0.1:9",
    "SSL_CERT_DIR": "/nonexistent",
    "SSL_CERT_FILE": "/nonexistent/ca.pem",
    "GOOGLE_APPLICATION_CREDENTIALS": "/nonexistent/key.json",
    "GOOGLE_CLOUD_QUOTA_PROJECT": "somebody-elses",
    "GCE_METADATA_HOST": "127.0.0.1:9",
    "OPENAI_API_KEY": "sk-somebody-elses",
    "OPENAI_BASE_URL": "http://127.0.0.1:9",
}


def heed_hangup() -> None:
    """Let SIGHUP end this process, also if it was ignored, as under `nohup`."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@dataclass(frozen=True)
class Done:
    """A finished run."""

    status: int
    out: str
    err: str
    left: list[str]
    """What is left in the folder for temporary files."""

    @property
    def answers(self) -> Any:
        """What the program printed, which is JSON."""
        assert self.status == 0, self.err
        return json.loads(self.out)


class Programs:
    """Starts `vertex-emulator exec` in a folder of the test, with a folder for temporary files."""

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "temporary files"
        self.temporary.mkdir()
        self.folder = folder

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of the emulator: little of this process's own, and variables that would direct a program elsewhere."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary), **HOSTILE, **more}

    @contextmanager
    def start_other(self, *command: str | Path, env: Mapping[str, str] | None = None, **settings: Any) -> Iterator[Any]:
        """Start a program."""
        # As a login shell starts a program, whoever runs the tests: without a terminal that others read, and no signal ignored.
        given: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "start_new_session": True,
            "preexec_fn": heed_hangup,
        } | settings
        with subprocess.Popen(
            command, cwd=self.folder, env=self.environment(**(env or {})), text=True, **given
        ) as process:
            watchdog = threading.Timer(PATIENCE, process.kill)
            watchdog.start()
            try:
                yield process
            finally:
                watchdog.cancel()
                process.kill()

    def start(self, *arguments: str | Path, **settings: Any) -> Any:
        """Start `vertex-emulator` with arguments."""
        return self.start_other(sys.executable, "-m", "emulator", *arguments, **settings)

    def run(
        self, *arguments: str | Path, stdin: str = "", env: Mapping[str, str] | None = None, command: str = "exec"
    ) -> Done:
        """Run `vertex-emulator exec`, or another command, to its end."""
        with self.start(command, *arguments, env=env) as process:
            out, err = process.communicate(stdin)
        return Done(process.returncode, out, err, [path.name for path in self.temporary.iterdir()])


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    """Starts programs."""
    return Programs(tmp_path)


CACHE = ROOT / ".cache"
PACKAGES = ("openai", "google-auth-library", "ai", "@ai-sdk/openai-compatible")


@pytest.fixture(scope="session")
def packages() -> Path:
    """The packages that the Node program uses; the first run installs them."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is not installed; these tests run Node clients, so install Node 20 or newer")
    folder = CACHE / "node-exec"
    if not folder.exists():
        CACHE.mkdir(exist_ok=True)
        # Installed beside its place and then moved there, so that what is in place is complete, whoever came first.
        with TemporaryDirectory(dir=CACHE) as name:
            new = Path(name, "new")
            new.mkdir()
            command = ["npm", "install", "--prefix", str(new), "--no-audit", "--no-fund", *PACKAGES]
            done = subprocess.run(command, cwd=new, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"npm could not install the packages: {done.stderr}"
            with contextlib.suppress(OSError):
                new.rename(folder)
    return folder / "package.json"
