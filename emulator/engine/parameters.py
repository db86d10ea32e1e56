"""Parameters that Vertex ignores."""

from emulator.wire.shapes import UNKNOWN_EFFECT, ChatRequest
from emulator.wire.targets import Target

_KNOWN = frozenset(ChatRequest.__annotations__) | UNKNOWN_EFFECT


def list_ignored(request: ChatRequest, target: Target) -> list[str]:
    """The top-level keys that the documentation does not list, sorted. Those of open models and containers go to their server."""
    publisher, slash, _ = (request.get("model") or "").partition("/")
    is_google = target.is_openapi and (publisher == "google" or not slash)
    return sorted(request.keys() - _KNOWN) if is_google else []
