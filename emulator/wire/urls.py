"""URLs: the paths of chat completions and of the other routes, parsed into a `Target`."""

import re
from typing import NamedTuple

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

CHAT = "chat/completions"


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
        endpoint = f"/{self.api_version}/projects/{self.project}/locations/{self.location}/endpoints/{self.endpoint}"
        return f"{endpoint}/{self.method}" if self.method else endpoint


def parse_target(path: str) -> Target | None:
    """The target of a POST to a decoded URL path without its query; None if the path is not routed.

    The host does not matter, and neither does a slash at the end (assumed).
    """
    found = _CHAT.fullmatch(path) or _OTHER_ROUTE.fullmatch(path)
    return Target(*found.groups()) if found else None


def parse_unary(verb: str, path: str) -> Target | None:
    """The target of a GET of the endpoint itself, or of a GET or DELETE of a stored response; None if the path is not routed."""
    if verb == "GET" and (found := _GET_ENDPOINT.fullmatch(path)):
        return Target(*found.groups())._replace(method="")
    if verb in {"GET", "DELETE"} and (found := _STORED_RESPONSE.fullmatch(path)):
        return Target(*found.groups())
    return None
