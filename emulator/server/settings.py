"""Settings of a server."""

from dataclasses import dataclass
from typing import Literal, get_args

from emulator.catalogue.quirks import QUIRK_NAMES, QuirkName
from emulator.engine.vetting.context import KnownModels
from emulator.errors import StartError
from emulator.scenario.rules import Vetting
from emulator.server.tokens import LIFETIME
from emulator.suggestions import list_accepted, quote, suggest_one

Auth = Literal["any", "issued", "off"]
Fallback = Literal["miss", "default"]

CONTROL_PATH = "/__emulator__/"
"""Path prefix of the control API."""

SEEDED_MOMENT = 1_767_225_600.0
"""The time of every answer when a seed is given: 1 January 2026, 00:00 UTC, so that the same request gives the same bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a server, from the command line or from a program that starts one."""

    auth: Auth = "any"
    seed: str | None = None
    fallback: Fallback = "miss"
    strict_json: bool = False
    vetting: Vetting = "enforce"
    """How requests that Vertex refuses are treated; a scenario's own `vetting` wins."""
    models: KnownModels = "any"
    """Which models are answered on the shared endpoint."""
    quirks: frozenset[QuirkName] = frozenset()
    pace: str | None = None
    """How fast rules without a pace answer: a name (`slow-train`), or `first_token_ms=300,tokens_per_second=50`."""
    speed: float = 1.0
    """Factor by which all delays are shortened."""
    faults: tuple[str, ...] = ()
    """Faults of every answer: names (`reset_mid_stream`), or `cut=reset,after_chunks=2`."""
    control_token: str | None = None
    token_lifetime: int = LIFETIME
    """Seconds that the tokens of the token endpoints and of the metadata server live."""
    project: str = "demo"
    """The project that the metadata server names; the server answers to any."""
    location: str = "global"
    """The location of the URLs that are suggested; the server answers to any."""
    journal_exchanges: int = 1_000
    """Exchanges kept; the oldest are evicted first."""
    journal_bytes: int = 64 * 1024 * 1024
    """Bytes of bodies kept; the oldest are evicted first."""
    body_bytes: int = 64 * 1024 * 1024
    """The largest request body that is read."""
    request_timeout: float = 60.0
    """Seconds for a request's head to come, for its body, and for the next request on an open connection."""

    def __post_init__(self) -> None:
        """Raise StartError for an unknown word, because programs set these fields without the command line's checks."""
        if not self.request_timeout > 0:
            raise StartError(f"Settings: request_timeout must be more than 0 seconds, not {self.request_timeout}")
        for name, accepted in _WORDS.items():
            given = getattr(self, name)
            for word in given if isinstance(given, frozenset | set | list | tuple) else (given,):
                if word not in accepted:
                    message = f"Settings: {name} must be {list_accepted(str(word), accepted)}, not {quote(word)}"
                    raise StartError(message + suggest_one(str(word), accepted))


_WORDS: dict[str, tuple[str, ...]] = {
    "auth": get_args(Auth),
    "fallback": get_args(Fallback),
    "vetting": get_args(Vetting),
    "models": get_args(KnownModels),
    "quirks": QUIRK_NAMES,
}
"""Settings that take one or several of a fixed list of words."""
