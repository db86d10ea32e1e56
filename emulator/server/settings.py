"""How a server is set up."""

from dataclasses import dataclass
from typing import Literal

from emulator.catalogue.quirks import QuirkName

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
    quirks: frozenset[QuirkName] = frozenset()
    control_token: str | None = None
    journal_exchanges: int = 1_000
    """Exchanges kept, the oldest leave first."""
    journal_bytes: int = 64 * 1024 * 1024
    """Bytes of bodies kept, likewise."""
    body_bytes: int = 64 * 1024 * 1024
    """The largest request body that is read."""
