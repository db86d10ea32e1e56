"""An offline emulator of Google Vertex AI's OpenAI-compatible Chat Completions endpoint."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # pip refuses to install it there, but a checkout can be run
    sys.exit(f"vertex-openai-emulator needs Python 3.11 or newer; this is {sys.version.split()[0]} ({sys.executable})")

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.api.emulator import Emulator
    from emulator.api.session import VertexSession
    from emulator.engine.request.facts import Facts
    from emulator.server.settings import Settings

__all__ = ["Emulator", "Facts", "Settings", "VertexSession", "__version__"]
__version__ = "0.1.0"

# Imported on first use, so that the help of the command line and the pytest plugin stay light.
_MODULES = {
    "Emulator": "emulator.api.emulator",
    "Facts": "emulator.engine.request.facts",
    "Settings": "emulator.server.settings",
    "VertexSession": "emulator.api.session",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
