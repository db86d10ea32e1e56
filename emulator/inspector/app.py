"""The page under the control path: its static files, its event stream, and the JSON that it reads."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from emulator.engine.quota import show_quotas
from emulator.http.request_cycle import CONNECTION_KEY
from emulator.inspector.events import EventSource
from emulator.inspector.exports import EXPORTS, ExportError, export
from emulator.inspector.rows import make_row
from emulator.inspector.views import show_clients, show_exchange, show_options, show_rules
from emulator.server.control import build_control
from emulator.server.long_work import LongWork
from emulator.server.service import Service
from emulator.server.settings import CONTROL_PATH
from emulator.store.exchange import Entry, Exchange
from emulator.wire.json_text import dump

STATIC = Path(__file__).with_name("static")
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; media-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: its own files, and pictures and sound that stand in an exchange as `data:` URLs."""
PAGES = ("", "exchanges", "exchanges/{number}", "rules", "try", "clients")
"""The page's addresses below the control path."""
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_MAX_ROWS = 200
"""Rows that the page asks for at a time."""


def build_control_with_page(service: Service) -> ASGIApp:
    """The control path of a service with the page, under the same access rules."""
    return build_control(service, Inspector(service).routes)


def lead_browsers(otherwise: ASGIApp) -> ASGIApp:
    """An application that redirects browsers, which ask for HTML at `/`, to the page; all else goes to `otherwise`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in {"/", CONTROL_PATH.rstrip("/")} and scope["method"] in {"GET", "HEAD"}:
            headers = dict(scope["headers"])
            host = headers.get(b"host", b"").partition(b":")[0]
            if b"text/html" in headers.get(b"accept", b"") and not host.endswith(b".googleapis.com"):
                await RedirectResponse(CONTROL_PATH, 302)(scope, receive, send)
                return
        await otherwise(scope, receive, send)

    return app


class Inspector:
    """What the page asks of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._events = EventSource(service)
        self._long_work = LongWork()

    @property
    def routes(self) -> list[Route]:
        """The routes, below the control path."""
        data = f"{CONTROL_PATH}inspector/"
        return [
            *(Route(f"{CONTROL_PATH}{page}", self.page, methods=["GET"]) for page in PAGES),
            Route(f"{CONTROL_PATH}static/{{name:path}}", self.static, methods=["GET"]),
            Route(f"{CONTROL_PATH}events", self.events, methods=["GET"]),
            Route(f"{data}rows", self.rows, methods=["GET"]),
            Route(f"{data}exchanges/{{number:int}}", self.exchange, methods=["GET"]),
            Route(f"{data}exchanges/{{number:int}}/{{form}}", self.export, methods=["GET"]),
            Route(f"{data}rules", self.rules, methods=["GET"]),
            Route(f"{data}clients", self.clients, methods=["GET"]),
            Route(f"{data}options", self.options, methods=["GET"]),
            Route(f"{data}token", self.token, methods=["POST"]),
        ]

    async def page(self, _request: Request) -> Response:
        """The page, whatever its view: the view is read off the address."""
        return _file("index.html")

    async def static(self, request: Request) -> Response:
        """A file of the page."""
        return _file(request.path_params["name"])

    async def events(self, request: Request) -> Response:
        """Stream what happens as server-sent events."""
        connection = request.scope.get("extensions", {}).get(CONNECTION_KEY)
        stream = self._events.stream(request.headers.get("last-event-id", ""), connection)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"cache-control": "no-store"})

    async def rows(self, request: Request) -> Response:
        """The rows of the exchanges in `numbers`, with their words."""
        parts = request.query_params.get("numbers", "").split(",")[:_MAX_ROWS]
        numbers = {int(part) for part in parts if part.isascii() and part.isdecimal() and len(part) < 20}  # noqa: PLR2004  # digits of a 64-bit number
        entries = [entry for entry in self._service.journal.entries if entry.number in numbers]
        return await self._answer(lambda: {"rows": [make_row(entry) for entry in entries]})

    async def exchange(self, request: Request) -> Response:
        """Everything about one exchange."""
        entry = await self._find(request)
        if entry is None:
            return _not_kept(request.path_params["number"])
        return await self._answer(partial(show_exchange, self._service, entry))

    async def export(self, request: Request) -> Response:
        """One exchange as text to copy: `curl`, `python`, `rule` or `test`."""
        entry, form = await self._find(request), request.path_params["form"]
        if entry is None:
            return _not_kept(request.path_params["number"])
        if form not in EXPORTS or not isinstance(entry, Exchange):
            return _problem(
                404, f'there is no "{form}" of this exchange; expected one of {", ".join(EXPORTS)} of an exchange'
            )
        base = str(request.base_url).rstrip("/")
        try:
            text = await self._long_work.do(partial(export, form, entry, base, self._service.settings.auth))
        except ExportError as error:
            return _problem(409, str(error))
        return Response(text.encode("utf-8", "replace"), media_type="text/plain; charset=utf-8", headers=_HEADERS)

    async def rules(self, request: Request) -> Response:
        """The rules of a session, with their uses, and its quotas."""
        service, project = self._service, request.query_params.get("session") or None
        await service.store.refresh_all()
        compiled = (service.rules_of(project) if project else service.ruleset).quotas
        quotas = await show_quotas(service.store, compiled, project or "", service.clock.elapsed())
        return await self._answer(lambda: {**show_rules(service, project), "quotas": quotas})

    async def clients(self, request: Request) -> Response:
        """The verdicts on the clients of one session, or of all."""
        await self._service.store.refresh_journal()
        return await self._answer(partial(show_clients, self._service, request.query_params.get("session") or None))

    async def options(self, _request: Request) -> Response:
        """What requests can be composed of: models with their abilities, and the default project."""
        return await self._answer(partial(show_options, self._service))

    async def token(self, _request: Request) -> Response:
        """A token that the service accepts, for requests that the page sends."""
        return _json({"token": self._service.mint.issue(self._service.clock.now())})

    async def _find(self, request: Request) -> Entry | None:
        await self._service.store.refresh_journal()
        number = request.path_params["number"]
        return next((entry for entry in reversed(self._service.journal.entries) if entry.number == number), None)

    async def _answer(self, work: Callable[[], Any]) -> Response:
        """The result of some work as JSON, made in a thread."""
        return await self._long_work.do(lambda: _json(work()))


_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


@cache
def _files() -> dict[str, bytes]:
    """The page's files by their names: only these are served, whatever a path says."""
    return {path.relative_to(STATIC).as_posix(): path.read_bytes() for path in STATIC.rglob("*") if path.is_file()}


def _file(name: str) -> Response:
    data = _files().get(name)
    if data is None:
        return _problem(404, f'the page has no file "{name}"')
    return Response(data, headers={**_HEADERS, "content-type": _TYPES[Path(name).suffix]})


def _json(content: Any, status: int = 200) -> Response:
    return Response(dump(content, infinite="strings"), status, headers=_HEADERS, media_type="application/json")


def _problem(status: int, message: str) -> Response:
    return _json({"error": {"message": f"emulator: {message}"}}, status)


def _not_kept(number: int) -> Response:
    return _problem(
        404, f"exchange {number} is not in the journal; it keeps the last ones only, and none after a reset"
    )
