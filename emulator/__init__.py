"""An offline emulator of Google Vertex AI's OpenAI-compatible Chat Completions endpoint."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.api.emulator import Emulator
    from emulator.api.session import VertexSession
    from emulator.server.settings import Settings

__all__ = ["Emulator", "Settings", "VertexSession", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # The server is imported when somebody asks for it: the command line's help and the pytest plugin stay light.
    if name == "Emulator":
        from emulator.api.emulator import Emulator  # noqa: PLC0415  # as said above

        return Emulator
    if name == "VertexSession":
        from emulator.api.session import VertexSession  # noqa: PLC0415  # as said above

        return VertexSession
    if name == "Settings":
        from emulator.server.settings import Settings  # noqa: PLC0415  # as said above

        return Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
