"""Requests that nothing routes: the 404 of their host, the nearest URL that is routed, and their entry in the journal."""

import re
from html import escape
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from emulator.engine.error_answers import refuse
from emulator.engine.timeline.timeline import refusal_timeline
from emulator.http.sending import Scope, Send, play_at_once
from emulator.redaction import clean_host, redact
from emulator.server.service import Service
from emulator.server.settings import CONTROL_PATH, Settings
from emulator.store.exchange import UnroutedRequest
from emulator.suggestions import did_you_mean
from emulator.wire.errors import Refusal
from emulator.wire.headers import header_text
from emulator.wire.urls import CHAT, Target

MAX_PATH = 2_000
"""Characters of an unrouted path that are looked at and kept."""

_ROUTES = (CHAT, "embeddings", "completions", "responses")
_HEALTH = ("", "health", "healthz", "livez", "readyz", "ready", "ping", "status")
"""What is asked for to learn whether a server is up."""
_LEAST_LIKENESS = 0.8
"""How like a route the end of a path must be to count as its misspelling, from 0 to 1."""
_GOOGLE = ".googleapis.com"
# Vertex's own hosts answer unrouted paths with a page (observed), others of Google with an error object.
_VERTEX_HOST = re.compile(r"(?:([a-z0-9-]+)-)?aiplatform\.(?:([a-z0-9-]+)\.rep\.)?googleapis\.com")
_CREDENTIAL_HOSTS = frozenset({"iamcredentials", "oauth2", "sts", "www"})
"""Hosts under googleapis.com that have some routes of their own here."""
_MULTI_REGIONS = frozenset({"us", "eu"})
_WRONG_PREFIXES = _MULTI_REGIONS | {"global"}
"""What does not stand before `-aiplatform`: these locations have hosts of another form (documented)."""


class Nearest(NamedTuple):
    """Why a request is not routed, and the nearest URL that is; the URL is empty where none is near."""

    explanation: str
    url: str


async def answer_unrouted(
    service: Service,
    scope: Scope,
    send: Send,
    explanation: str = "",
) -> None:
    """Answer with the 404 of the host, and add the request to the journal and the log; its body is not read.

    `explanation` takes the place of the nearest URL. A request whose path names no project belongs to the service's
    `default_session`.
    """
    headers = dict(scope["headers"])
    host = clean_host(headers.get(b"host", b"").decode("latin-1"))
    verb, path = scope["method"], redact(scope["path"][:MAX_PATH])
    name = host_name(host)
    nearest = Nearest(explanation, "")
    if not explanation:
        nearest = find_nearest(verb, path, f"{scope['scheme']}://{host}" if host else "", service.settings)
    refusal = not_found_at(name, scope["path"][:MAX_PATH])
    warnings = (f"{name} is not emulated",) if refusal.framing == "object" else ()
    timeline = refusal_timeline(
        refusal, (("x-emulator-explanation", header_text(f"{refusal.rule}: {nearest.explanation}")),)
    )
    project = _find_part(path, "projects")
    service.finish_unrouted(
        UnroutedRequest(
            number=service.store.next_number(),
            started=service.clock.now(),
            session=project or service.default_session,
            verb=verb,
            host=host,
            path=_printable(path),
            status=timeline.status,
            explanation=nearest.explanation,
            nearest_url=nearest.url,
            is_leak=is_foreign(name),
        )
    )
    await play_at_once(timeline, warnings, send)


def host_name(host: str) -> str:
    """The name in a Host header: without its port, in lower case; empty if there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_foreign(name: str) -> bool:
    """Whether a host belongs to a service of Google's of which nothing is emulated."""
    if not name.endswith(_GOOGLE) or _VERTEX_HOST.fullmatch(name):
        return False
    return name.removesuffix(_GOOGLE) not in _CREDENTIAL_HOSTS


def not_found_at(name: str, path: str) -> Refusal:
    """The 404 of a host: Google's page (observed), or an error object where it belongs to another service of Google's.

    The wording of the latter is that of services that speak gRPC (assumed).
    """
    if not name.endswith(_GOOGLE) or _VERTEX_HOST.fullmatch(name):
        return refuse("html_not_found", {"PATH": escape(path, quote=False)})
    return Refusal(404, "NOT_FOUND", "Method not found.", framing="object", rule="not_emulated")


def find_nearest(verb: str, path: str, origin: str, settings: Settings) -> Nearest:
    """Why nothing routes a request, and the URL that comes nearest: with the project and location of the path, else of the settings.

    `origin` is scheme and host as the client named them; empty if it named none.
    """
    name = host_name(origin.partition("://")[2])
    segments = [segment for segment in path.split("/") if segment]
    route = _find_route(segments)
    if is_foreign(name) and route is None:
        return Nearest(f"{name} is not emulated, only the OpenAI endpoint of Vertex AI is", "")
    target = _complete(path, name, route or CHAT, settings)
    url = quote(_find_origin(origin, name, target.location) + target.path, safe=":/[]")
    did_you = did_you_mean(f"POST {url}")
    if is_foreign(name):
        return Nearest(f"{name} is not emulated; {did_you}", url)
    if path.rstrip("/") == target.path:
        return Nearest(f"no such method; {did_you}", url)
    empty = [kind for kind in ("project", "location", "endpoint") if f"/{kind}s//" in path]
    if empty:
        return Nearest(f"no such path: the {empty[0]} is empty; {did_you}", url)
    if route is not None:
        return Nearest(f"no such path; {did_you}", url)
    last = segments[-1] if segments else ""
    if last == "models" and verb == "GET":
        return Nearest(f"no such path: this endpoint does not list its models; it answers POST {url}", url)
    if not name.endswith(_GOOGLE) and len(segments) <= 1 and last.lower() in _HEALTH:
        health = f"{origin}{CONTROL_PATH}health"
        return Nearest(f"no such path; GET {health} tells whether the emulator is up, and it answers POST {url}", url)
    return Nearest(f"no such path: only the OpenAI endpoint is emulated, which answers POST {url}", url)


def _find_route(segments: list[str]) -> str | None:
    """The route that a path ends in, misspelled perhaps, or that belongs behind an endpoint where it ends; None if there is none."""
    if segments[-2:-1] == ["endpoints"] or segments[-1:] == ["chat"]:
        return CHAT
    last = [segment.lower() for segment in segments[-2:]]
    for end in ("/".join(last), *last[-1:]):
        if end in _ROUTES:
            return end
    from difflib import get_close_matches  # noqa: PLC0415  # only mistakes need it

    for end in ("/".join(last), *last[-1:]):
        if near := get_close_matches(end, _ROUTES, 1, _LEAST_LIKENESS):
            return near[0]
    return None


def _complete(path: str, name: str, route: str, settings: Settings) -> Target:
    """The target of a route with what a path says of it, completed by its host and the settings."""
    found = _VERTEX_HOST.fullmatch(name)
    host_location = (found[1] or found[2] or "global") if found else settings.location
    return Target(
        "v1beta1" if path.startswith("/v1beta1/") else "v1",
        _find_part(path, "projects") or settings.project,
        _find_part(path, "locations") or host_location,
        # Only chat is served elsewhere than on the shared endpoint.
        (_find_part(path, "endpoints") if route == CHAT else "") or "openapi",
        route,
    )


def _find_origin(origin: str, name: str, location: str) -> str:
    """Scheme and host of a location's URLs: those of the request, unless its host is not the location's."""
    if not name.endswith(_GOOGLE):
        return origin
    found = _VERTEX_HOST.fullmatch(name)
    if found and found[1] not in _WRONG_PREFIXES:
        return f"https://{name}"
    if location in _MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{'' if location == 'global' else f'{location}-'}aiplatform.googleapis.com"


def _find_part(path: str, kind: str) -> str:
    """What follows a collection such as `projects` in a path; empty if it is not there, or empty there."""
    found = re.search(rf"/{kind}/([^/:]+)", path)
    return found[1] if found else ""


def _printable(path: str) -> str:
    """A decoded path on one line of ASCII: other characters are encoded again."""
    return quote(path, safe="/:@!$&'()*+,;=~[]{}")
