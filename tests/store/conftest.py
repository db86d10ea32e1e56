"""A real Redis server for the tests of the store that processes share."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.store.private_redis import find_redis_server


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a Redis server that this session of tests has to itself, on a Unix socket."""
    program = find_redis_server()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "redis.sock"
        command = [program, "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no"]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
            try:
                while not path.exists():
                    assert process.poll() is None, "redis-server has ended"
                    time.sleep(0.01)
                yield f"unix://{path}"
            finally:
                process.kill()
