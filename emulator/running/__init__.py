"""Starting and stopping an emulator: in the foreground for `serve`, on a thread of its own for tests and programs."""

from emulator.running.building import Conditions, RuleBuilder
from emulator.running.emulator import Emulator, ScenarioPath, build_service
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
