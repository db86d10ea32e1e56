"""The control path `/__emulator__/`: health, journal, explanations, verification, metrics, reset, scenarios. For tests and tools, not for the client under test."""

import hmac
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from emulator import __version__
from emulator.engine.quota import show_quotas
from emulator.engine.ruleset import CompiledRule
from emulator.errors import ScenarioError
from emulator.redaction import clean_line
from emulator.server.explaining import explain_exchange, state_before
from emulator.server.long_work import LongWork
from emulator.server.metrics import expose
from emulator.server.service import Service
from emulator.server.settings import CONTROL_PATH
from emulator.store.exchange import Entry, Exchange, UnroutedRequest
from emulator.store.interface import StoreUnreachableError, read_pushed_scenario
from emulator.suggestions import join
from emulator.wire.headers import header_text
from emulator.wire.json_text import dump, dump_in_pieces
from emulator.wire.requests import VERY_LARGE_BODY

_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
_PROBES = {f"{CONTROL_PATH}live", f"{CONTROL_PATH}ready"}
"""Paths for everybody: probes come from other machines and have no token, and learn nothing but that the server answers."""
_MAX_DIGITS = 20
_MAX_SCENARIO_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
"""How much of the journal is written at a time, and one exchange more."""


class Parameter(NamedTuple):
    """A query parameter of an operation."""

    name: str
    description: str
    kind: Literal["string", "integer", "boolean"] = "string"
    is_required: bool = False


class Operation(NamedTuple):
    """An operation of the control path: what it is reached by, what it takes, what it answers."""

    name: str
    """The method of `Control` that carries it out, and the operation's id."""
    methods: tuple[str, ...]
    path: str
    """Below the control path."""
    summary: str
    parameters: tuple[Parameter, ...] = ()
    body: str = ""
    """What the request's body is, empty if there is none."""
    status: int = 200
    """The status of a success; 204 has no body."""
    media_type: str = "application/json"
    errors: tuple[int, ...] = ()
    """Further statuses that it answers, each with an error as JSON."""


_SESSION = Parameter("session", "The project; all if it is left out.")
_ONE_SESSION = Parameter("session", "The project.", is_required=True)
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "health",
        ("GET",),
        "health",
        "Says that the server answers, its version, its scenarios and how many rules they have.",
    ),
    Operation("live", ("GET",), "live", "Says that the process answers; open to everybody."),
    Operation(
        "ready",
        ("GET",),
        "ready",
        "Says whether scenarios are read and the store can be reached; open to everybody.",
        errors=(503,),
    ),
    Operation(
        "journal",
        ("GET",),
        "journal",
        "Returns the exchanges, the oldest first.",
        (
            _SESSION,
            Parameter("rule", "The name of the rule that answered."),
            Parameter("outcome", "answer, refusal, miss, error, token or unrouted."),
            Parameter("number", "The number of an exchange.", "integer"),
            Parameter("after", "Only those behind this position.", "integer"),
            Parameter("limit", "Only so many, the last ones.", "integer"),
        ),
        errors=(400, 503),
    ),
    Operation(
        "explain",
        ("GET",),
        "explain",
        "Says of an exchange why this rule answered it and not the others, and what was sent.",
        (Parameter("number", "The number of the exchange.", "integer", is_required=True),),
        errors=(400, 404, 503),
    ),
    Operation(
        "verify",
        ("GET",),
        "verify",
        "Returns unanswered requests and rules that were not used as expected.",
        (_SESSION, Parameter("strict", "Whether every rule must have been used.", "boolean")),
        errors=(400, 503),
    ),
    Operation("verdicts", ("GET",), "verdicts", "Returns the verdicts on clients.", (_SESSION,), errors=(400, 503)),
    Operation(
        "quotas", ("GET",), "quotas", "Says what is left of a session's quotas.", (_ONE_SESSION,), errors=(400, 503)
    ),
    Operation(
        "metrics",
        ("GET",),
        "metrics",
        "Returns counters and histograms in Prometheus' text format.",
        media_type="text/plain",
        errors=(501,),
    ),
    Operation(
        "reset",
        ("POST",),
        "reset",
        "Forgets counters, flags, quotas, pushed scenarios and journal.",
        (_SESSION,),
        status=204,
        errors=(503,),
    ),
    Operation(
        "read_scenario",
        ("GET",),
        "scenario",
        "Says which rules answer a session or all others, how often each has answered, and which flags are set.",
        (_SESSION,),
        errors=(503,),
    ),
    Operation(
        "push_scenario",
        ("PUT", "POST"),
        "scenario",
        "Gives a session a scenario of its own, which takes the place of the server's.",
        (_ONE_SESSION, Parameter("file", "The file it comes from, which problems and rules are named by.")),
        body="The scenario as YAML.",
        status=204,
        errors=(400, 413, 503),
    ),
    Operation(
        "remove_scenario",
        ("DELETE",),
        "scenario",
        "Takes a session's own scenario away.",
        (_ONE_SESSION,),
        status=204,
        errors=(400, 503),
    ),
    Operation("openapi", ("GET",), "openapi.json", "Describes the control path as OpenAPI 3.1."),
)
"""All operations of the control path, in the order of the documentation; `openapi.json` is made of them."""


def build_control(service: Service, more: Sequence[Route] = ()) -> ASGIApp:
    """The control API of a service; `more` are routes of packages above this one, under the same access rules."""
    control = Control(service)
    routes = [
        Route(f"{CONTROL_PATH}{one.path}", getattr(control, one.name), methods=list(one.methods)) for one in OPERATIONS
    ]
    guard = Middleware(Guard, token=service.settings.control_token)
    return Starlette(
        routes=[*routes, *more],
        middleware=[guard],
        exception_handlers={404: _unknown, 405: _unknown, StoreUnreachableError: _unreachable},
    )


def describe_control() -> dict[str, Any]:
    """The control path as an OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        for method in one.methods:
            id_ = one.name if method == one.methods[0] else f"{one.name}_by_{method.lower()}"
            paths.setdefault(f"{CONTROL_PATH}{one.path}", {})[method.lower()] = _describe_operation(one, id_)
    error = {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message"],
                "properties": {
                    "message": {"type": "string"},
                    "problems": {"type": "array", "items": {"type": "object"}},
                },
            }
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vertex-emulator: the control path",
            "version": __version__,
            "description": "For tests and tools, not for the client under test. Loopback peers need no token, others the control token.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": error},
            "securitySchemes": {"controlToken": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"controlToken": []}],
    }


def _describe_operation(operation: Operation, id_: str) -> dict[str, Any]:
    def refer_to_error(status: int) -> dict[str, Any]:
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        return {"description": HTTPStatus(status).phrase, "content": content}

    schema = {"type": "string"} if operation.media_type == "text/plain" else {"type": "object"}
    success: dict[str, Any] = {"description": operation.summary}
    if operation.status != HTTPStatus.NO_CONTENT:
        success["content"] = {operation.media_type: {"schema": schema}}
    errors = operation.errors if f"{CONTROL_PATH}{operation.path}" in _PROBES else (*operation.errors, 403)
    described: dict[str, Any] = {
        "operationId": id_,
        "summary": operation.summary,
        "parameters": [
            {
                "name": one.name,
                "in": "query",
                "description": one.description,
                "required": one.is_required,
                "schema": {"type": one.kind},
            }
            for one in operation.parameters
        ],
        "responses": {str(operation.status): success, **{str(one): refer_to_error(one) for one in sorted(errors)}},
    }
    if operation.body:
        content = {"application/yaml": {"schema": {"type": "string"}}}
        described["requestBody"] = {"description": operation.body, "required": True, "content": content}
    return described


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
                refused = _error(403, message)
                if self._token and "text/html" in request.headers.get("accept", ""):
                    # A browser asks its user for a password then, which is the token.
                    refused.status_code, challenge = 401, 'Basic realm="vertex-emulator control token", charset="UTF-8"'
                    refused.headers["WWW-Authenticate"] = challenge
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _has_token(self, request: Request) -> bool:
        """Compare the bearer, or the password of Basic authentication, with the token, which clients send as UTF-8.

        The scheme is case-insensitive (RFC 9110). Browsers send a password again by themselves, so it counts only for pages of this host.
        """
        scheme, _, given = request.headers.get("authorization", "").strip().partition(" ")
        if not self._token or scheme.lower() not in {"bearer", "basic"}:
            return False
        if scheme.lower() == "basic":
            origin = request.headers.get("origin")
            try:
                if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
                    return False
                given = b64decode(given.strip(), validate=True).decode("latin-1").partition(":")[2]
            except ValueError:
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
        self._long_work = LongWork()

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
        """List exchanges, oldest first; `session`, `rule`, `outcome` and `number` filter them, `limit` keeps the last ones.

        `after` omits those up to a `position`, so that a client that polls the journal gets only new ones.
        """
        query = request.query_params
        unknown = sorted(set(query) - {"session", "rule", "outcome", "number", "limit", "after"})
        if unknown:
            return _error(
                400, f'unknown filter "{unknown[0]}"; expected session, rule, outcome, number, after or limit'
            )
        for name in ("limit", "after", "number"):
            if query.get(name) and not _is_number(query[name]):
                return _error(400, f'{name} is "{query[name]}"; expected a number')
        if (outcome := query.get("outcome")) is not None and outcome not in _OUTCOMES:
            return _error(400, f'outcome is "{clean_line(outcome)}"; expected {join(_OUTCOMES, "or")}')
        await self._service.store.refresh_journal()
        wanted = dict(query)
        limit, after = wanted.get("limit"), int(wanted.get("after") or 0)

        def find() -> Sequence[Entry]:
            entries = self._service.journal.entries
            found = [entry for entry in entries if entry.position > after and _fits(entry, wanted)]
            return found[len(found) - min(int(limit), len(found)) :] if limit else found

        found = await self._long_work.do(find)
        return StreamingResponse(self._write_exchanges(found), media_type="application/json")

    async def explain(self, request: Request) -> Response:
        """Explain an exchange: the rules up to the one that answers, each condition wanted and got, and what was sent."""
        number = request.query_params.get("number", "")
        if not _is_number(number):
            return _error(400, "say which exchange: GET /__emulator__/explain?number=NUMBER")
        await self._service.store.refresh_all()
        entry = next((one for one in self._service.journal.entries if one.number == int(number)), None)
        if entry is None:
            return _error(404, f"exchange {number} is not in the journal, which keeps the last ones only")
        if not isinstance(entry, Exchange):
            kind = "a request that led nowhere" if isinstance(entry, UnroutedRequest) else "a token request"
            return _error(400, f"exchange {number} is {kind}, which no rule answers")
        service = self._service

        def work() -> dict[str, Any]:
            rules = service.rules_of(entry.session)
            state = state_before(entry, service.journal, rules, frozenset())
            return explain_exchange(entry, entry.facts, rules, state, self._service.fallback)

        return await self._answer(work)

    async def metrics(self, _request: Request) -> Response:
        """Report counters and histograms in Prometheus' text format."""
        try:
            text, media_type = await expose(self._service.metrics, self._service.store)
        except ImportError:
            return _error(501, "metrics need prometheus-client: pip install 'vertex-openai-emulator[metrics]'")
        return Response(text, media_type=media_type)

    async def openapi(self, _request: Request) -> Response:
        """Describe the control path as OpenAPI."""
        return _json(describe_control())

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

        def work() -> dict[str, Any]:
            found = self._service.verify(query.get("session"), strict=strict == "true")
            return {"passed": not found.problems, "unanswered": list(found.unanswered), "rules": list(found.rules)}

        return await self._answer(work)

    async def verdicts(self, request: Request) -> Response:
        """Report the verdicts on the clients of one session, or of all."""
        unknown = sorted(set(request.query_params) - {"session"})
        if unknown:
            return _error(400, f'unknown filter "{unknown[0]}"; expected session')
        await self._service.store.refresh_journal()
        project = request.query_params.get("session")
        return await self._answer(lambda: {"verdicts": list(map(asdict, self._service.verdicts(project)))})

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
        uses = dict(session.uses) if session else {}
        found = {
            "scenarios": list(ruleset.scenarios),
            "pushed": session.text if session else None,
            "flags": sorted(session.flags) if session else [],
        }

        def show(rule: CompiledRule) -> dict[str, Any]:
            return {
                "name": rule.name,
                "place": str(rule.place),
                "limit": rule.limit,
                "uses": uses.get(rule.key, 0),
            }

        return await self._answer(lambda: {**found, "rules": list(map(show, ruleset.rules))})

    async def push_scenario(self, request: Request) -> Response:
        """Set a session's own scenario: YAML in the body, the session and the file it comes from in the query."""
        project = request.query_params.get("session")
        if not project:
            return _error(400, "say for which project: PUT /__emulator__/scenario?session=PROJECT")
        file, body = request.query_params.get("file", ""), b""
        async for part in request.stream():
            body += part
            if len(body) > _MAX_SCENARIO_BYTES:
                return _error(413, f"a scenario may have {_MAX_SCENARIO_BYTES} bytes")
        try:
            text = body.decode("utf-8", "surrogateescape")
            async with self._long_work.turn():
                pushed = await self._long_work.run(read_pushed_scenario, project, text, file)
                await self._service.push_shared(project, pushed)
        except ScenarioError as error:
            problems = [
                {"file": one.place.file, "line": one.place.line, "column": one.place.column, "message": one.message}
                for one in error.problems
            ]
            return _error(400, str(error), problems=problems)
        warnings = pushed.ruleset.warnings
        return Response(
            status_code=204, headers={"x-emulator-warning": header_text("; ".join(warnings))} if warnings else None
        )

    async def remove_scenario(self, request: Request) -> Response:
        """Remove a session's own scenario."""
        project = request.query_params.get("session")
        if not project:
            return _error(400, "say for which project: DELETE /__emulator__/scenario?session=PROJECT")
        await self._service.push_shared(project, None)
        return Response(status_code=204)

    async def _answer(self, work: Callable[[], Any]) -> Response:
        """The result of some work as JSON, made in a thread."""
        return await self._long_work.do(lambda: _json(work()))

    async def _write_exchanges(self, exchanges: Sequence[Entry]) -> AsyncIterator[bytes]:
        """The journal's JSON, made piece by piece in a thread, so that it is never in memory as a whole."""
        pending = iter(exchanges)

        def write_some() -> bytes:
            written = bytearray()
            for exchange in pending:
                written += b","
                if isinstance(exchange, Exchange) and len(exchange.body) > VERY_LARGE_BODY:
                    written += b"".join(dump_in_pieces(exchange.to_json()))
                else:
                    written += dump(exchange.to_json(), infinite="strings")
                if len(written) > _PIECE_BYTES:
                    break
            return bytes(written)

        yield b'{"exchanges":['
        skipped = 1
        while True:
            piece = await self._long_work.do(write_some)
            if not piece:
                break
            yield piece[skipped:]
            skipped = 0
        yield b"]}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < _MAX_DIGITS


_OUTCOMES = ("answer", "refusal", "miss", "error", "token", "unrouted")
"""How a request can end, as the journal has it."""


def _fits(entry: Entry, query: dict[str, str]) -> bool:
    return (
        query.get("session") in {None, entry.session}
        and query.get("outcome") in {None, entry.result}
        and query.get("rule") in {None, entry.rule}
        and (not query.get("number") or int(query["number"]) == entry.number)
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
