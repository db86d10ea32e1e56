"""Recording one session of a running server: what its recordings do not have is asked upstream, recorded and added to the journal."""

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from emulator.engine.answer import Outcome
from emulator.engine.quota import QuotaTicket
from emulator.http.sending import Receive, Scope, Send
from emulator.recording.access_tokens import find_credentials
from emulator.recording.recorder import Recorder, RecordingApp
from emulator.recording.recording import RecordedExchange, RecordedRequest
from emulator.recording.replay import read_reply
from emulator.recording.upstream import Upstream
from emulator.server.service import Service
from emulator.store.exchange import Exchange, Played, summarize_request, without_credentials
from emulator.wire.urls import host_for, parse_target, parse_unary, parse_unrouted

_PROJECT = re.compile(r"(?<=/projects/)[^/]+")
_LOCATION = re.compile(r"(?<=/locations/)[^/]+")
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_BEARER = "Bearer "


@dataclass(frozen=True, slots=True)
class Access:
    """Whose credentials requests get that come with a token of the emulator's own, and which project and location they are for."""

    project: str = ""
    """Empty to leave that of the request."""
    location: str = ""
    """Empty to leave that of the request."""
    get_token: Callable[[], str] | None = None
    """Returns an access token; None to leave that of the request."""


def find_access(environment: Mapping[str, str] = os.environ) -> Access:
    """Access by the user's own credentials. Raises StartError if there are none."""
    credentials = find_credentials()
    return Access(
        environment.get("GOOGLE_CLOUD_PROJECT") or credentials.project,
        environment.get("GOOGLE_CLOUD_LOCATION", ""),
        credentials.get_token,
    )


class SessionRecorder:
    """Records the requests of one session."""

    def __init__(self, service: Service, project: str, folder: Path, upstream: str, access: Access) -> None:
        """`upstream` is the URL that is asked, empty for Google's own hosts. Raises StartError for a folder that is something else."""
        self._service = service
        self._project = project
        self._access = access
        self._recorder = _NotifyingRecorder(folder, upstream, environment=os.environ, on_keep=self._add_to_journal)
        link = Upstream(upstream, service.clock.elapsed)
        self._app = RecordingApp(link, self._recorder, service.clock, prepare=self._prepare)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._entering: asyncio.Future[Any] | None = None
        service.forwards[project] = self._forward

    @property
    def recorded(self) -> int:
        """How many exchanges with an answer have been recorded so far."""
        return self._recorder.ends.total() - self._recorder.ends["unreachable"]

    def close(self) -> None:
        """Record no more, and return once everything is written. Not to be called on the server's own thread."""
        self._service.forwards.pop(self._project, None)
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._app.__aexit__(), self._loop).result()
        self._recorder.close()

    async def _forward(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        if self._entering is None:
            self._loop = asyncio.get_running_loop()
            self._entering = asyncio.ensure_future(self._app.__aenter__())
        await self._entering
        await self._app.forward(scope, receive, send, body)

    def _prepare(self, request: RecordedRequest) -> RecordedRequest:
        """The request as it is sent upstream: a token of the emulator's replaced by a real one, and project and location too."""
        access = self._access
        if access.get_token is None:
            return request
        bearer = next((value for name, value in request.headers if name == "authorization"), "")
        if self._service.mint.read(bearer.removeprefix(_BEARER)) is None:
            return request
        path = request.path
        for pattern, value in ((_PROJECT, access.project), (_LOCATION, access.location)):
            if value:
                path = pattern.sub(quote(value, safe=""), path, count=1)
        others = tuple(pair for pair in request.headers if pair[0] != "authorization")
        headers = (*others, ("authorization", f"{_BEARER}{access.get_token()}"))
        return replace(request, path=path, host=host_for(path) or request.host, headers=headers)

    def _add_to_journal(self, recorded: RecordedExchange) -> None:
        """Add an exchange to the journal, as if a rule had answered it."""
        service, request, answer = self._service, recorded.request, recorded.answer
        target = (
            (parse_target(request.path) if request.method == "POST" else parse_unary(request.method, request.path))
            or parse_unrouted(request.path)
        )._replace(project=self._project)
        headers = without_credentials(
            [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
        )
        reply = read_reply(answer)
        number = service.store.next_number()
        exchange = Exchange(
            number,
            recorded.started.timestamp(),
            target,
            request.body,
            Outcome("answer", reply.timeline, None, reply.refusal, reply.usage, said=reply.said),
            (),
            QuotaTicket(number),
            answer.ended_at,
            Played("client left" if answer.end == "left" else "complete", len(answer.body)),
            asked=summarize_request(service.read_facts(target, headers, request.body)),
            headers=headers,
        )
        service.finish(exchange)


class _NotifyingRecorder(Recorder):
    """A recorder that tells of each exchange before it is written."""

    def __init__(
        self,
        folder: Path,
        upstream: str,
        *,
        environment: Mapping[str, str],
        on_keep: Callable[[RecordedExchange], object],
    ) -> None:
        super().__init__(folder, upstream, environment=environment)
        self._on_keep = on_keep

    def keep(self, exchange: RecordedExchange) -> None:
        """Write an exchange, and tell of it."""
        super().keep(exchange)
        self._on_keep(exchange)
