"""A second emulator that plays Google, and a server that forwards to it and records; recordings of planned answers."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Settings
from emulator.api.background import BackgroundServer, Listeners
from emulator.api.emulator import build_service
from emulator.engine.ruleset import compile_rules
from emulator.engine.timeline.timeline import Timeline
from emulator.recording.recorder import Recorder, RecordingApp
from emulator.recording.recording import (
    End,
    Frame,
    Manifest,
    RecordedAnswer,
    RecordedExchange,
    RecordedRequest,
    Recording,
    write_exchange,
    write_manifest,
)
from emulator.recording.upstream import Upstream
from emulator.server.clock import SystemClock
from emulator.server.listening import bind, url_of
from emulator.server.service import Service
from emulator.wire.urls import Target

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


STARTED = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = Target("v1beta1", "redacted-project-1", "us-central1", "openapi")

Body = dict[str, Any]
Asked = Body | Callable[[list[Body]], Body]
"""The body of a request, or what makes it of the answers so far (those that are no stream)."""
RecordRequests = Callable[..., Path]

_ENDS: dict[str, End] = {"complete": "complete", "end": "complete", "stall": "left"}


def as_recorded(timeline: Timeline) -> RecordedAnswer:
    """A planned answer as a recorder would have seen it."""
    return RecordedAnswer(
        0 if timeline.head_at is None else timeline.status,
        tuple((name, value) for name, value in timeline.headers if value is not None),
        timeline.head_at or 0.0,
        tuple(Frame(frame.at, frame.data) for frame in timeline.frames),
        _ENDS.get(timeline.ending, "cut"),
        timeline.end_at,
    )


@pytest.fixture
def record_answers(tmp_path: Path) -> RecordRequests:
    """Records what an emulator answers to requests, one after the other; returns the recording's folder."""

    def record(
        scenario: str, requests: Sequence[Asked], name: str = "everyday", target: Target = TARGET, **settings: Any
    ) -> Path:
        service = build_service([f"{scenario}\n"], Settings(auth="off", **{"seed": "upstream", **settings}))
        folder = tmp_path / name
        folder.mkdir()
        write_manifest(folder, Manifest("a test", STARTED))
        answers: list[Body] = []
        for number, asked in enumerate(requests, start=1):
            body = json.dumps(asked(answers) if callable(asked) else asked).encode()
            exchange = service.handle(target, b"", [(b"content-type", b"application/json")], body)
            service.finish(exchange)
            answer = as_recorded(exchange.outcome.timeline)
            if answer.body.startswith(b"{"):
                answers.append(json.loads(answer.body))
            request = RecordedRequest(
                "POST", "aiplatform.googleapis.com", target.path, "", (("content-type", "application/json"),), body
            )
            write_exchange(folder, RecordedExchange(number, STARTED, request, answer))
        return folder

    return record
