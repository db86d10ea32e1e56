"""How a server is set up."""

from dataclasses import dataclass
from typing import Literal

from emulator.catalogue.quirks import QuirkName
from emulator.engine.vetting import KnownModels
from emulator.scenario.rules import Vetting
from emulator.server.tokens import LIFETIME

Auth = Literal["any", "issued", "off"]
Fallback = Literal["miss", "default"]

SEEDED_MOMENT = 1_767_225_600.0
"""The time of every answer when a seed is given: 1 January 2026, 00:00 UTC, so that the same request gives the same bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line, or the one who starts a server, decides."""

    auth: Auth = "any"
    seed: str | None = None
    fallback: Fallback = "miss"
    strict_json: bool = False
    vetting: Vetting = "enforce"
    """What becomes of requests that Vertex refuses; a scenario's own `vetting` wins."""
    models: KnownModels = "any"
    """Which models are answered on the shared endpoint."""
    quirks: frozenset[QuirkName] = frozenset()
    control_token: str | None = None
    token_lifetime: int = LIFETIME
    """Seconds that the tokens of the token endpoints and of the metadata server live."""
    project: str = "demo"
    """The project that the metadata server names; the server answers to any."""
    journal_exchanges: int = 1_000
    """Exchanges kept, the oldest leave first."""
    journal_bytes: int = 64 * 1024 * 1024
    """Bytes of bodies kept, likewise."""
    body_bytes: int = 64 * 1024 * 1024
    """The largest request body that is read."""
