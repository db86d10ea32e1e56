"""Emulators that are asked without a socket."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from emulator.api.emulator import build_service
from emulator.credentials.app import CredentialsApp
from emulator.recording.attest.asking import Client
from emulator.recording.attest.judging import Judge, Judgement
from emulator.recording.attest.probes import Probe
from emulator.recording.recording import Frame, RecordedAnswer, RecordedRequest
from emulator.server.app import App
from emulator.server.settings import Settings

SCENARIO = Path(__file__).parents[3] / "scenarios" / "attest.yaml"
"""What a model would say to the probes."""

Send = Callable[[RecordedRequest], RecordedAnswer]
JudgeAll = Callable[..., dict[str, Judgement]]


@pytest.fixture
def judge_all() -> Iterator[JudgeAll]:
    """Judges probes against an emulator with these scenarios and settings; the judgements by the ids of the probes."""
    with asyncio.Runner() as runner:

        def judge(probes: Sequence[Probe], *scenarios: Path | str, **settings: Any) -> dict[str, Judgement]:
            service = build_service((*scenarios, SCENARIO), Settings(fallback="default", **settings))
            app = App(service, CredentialsApp(service))

            def send(request: RecordedRequest) -> RecordedAnswer:
                return runner.run(ask(app, request))

            client = Client("demo", "global", "ya29.some-token", expired_token=service.mint.issue(0))
            return {one.probe: one for one in Judge(client, send).run(probes)}

        yield judge


async def ask(app: App, request: RecordedRequest) -> RecordedAnswer:
    """Send a request to an application."""
    sent: list[Any] = []
    headers = (("host", request.host), *request.headers)
    scope = {
        "type": "http",
        "method": request.method,
        "path": request.path,
        "scheme": "http",
        "query_string": request.query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    received = iter([{"type": "http.request", "body": request.body}])

    async def receive() -> Any:
        # A client that stays says nothing more.
        return next(received, None) or await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    head, *bodies = sent
    lines = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head["headers"])
    frames = tuple(Frame(0.0, body.get("body", b"")) for body in bodies)
    return RecordedAnswer(head["status"], lines, 0.0, frames, "complete", 0.0)
