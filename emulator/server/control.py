"""The control path `/__emulator__/`: health, journal, verification, reset, scenarios. For tests and tools, not for the client under test."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from emulator import __version__
from emulator.engine.quota import show_quotas
from emulator.errors import ScenarioError
from emulator.server.service import Service
from emulator.server.settings import CONTROL_PATH
from emulator.store.exchange import Entry
from emulator.store.interface import StoreUnreachableError, read_pushed_scenario
from emulator.wire.json_text import dump

_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
_PROBES = {f"{CONTROL_PATH}live", f"{CONTROL_PATH}ready"}
"""Paths for everybody: probes come from other machines and have no token, and learn nothing but that the server answers."""
_MAX_DIGITS = 20
_MAX_SCENARIO_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
"""How much of the journal is written at a time, and one exchange more."""


def build_control(service: Service) -> ASGIApp:
    """The control API of a service."""
    control = Control(service)
    routes = [
        Route(f"{CONTROL_PATH}health", control.health, methods=["GET"]),
        Route(f"{CONTROL_PATH}live", control.live, methods=["GET"]),
        Route(f"{CONTROL_PATH}ready", control.ready, methods=["GET"]),
        Route(f"{CONTROL_PATH}journal", control.journal, methods=["GET"]),
        Route(f"{CONTROL_PATH}verify", control.verify, methods=["GET"]),
        Route(f"{CONTROL_PATH}verdicts", control.verdicts, methods=["GET"]),
        Route(f"{CONTROL_PATH}quotas", control.quotas, methods=["GET"]),
        Route(f"{CONTROL_PATH}reset", control.reset, methods=["POST"]),
        Route(f"{CONTROL_PATH}scenario", control.read_scenario, methods=["GET"]),
        Route(f"{CONTROL_PATH}scenario", control.push_scenario, methods=["PUT", "POST"]),
        Route(f"{CONTROL_PATH}scenario", control.remove_scenario, methods=["DELETE"]),
    ]
    guard = Middleware(Guard, token=service.settings.control_token)
    return Starlette(
        routes=routes,
        middleware=[guard],
        exception_handlers={404: _unknown, 405: _unknown, StoreUnreachableError: _unreachable},
    )


class Guard:
    """ASGI middleware that admits loopback peers with a local Host and no foreign Origin, and holders of the control token."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer requests that are not admitted with 403."""
        if scope["type"] == "http" and scope["path"] not in _PROBES:
            request = Request(scope)
            if not (self._has_token(request) or _is_local(request)):
                message = (
                    "the control path answers only loopback peers with a local Host and no foreign Origin, "
                    "or a bearer of the control token (--control-token)"
                )
                await _error(403, message)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _has_token(self, request: Request) -> bool:
        """Compare the bearer with the token, which clients send as UTF-8; the scheme is case-insensitive (RFC 9110)."""
        scheme, _, given = request.headers.get("authorization", "").strip().partition(" ")
        if not self._token or scheme.lower() != "bearer":
            return False
        # Starlette has decoded the header's bytes as latin-1; an undecodable byte of the command line is a surrogate.
        wanted = self._token.strip().encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given.strip().encode("latin-1"), wanted)


def _is_local(request: Request) -> bool:
    origin = request.headers.get("origin")
    return (
        request.client is not None
        and (request.client.host.startswith("127.") or request.client.host == "::1")
        and _host_of(f"//{request.headers.get('host', '')}") in _LOCAL_NAMES
        and (origin is None or _host_of(origin) in _LOCAL_NAMES)
    )


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


class Control:
    """The operations of the control API."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._working = asyncio.Lock()
        """Held by what works for long, in a thread: one at a time, so that requests get their turns."""

    async def health(self, _request: Request) -> Response:
        """Report that the server is up, with its version and scenarios."""
        ruleset = self._service.ruleset
        return _json(
            {
                "status": "ok",
                "version": __version__,
                "scenarios": list(ruleset.scenarios),
                "rules": len(ruleset.rules),
            }
        )

    async def live(self, _request: Request) -> Response:
        """Report that the process answers."""
        return _json({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """Report whether scenarios are read and the store can be reached; 503 if not."""
        await self._service.store.check()
        return _json({"status": "ok"})

    async def journal(self, request: Request) -> Response:
        """List exchanges, oldest first; `session`, `rule` and `outcome` filter them, `limit` keeps the last ones.

        `after` omits those up to a `position`, so that a client that polls the journal gets only new ones.
        """
        query = request.query_params
        unknown = sorted(set(query) - {"session", "rule", "outcome", "limit", "after"})
        if unknown:
            return _error(400, f'unknown filter "{unknown[0]}"; expected session, rule, outcome, after or limit')
        for name in ("limit", "after"):
            if query.get(name) and not _is_number(query[name]):
                return _error(400, f'{name} is "{query[name]}"; expected a number')
        await self._service.store.refresh_journal()
        limit, after = query.get("limit"), int(query.get("after") or 0)
        found = [exchange for exchange in self._service.journal.entries if exchange.position > after]
        found = [exchange for exchange in found if _fits(exchange, dict(query))]
        if limit:
            found = found[len(found) - min(int(limit), len(found)) :]
        return StreamingResponse(self._write_exchanges(found), media_type="application/json")

    async def verify(self, request: Request) -> Response:
        """Report unanswered requests and unmet rule expectations of a session, or of all; `strict=true` requires every rule to be used."""
        query = request.query_params
        unknown = sorted(set(query) - {"session", "strict"})
        if unknown:
            return _error(400, f'unknown parameter "{unknown[0]}"; expected session or strict')
        strict = query.get("strict", "false")
        if strict not in {"true", "false"}:
            return _error(400, f'strict is "{strict}"; expected true or false')
        await self._service.store.refresh_all()
        found = self._service.verify(query.get("session"), strict=strict == "true")
        return _json({"passed": not found.problems, "unanswered": list(found.unanswered), "rules": list(found.rules)})

    async def verdicts(self, request: Request) -> Response:
        """Report the verdicts on the clients of one session, or of all."""
        unknown = sorted(set(request.query_params) - {"session"})
        if unknown:
            return _error(400, f'unknown filter "{unknown[0]}"; expected session')
        await self._service.store.refresh_journal()
        async with self._working:
            found = await asyncio.to_thread(self._service.verdicts, request.query_params.get("session"))
        return _json({"verdicts": [asdict(verdict) for verdict in found]})

    async def quotas(self, request: Request) -> Response:
        """Report what is left of a session's quotas."""
        project = request.query_params.get("session")
        if not project:
            return _error(400, "say for which project: GET /__emulator__/quotas?session=PROJECT")
        service = self._service
        await service.store.refresh_all()
        found = await show_quotas(service.store, service.rules_of(project).quotas, project, service.clock.elapsed())
        return _json({"quotas": found})

    async def reset(self, request: Request) -> Response:
        """Reset counters, flags, quotas, pushed scenarios and journal of one session, or of all."""
        await self._service.store.reset(request.query_params.get("session"))
        return Response(status_code=204)

    async def read_scenario(self, request: Request) -> Response:
        """Report the rules of a session (its own scenario's or the server's), with uses and flags."""
        project = request.query_params.get("session")
        await self._service.store.refresh_all()
        session = self._service.sessions.find(project) if project else None
        ruleset = self._service.rules_of(project) if project else self._service.ruleset
        rules = [{"name": rule.name, "place": str(rule.place), "limit": rule.limit} for rule in ruleset.rules]
        uses = session.uses if session else {}
        for rule, compiled in zip(rules, ruleset.rules, strict=True):
            rule["uses"] = uses.get(compiled.key, 0)
        pushed = session.text if session else None
        flags = sorted(session.flags) if session else []
        return _json({"scenarios": list(ruleset.scenarios), "pushed": pushed, "flags": flags, "rules": rules})

    async def push_scenario(self, request: Request) -> Response:
        """Set a session's own scenario: YAML in the body, the session in the query."""
        project = request.query_params.get("session")
        if not project:
            return _error(400, "say for which project: PUT /__emulator__/scenario?session=PROJECT")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MAX_SCENARIO_BYTES:
                return _error(413, f"a scenario may have {_MAX_SCENARIO_BYTES} bytes")
        try:
            text = body.decode("utf-8", "surrogateescape")
            async with self._working:
                pushed = await asyncio.to_thread(read_pushed_scenario, project, text)
                await self._service.push_shared(project, pushed)
        except ScenarioError as error:
            problems = [
                {"file": one.place.file, "line": one.place.line, "column": one.place.column, "message": one.message}
                for one in error.problems
            ]
            return _error(400, str(error), problems=problems)
        return Response(status_code=204)

    async def remove_scenario(self, request: Request) -> Response:
        """Remove a session's own scenario."""
        project = request.query_params.get("session")
        if not project:
            return _error(400, "say for which project: DELETE /__emulator__/scenario?session=PROJECT")
        await self._service.push_shared(project, None)
        return Response(status_code=204)

    async def _write_exchanges(self, exchanges: Sequence[Entry]) -> AsyncIterator[bytes]:
        """The journal's JSON, made piece by piece in a thread, so that it is never in memory as a whole."""
        pending = iter(exchanges)

        def write_some() -> bytes:
            written = bytearray()
            for exchange in pending:
                written += b"," + dump(exchange.to_json(), infinite="strings")
                if len(written) > _PIECE_BYTES:
                    break
            return bytes(written)

        yield b'{"exchanges":['
        skipped = 1
        while True:
            async with self._working:
                piece = await asyncio.to_thread(write_some)
            if not piece:
                break
            yield piece[skipped:]
            skipped = 0
        yield b"]}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < _MAX_DIGITS


def _fits(entry: Entry, query: dict[str, str]) -> bool:
    return (
        query.get("session") in {None, entry.session}
        and query.get("outcome") in {None, entry.result}
        and query.get("rule") in {None, entry.rule}
    )


def _json(content: Any, status: int = 200) -> Response:
    """A response with JSON that every parser reads, whatever texts and numbers are in it."""
    return Response(dump(content, infinite="strings"), status, media_type="application/json")


def _error(status: int, message: str, **more: Any) -> Response:
    return _json({"error": {"message": f"emulator: {message}", **more}}, status)


async def _unreachable(_request: Request, error: Exception) -> Response:
    return _error(503, str(error))


async def _unknown(request: Request, _error_raised: Exception) -> Response:
    return _error(404, f"no {request.method} {request.url.path} under the control path; see docs/control.md")
