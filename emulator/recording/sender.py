"""Sends requests one after the other and waits for whole answers, within bounds of time and size."""

import asyncio
from types import TracebackType
from typing import Self

from emulator.recording.recording import End, Frame, Headers, RecordedAnswer, RecordedRequest
from emulator.recording.upstream import Upstream, text_headers

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""Bytes of an answer that are read; what is longer counts as broken off there."""
TIMEOUT = 120.0
"""Seconds that an answer may take."""


class Sender:
    """Sends requests to an upstream with an event loop of its own; a context manager."""

    def __init__(self, url: str = "", timeout: float = TIMEOUT) -> None:
        """Raises StartError for a URL that is none."""
        self._upstream = Upstream(url)
        self._timeout = timeout
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._runner.__enter__()
        self._runner.run(self._upstream.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._upstream.__aexit__(kind, error, trace))
        self._runner.__exit__(kind, error, trace)

    def send(self, request: RecordedRequest) -> RecordedAnswer:
        """Send a request with all its headers, credentials too; where no answer comes the status is 0 and the body says why."""
        return self._runner.run(self._send(request))

    async def _send(self, request: RecordedRequest) -> RecordedAnswer:
        target = f"{request.path}?{request.query}" if request.query else request.path
        headers = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in request.headers]
        frames: list[Frame] = []
        head: Headers = ()
        end: End = "unreachable"
        status, head_at, failure = 0, 0.0, ""
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._upstream.send(
                    request.method, request.host, target.encode("latin-1", "replace"), headers, request.body
                ) as answer,
            ):
                status, head, head_at = answer.status, text_headers(answer.headers), answer.head_at
                end, failure = "cut", answer.failure
                size = 0
                async for frame in answer.frames():
                    frames.append(frame)
                    size += len(frame.data)
                    if size > MAX_ANSWER_BYTES:
                        break
                else:
                    end, failure = answer.end, answer.failure
        except TimeoutError:
            failure = f"no whole answer within {self._timeout:g} seconds"
        if status == 0:
            frames = [Frame(0.0, failure.encode())]
        return RecordedAnswer(status, head, head_at, tuple(frames), end, frames[-1].at if frames else head_at)
