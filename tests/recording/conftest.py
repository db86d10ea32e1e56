"""A second emulator that plays Google, and a server that forwards to it and records."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Settings
from emulator.api.background import BackgroundServer, Listeners
from emulator.engine.ruleset import compile_rules
from emulator.recording.recorder import Recorder, RecordingApp
from emulator.recording.recording import RecordedExchange, Recording
from emulator.recording.upstream import Upstream
from emulator.server.clock import SystemClock
from emulator.server.listening import bind, url_of
from emulator.server.service import Service

UPSTREAM = Path(__file__).with_name("upstream.yaml")
PROJECT, TOKEN = "blue-sky-4711", "ya29.a0-secret-of-the-run"


@pytest.fixture(scope="module")
def google() -> Iterator[Emulator]:
    """The second emulator: another seed, another pace, a quirk."""
    settings = Settings(seed="another", quirks=frozenset({"announce_index"}))
    with Emulator(UPSTREAM, settings=settings) as emulator:
        yield emulator


@dataclass
class RecordingServer:
    """A server that forwards and records."""

    url: str
    recorder: Recorder
    close: Callable[[], None]

    def base_url(self, project: str = PROJECT, location: str = "us-central1") -> str:
        """The base URL of an OpenAI client."""
        return f"{self.url}/v1/projects/{project}/locations/{location}/endpoints/openapi"

    def read(self) -> Recording:
        """Stop, and read what was recorded."""
        self.close()
        return Recording.read(self.recorder.folder)

    @property
    def only(self) -> RecordedExchange:
        """Stop, and return the one exchange that was recorded."""
        (exchange,) = self.read().exchanges
        return exchange


@contextmanager
def record(folder: Path, upstream: str, **options: Any) -> Iterator[RecordingServer]:
    """Run a server that forwards to an upstream and records into a folder."""
    clock = SystemClock()
    with ExitStack() as stack, bind("127.0.0.1", 0) as bound:
        recorder = Recorder(folder, upstream, **options)
        app = RecordingApp(Upstream(upstream, clock.elapsed), recorder, clock)
        service = Service(compile_rules([]), Settings(), clock=clock)
        background = BackgroundServer(lambda ready: Listeners(service, bound.dup(), ready, grace=0, app=app))
        background.start()
        once = threading.Lock()

        def close() -> None:
            if once.acquire(blocking=False):
                background.stop()
                recorder.close()

        stack.callback(close)
        yield RecordingServer(url_of(bound), recorder, close)


@pytest.fixture
def recording(tmp_path: Path, google: Emulator) -> Iterator[RecordingServer]:
    """A server that forwards to the second emulator."""
    with record(tmp_path / "recording", google.url) as server:
        yield server
