"""Where a request goes: the chat-completions URLs."""

import re
from dataclasses import dataclass
from functools import lru_cache

# Documented: regional, global and multi-region locations, `openapi` and ids of self-deployed endpoints, v1 and v1beta1.
_CHAT = re.compile(r"/(v1|v1beta1)/projects/([^/]+)/locations/([^/]+)/endpoints/([^/]+)/chat/completions")
_ENDPOINT = re.compile(r"/(v1|v1beta1)/projects/([^/]+)/locations/([^/]+)/endpoints/([^/]+)")


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a chat-completions URL."""

    api_version: str
    project: str
    location: str
    endpoint: str

    @property
    def is_openapi(self) -> bool:
        """Whether this is the shared endpoint, where a model needs its publisher (documented)."""
        return self.endpoint == "openapi"

    @property
    def path(self) -> str:
        """The URL's path."""
        return (
            f"/{self.api_version}/projects/{self.project}/locations/{self.location}"
            f"/endpoints/{self.endpoint}/chat/completions"
        )


@lru_cache(maxsize=512)
def parse_target(path: str) -> Target | None:
    """The target of a decoded URL path without its query, or None where nothing is routed; the host plays no part."""
    found = _CHAT.fullmatch(path)
    return Target(*found.groups()) if found else None


def parse_endpoint(path: str) -> Target | None:
    """The target of the unary method GetEndpoint, which answers errors as a bare object (observed)."""
    found = _ENDPOINT.fullmatch(path)
    return Target(*found.groups()) if found else None
