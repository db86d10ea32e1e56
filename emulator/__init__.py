"""An offline emulator of Google Vertex AI's OpenAI-compatible Chat Completions endpoint."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.api.emulator import Emulator
    from emulator.api.session import VertexSession
    from emulator.server.settings import Settings

__all__ = ["Emulator", "Settings", "VertexSession", "__version__"]
__version__ = "0.1.0"

# Imported on first use, so that the help of the command line and the pytest plugin stay light.
_MODULES = {
    "Emulator": "emulator.api.emulator",
    "Settings": "emulator.server.settings",
    "VertexSession": "emulator.api.session",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
