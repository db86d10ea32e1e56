"""Starting and stopping an emulator: in the foreground for `serve`, on a thread of its own for tests and programs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from emulator.running.listening import (
    Background,
    Interception,
    Listeners,
    Server,
    address_of,
    base_url,
    bind,
    build_server,
    reach,
    url_of,
)

if TYPE_CHECKING:
    from emulator.running.building import Conditions, RuleBuilder
    from emulator.running.emulator import Emulator, ScenarioPath, build_service
    from emulator.running.session import VertexSession

__all__ = [
    "Background",
    "Conditions",
    "Emulator",
    "Interception",
    "Listeners",
    "RuleBuilder",
    "ScenarioPath",
    "Server",
    "VertexSession",
    "address_of",
    "base_url",
    "bind",
    "build_server",
    "build_service",
    "reach",
    "url_of",
]
_LATE = {
    "Conditions": "building",
    "Emulator": "emulator",
    "RuleBuilder": "building",
    "ScenarioPath": "emulator",
    "VertexSession": "session",
    "build_service": "emulator",
}
"""What Python code asks for, and which module has it: `serve` starts without."""


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"emulator.running.{_LATE[name]}"), name)
