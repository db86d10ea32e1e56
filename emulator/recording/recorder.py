"""The recorder: an ASGI application that forwards requests upstream, and writes what went over the wire into a recording."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from emulator import __version__
from emulator.engine.answer import emulator_failure
from emulator.errors import StartError
from emulator.http.request_cycle import CONNECTION_KEY
from emulator.http.sending import Receive, Scope, Send, play_at_once
from emulator.recording.recording import (
    MANIFEST,
    End,
    Frame,
    Manifest,
    RecordedAnswer,
    RecordedExchange,
    RecordedRequest,
    exchange_files,
    is_recording,
    read_exchange,
    read_manifest,
    write_exchange,
    write_manifest,
)
from emulator.recording.secrets import Secrets, UnreadableBodyError
from emulator.recording.upstream import Upstream, UpstreamAnswer, text_headers
from emulator.redaction import clean_line
from emulator.server.app import ASGIApp, read_body
from emulator.server.clock import Clock
from emulator.server.playing import wait_for_disconnect
from emulator.server.settings import CONTROL_PATH
from emulator.wire.urls import host_for, is_vertex_host

MAX_RECORDED_BYTES = 128 * 1024 * 1024
"""Bytes of an answer that are recorded; a larger one reaches the client, but is not kept."""
MAX_REQUEST_BYTES = 64 * 1024 * 1024
"""Bytes of a request's body that are forwarded."""
MAX_OVERHEARD_BYTES = 64 * 1024
"""Bytes of a message to or from a token endpoint in which secrets are looked for."""
_DROP_TIMEOUT = 1.0
"""Seconds to wait for a dropped connection to end."""
_LAST_EVENT = b"data: [DONE]\n\n"
"""What many clients take for the end of an answer; they leave then, before the end of the HTTP message."""
_ENDS = {"cut": "cut by the upstream", "left": "left by the client", "unreachable": "without an answer"}
_MAX_KINDS = 5
"""Kinds of what was not recorded that a summary names."""

_VERTEX_PATH = re.compile(r"/(?:ui/)?v\d\w*/(?:projects/[^/]+/locations/|publishers/)")
_PORT = re.compile(r":\d+$")
_TOKEN_PATH = re.compile(r".*(?::generate(?:Access|Id)Token|:sign(?:Blob|Jwt)|/allowedLocations)")


def is_recorded(host: str, path: str) -> bool:
    """Whether a request is one to Vertex AI: by its host, or by its path where it was sent to a server of another name."""
    if is_vertex_host(host):
        return True
    is_vertex = _VERTEX_PATH.match(path) is not None and _TOKEN_PATH.fullmatch(path) is None
    return is_vertex and not is_google_host(host)


def is_google_host(host: str) -> bool:
    """Whether a host, without its port, is one of Google's APIs."""
    return is_vertex_host(host) or host.lower().rstrip(".").endswith(".googleapis.com")


class Recorder:
    """Numbers exchanges and, on a thread of its own, writes each into its file once it has ended."""

    def __init__(
        self,
        folder: Path,
        upstream: str = "",
        *,
        patterns: Sequence[re.Pattern[str]] = (),
        environment: Mapping[str, str] | None = None,
        key_file: str = "",
        report: Callable[[str], object] | None = None,
    ) -> None:
        """Open a recording, a new one or one that is continued.

        `environment` and `key_file` are where the program's secrets stand; `report` is called with a line for each exchange that was
        written. Raises StartError for a folder that is something else or cannot be written to.
        """
        self.folder = folder
        self._report = report
        self.ends: Counter[str] = Counter()
        """How many exchanges were recorded, by their end."""
        self.left_out: Counter[str] = Counter()
        """How many requests were not recorded, by what follows their number in a sentence: `to HOST`, `because ...`."""
        self.earlier = 0
        """How many exchanges the recording had before."""
        self._manifest = _open(folder, Manifest(f"vertex-emulator {__version__}", datetime.now(UTC), upstream))
        self._secrets = Secrets(dict(self._manifest.placeholders), tuple(patterns))
        self._secrets.learn_environment(environment or {}, key_file)
        numbers = [int(path.stem) for path in exchange_files(folder) if path.stem.isdigit()]
        self.earlier, self._next = len(numbers), max(numbers, default=0) + 1
        self._thread = ThreadPoolExecutor(1, "vertex-emulator-recorder")
        self._written: list[tuple[Path, int]] = []
        """The files of this run, with how many secrets were known when each was written."""

    def begin(self) -> int:
        """The number of a request that has come."""
        self._next += 1
        return self._next - 1

    def keep(self, exchange: RecordedExchange) -> None:
        """Write an exchange, with all of the request's headers, without its secrets."""
        self._thread.submit(self._keep, exchange)

    def overhear(self, request: RecordedRequest, answer: bytes) -> None:
        """Learn the secrets of a request that is not kept, and of its answer."""
        self._thread.submit(self._learn, request, answer)

    def leave_out(self, what: str) -> None:
        """Count a request that is not recorded; `what` is an entry of `left_out`."""
        self.left_out[what] += 1

    def close(self) -> None:
        """Wait until all is written; then replace in earlier files the secrets that only later requests have shown."""
        self._thread.submit(self._sweep)
        self._thread.shutdown()

    def summary(self) -> str:
        """What was recorded, in a line."""
        number = self.ends.total()
        text = f"{number} exchange{'' if number == 1 else 's'} {'added to' if self.earlier else 'recorded in'} {self.folder}"
        parts = [text, *(f"{self.ends[end]} {words}" for end, words in _ENDS.items() if self.ends[end])]
        if self.left_out:
            kinds = [f"{count} {what}" for what, count in self.left_out.most_common()]
            more = [f"and {len(kinds) - _MAX_KINDS} more kinds"] if len(kinds) > _MAX_KINDS else []
            parts.append(f"not recorded: {', '.join(kinds[:_MAX_KINDS] + more)}")
        return "; ".join(parts)

    def _keep(self, exchange: RecordedExchange) -> None:
        try:
            redacted = self._secrets.redact(exchange)
            self._write(redacted)
        except UnreadableBodyError as error:
            self.leave_out(f"because {error}")
        except OSError as error:
            self.leave_out(f"because {self.folder} cannot be written to ({(error.strerror or str(error)).lower()})")
        except Exception as error:  # noqa: BLE001  # on this thread nobody would see it, and the exchange would be missed later
            self.leave_out(f"because of a mistake of the emulator, {type(error).__name__}")
        else:
            self.ends[exchange.answer.end] += 1
            if self._report is not None:
                self._report(describe(redacted))

    def _write(self, exchange: RecordedExchange) -> None:
        if self._secrets.counts != self._manifest.placeholders:
            # Before the exchange, so that who continues a recording that was killed uses no placeholder for something else.
            self._manifest = replace(self._manifest, placeholders=dict(self._secrets.counts))
            write_manifest(self.folder, self._manifest)
        path = write_exchange(self.folder, exchange)
        self._written.append((path, self._secrets.learned))

    def _learn(self, request: RecordedRequest, answer: bytes) -> None:
        self._secrets.learn_request(request)
        for body in (request.body, answer):
            self._secrets.learn_body(body[:MAX_OVERHEARD_BYTES])

    def _sweep(self) -> None:
        """Replace secrets in files that were written before they were known."""
        for path, known in self._written:
            if known < self._secrets.learned:
                with suppress(OSError, StartError, UnreadableBodyError):
                    exchange = read_exchange(path)
                    redacted = self._secrets.redact(exchange)
                    if redacted != exchange:
                        write_exchange(self.folder, redacted)


def describe(exchange: RecordedExchange) -> str:
    """An exchange in a line."""
    request, answer = exchange.request, exchange.answer
    line = f"#{exchange.number} {request.method} {request.path} {answer.status} {answer.ended_at * 1000:.0f} ms"
    if len(answer.frames) > 1:
        line += f", {len(answer.frames)} frames"
    return clean_line(line if answer.end == "complete" else f"{line}, {_ENDS[answer.end]}")


def _open(folder: Path, manifest: Manifest) -> Manifest:
    """Make a folder a recording and return its manifest: the one it has, or the given one. Raises StartError."""
    try:
        if is_recording(folder):
            manifest = read_manifest(folder)
            for path in folder.glob(".*.tmp"):
                path.unlink()
        elif folder.is_dir() and any(folder.iterdir()):
            raise StartError(
                f"{folder} is not empty and no recording, since it has no {MANIFEST}; name another folder for the recording"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_manifest(folder, manifest)
    except OSError as error:
        raise StartError(
            f"cannot record into {folder}: {(error.strerror or str(error)).lower()}; name another folder for the recording"
        ) from None
    return manifest


@dataclass(slots=True)
class _Forwarding:
    """A request on its way, and what has come back so far."""

    request: RecordedRequest
    started: datetime
    began: float
    answer: UpstreamAnswer | None = None
    frames: list[Frame] = field(default_factory=list)
    size: int = 0
    is_over: bool = False
    """Whether the client has all of the answer that will come."""
    was_dropped: bool = False
    """Whether the client's connection was broken off, as the upstream's was."""

    def add(self, frame: Frame) -> None:
        """Keep a frame, unless the answer has become too large."""
        self.size += len(frame.data)
        if self.size > MAX_RECORDED_BYTES:
            self.frames.clear()
        else:
            self.frames.append(frame)

    def recorded(self, elapsed: float) -> RecordedAnswer:
        """The answer so far; `elapsed` is the clock's, in seconds."""
        answer, frames = self.answer, tuple(self.frames)
        if answer is None:
            return RecordedAnswer(0, (), 0.0, (), "left", elapsed - self.began)
        if self.is_over:
            return RecordedAnswer(
                answer.status, text_headers(answer.headers), answer.head_at, frames, answer.end, answer.ended_at
            )
        # Who has read the last event has the whole answer.
        end: End = (
            "complete" if frames and b"".join([frame.data for frame in frames[-2:]]).endswith(_LAST_EVENT) else "left"
        )
        return RecordedAnswer(answer.status, text_headers(answer.headers), answer.head_at, frames, end, answer.now())


class RecordingApp:
    """Forwards every request upstream and sends back what comes, as it comes; an asynchronous context manager.

    Exchanges with Vertex AI are recorded, others are only counted.
    """

    def __init__(
        self,
        upstream: Upstream,
        recorder: Recorder,
        clock: Clock,
        *,
        control: ASGIApp | None = None,
        prepare: Callable[[RecordedRequest], RecordedRequest] = lambda request: request,
        max_body: int = MAX_REQUEST_BYTES,
    ) -> None:
        """`control` answers the control path; `prepare` returns the request that is sent and recorded instead of the one that came."""
        self._upstream = upstream
        self._recorder = recorder
        self._clock = clock
        self._control = control
        self._prepare = prepare
        self._max_body = max_body

    async def __aenter__(self) -> Self:
        await self._upstream.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._upstream.__aexit__()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if self._control is not None and (scope["type"] != "http" or scope["path"].startswith(CONTROL_PATH)):
            await asyncio.ensure_future(self._control(scope, receive, send))
            return
        body = await read_body(receive, self._max_body)
        if body is None:
            return
        if len(body) > self._max_body:
            self._recorder.leave_out("because the request was too large")
            report = f"the request has more than {self._max_body:,} bytes, which is too large to be recorded"
            await play_at_once(emulator_failure(report, "too_large"), (), send)
            return
        await self.forward(scope, receive, send, body)

    async def forward(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        """Forward one request whose body has been read, and record it."""
        request = self._prepare(read_request(scope, body))
        if not self._upstream.has_url and not is_google_host(request.host):
            report = f"{request.path[:200]} names no location, so that its host is not known; name an --upstream"
            await play_at_once(emulator_failure(report, "upstream_unknown"), (), send)
            self._recorder.leave_out("without a location in the path")
            return
        is_kept = is_recorded(request.host, request.path)
        number = self._recorder.begin() if is_kept else 0
        forwarding = _Forwarding(request, datetime.now(UTC), self._clock.elapsed())
        sending = asyncio.ensure_future(self._forward(forwarding, scope, send))
        leaving = asyncio.ensure_future(wait_for_disconnect(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if forwarding.is_over or sending.done():
                await sending
            if forwarding.was_dropped:
                await asyncio.wait((leaving,), timeout=_DROP_TIMEOUT)
        finally:
            leaving.cancel()
            if not sending.done():
                sending.cancel()
                await asyncio.wait((sending,))
            self._finish(forwarding, number)

    async def _forward(self, forwarding: "_Forwarding", scope: Scope, send: Send) -> None:
        """Send a request upstream and its answer to the client."""
        request = forwarding.request
        target = f"{request.path}?{request.query}" if request.query else request.path
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
        async with self._upstream.send(
            request.method, request.host, target.encode("latin-1"), headers, request.body
        ) as answer:
            forwarding.answer = answer
            if answer.end == "unreachable":
                forwarding.is_over = True
                await play_at_once(emulator_failure(answer.failure, "upstream_unreachable"), (), send)
                return
            if answer.status:
                await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            async for frame in answer.frames():
                forwarding.add(frame)
                await send({"type": "http.response.body", "body": frame.data, "more_body": True})
            forwarding.is_over = True
            if answer.end == "complete":
                await send({"type": "http.response.body", "body": b""})
            elif (connection := scope.get("extensions", {}).get(CONNECTION_KEY)) is not None:
                forwarding.was_dropped = True
                await connection.drop("reset" if answer.was_reset else "close")

    def _finish(self, forwarding: "_Forwarding", number: int) -> None:
        """Record an exchange that has ended."""
        request, recorder = forwarding.request, self._recorder
        answer = forwarding.recorded(self._clock.elapsed())
        if not number:
            recorder.leave_out(
                f"to {request.host}" if is_google_host(request.host) else f"to {clean_line(request.path, 60)}"
            )
            recorder.overhear(request, answer.body[:MAX_OVERHEARD_BYTES])
        elif forwarding.size > MAX_RECORDED_BYTES:
            recorder.leave_out(f"because the answer has more than {MAX_RECORDED_BYTES:,} bytes")
        else:
            recorder.keep(RecordedExchange(number, forwarding.started, request, answer))


def read_request(scope: Scope, body: bytes) -> RecordedRequest:
    """A request as it came, with all its headers.

    Where it was sent to a server of another name, its host is the one of Vertex AI that serves the location of its path.
    """
    headers = text_headers(scope["headers"])
    path = scope["raw_path"].decode("latin-1")
    given = next((value for name, value in headers if name == "host"), "")
    host = given.rpartition(":")[0] if _PORT.search(given) else given
    if not is_google_host(host):
        host = host_for(path) or given
    return RecordedRequest(scope["method"], host, path, scope["query_string"].decode("latin-1"), headers, body)
