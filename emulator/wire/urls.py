"""URLs: the paths of chat completions and of the other routes, parsed into a `Target`, and the hosts that serve them."""

import re
from typing import NamedTuple

from emulator.suggestions import did_you_mean, find_near

# Documented: regional, global and multi-region locations, `openapi` and ids of self-deployed endpoints, v1 and v1beta1.
_ENDPOINT = r"/(v1|v1beta1)/projects/([^/]+)/locations/([^/]+)/endpoints/([^/]+)"
# With a base URL that ends in `/chat/completions?`, as published notebooks have it, newer clients put a slash before the `?`.
_CHAT = re.compile(_ENDPOINT + r"/(chat/completions)/?")
# Documented (embeddings, responses) and observed (completions), on the shared endpoint only.
_OTHER_ROUTE = re.compile(
    _ENDPOINT.replace("endpoints/([^/]+)", "endpoints/(openapi)") + r"/(embeddings|completions|responses)/?"
)
_GET_ENDPOINT = re.compile(_ENDPOINT)
# Documented: REST reference of v1beta1.
_STORED_RESPONSE = re.compile(r"/(v1beta1)/projects/([^/]+)/locations/([^/]+)/endpoints/(openapi)/(responses/[^/]+)")

_PROJECT = re.compile(r"/projects/([^/]+)")

CHAT = "chat/completions"

GLOBAL_HOST = "aiplatform.googleapis.com"
"""The host of the global location (documented), which serves the paths of other locations too (documented)."""
# Documented: the hosts of single regions, and those of the multi-regions `us` and `eu`.
_REGIONAL_HOST = re.compile(r"([a-z0-9-]+)-aiplatform\.googleapis\.com|aiplatform\.([a-z]+)\.rep\.googleapis\.com")
# Names that are often written, and resolve as every name below googleapis.com does, but serve nothing.
_NO_SERVICE = frozenset({"global", "us", "eu"})
# The form of all regions' names; a name of another form is no region.
_REGION = re.compile(r"[a-z]+(?:-[a-z]+)+[0-9]+")
_NO_ID = re.compile(r"[A-Z][A-Z0-9]*_[A-Z0-9_]*|None|NaN|null|undefined|.*[ ${}<>\[\]].*")
_HOSTS = f"its hosts are {GLOBAL_HOST} and, for a region, such as us-central1-{GLOBAL_HOST}"

VERTEX_HOSTS = (
    r"(?:[a-z0-9-]+-)?aiplatform\.(?:[a-z0-9-]+\.rep\.)?googleapis\.com|[a-z0-9.-]+\.prediction\.vertexai\.goog"
)
"""All hosts of Vertex AI, those of deployed endpoints included; an expression that JavaScript reads in the same way."""
_ANY_VERTEX_HOST = re.compile(VERTEX_HOSTS)
_LOCATION = re.compile(r"/locations/([a-z0-9-]+)/")


class Target(NamedTuple):
    """The parts of a URL; `method` is what follows the endpoint, empty for the endpoint itself."""

    api_version: str
    project: str
    location: str
    endpoint: str
    method: str = CHAT

    @property
    def is_openapi(self) -> bool:
        """Whether this is the shared endpoint, where a model needs its publisher (documented)."""
        return self.endpoint == "openapi"

    @property
    def is_unary(self) -> bool:
        """Whether the method answers with one message, so that its errors are bare objects (observed on GetEndpoint)."""
        return not self.method or "responses/" in self.method

    @property
    def is_routed(self) -> bool:
        """Whether a route serves it; others are answered by recordings only, and `method` is their whole path."""
        return not self.method.startswith("/")

    @property
    def rpc(self) -> str:
        """The service and method that errors name.

        Documented for chat and for the endpoint itself. Inferred for the other routes from the REST reference, which describes them as it
        describes Invoke; for stored responses, assumed.
        """
        match self.method:
            case "chat/completions":
                return "PredictionService.ChatCompletions"
            case "":
                return "EndpointService.GetEndpoint"
            case _:
                return "PredictionService.Invoke"

    @property
    def path(self) -> str:
        """The URL's path."""
        if not self.is_routed:
            return self.method
        endpoint = f"/{self.api_version}/projects/{self.project}/locations/{self.location}/endpoints/{self.endpoint}"
        return f"{endpoint}/{self.method}" if self.method else endpoint


class Host(NamedTuple):
    """What is known of a host of Vertex AI."""

    name: str
    """In lower case, without port."""
    location: str | None
    """The location that it serves; None if it serves none."""

    @property
    def is_wrong(self) -> bool:
        """Whether there is no service at this host."""
        return self.location is None

    def serves(self, location: str) -> bool:
        """Whether a path of a location is found at this host.

        Observed for two regions that differ. Unknown, and taken to be found: a path of the global location at a region's host.
        """
        return self.location is not None and (self.location in {"global", location} or location == "global")

    @property
    def advice(self) -> str:
        """The host to take instead of one at which there is no service."""
        location = self.name.removesuffix(f"-{GLOBAL_HOST}")
        if location not in _NO_SERVICE:
            return f"there is no service at {self.name}; {_HOSTS}"
        right = GLOBAL_HOST if location == "global" else f"aiplatform.{location}.rep.googleapis.com"
        return f"there is no service at {self.name}; locations/{location} is served at {right}"


def read_host(header: str) -> Host | None:
    """What a Host header says, if it is one of Vertex AI's; None for any other."""
    lowered = header.lower()
    if "aiplatform" not in lowered:
        return None
    name = lowered.partition(":")[0].rstrip(".")
    if name == GLOBAL_HOST:
        return Host(name, "global")
    found = _REGIONAL_HOST.fullmatch(name)
    if found is None:
        return None
    return Host(name, found[2] or (found[1] if _REGION.fullmatch(found[1]) else None))


def explain_foreign_host(header: str) -> str:
    """Why a Host header that names another service of Google's, or none, is not one of Vertex AI's; empty for other hosts.

    Whatever has `aiplatform` in it may be one, such as a private endpoint's.
    """
    name = header.lower().partition(":")[0].rstrip(".")
    if not name.endswith(".googleapis.com") or "aiplatform" in name:
        return ""
    label = name.partition(".")[0]
    region, dash, service = label.rpartition("-")
    meant = f"{region}{dash}{GLOBAL_HOST}"
    return f"Vertex AI is not at {name}; {did_you_mean(meant) if find_near(service, ['aiplatform']) else _HOSTS}"


def find_missing_id(target: Target) -> str | None:
    """The part of a URL in which a program has written what stands for no id, such as `None` or `{project}`; None if there is none."""
    return next((part for part in ("project", "location", "endpoint") if _NO_ID.fullmatch(getattr(target, part))), None)


def is_vertex_host(host: str) -> bool:
    """Whether a host, without its port, is one of Vertex AI's; case and a final dot do not matter."""
    return _ANY_VERTEX_HOST.fullmatch(host.rstrip(".").lower()) is not None


def host_for(path: str) -> str:
    """The host that serves the location of a path; empty if the path has none."""
    found = _LOCATION.search(path)
    if found is None:
        return ""
    if found[1] == "global":
        return GLOBAL_HOST
    return f"aiplatform.{found[1]}.rep.googleapis.com" if found[1] in _NO_SERVICE else f"{found[1]}-{GLOBAL_HOST}"


def parse_target(path: str) -> Target | None:
    """The target of a POST to a decoded URL path without its query; None if the path is not routed.

    A slash at the end does not matter (assumed).
    """
    found = _CHAT.fullmatch(path) or _OTHER_ROUTE.fullmatch(path)
    return Target(*found.groups()) if found else None


def parse_unrouted(path: str, project: str = "") -> Target:
    """The target of a path that no route serves; `project` is the one of a path that names none."""
    found = _PROJECT.search(path)
    return Target("", found[1] if found else project, "", "", path)


def parse_unary(verb: str, path: str) -> Target | None:
    """The target of a GET of the endpoint itself, or of a GET or DELETE of a stored response; None if the path is not routed."""
    if verb == "GET" and (found := _GET_ENDPOINT.fullmatch(path)):
        return Target(*found.groups())._replace(method="")
    if verb in {"GET", "DELETE"} and (found := _STORED_RESPONSE.fullmatch(path)):
        return Target(*found.groups())
    return None
