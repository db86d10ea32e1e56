"""Variations for sweeps: ways in which the service misbehaves, each as additions to a server's settings.

Delays are some seconds long, so that a client with usual timeouts survives them; `speed` shortens them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Literal, get_args

from emulator.catalogue.errors import entry
from emulator.catalogue.faults import FAULTS
from emulator.catalogue.quirks import QUIRKS, QuirkName

SetName = Literal["faults", "quirks", "errors", "slow", "all"]
SET_NAMES: tuple[SetName, ...] = get_args(SetName)

_FIRST = "first=1"
_FOR_EVER = "stall=forever"
_LENIENT: frozenset[QuirkName] = frozenset({"bare_models", "signatures_off", "signatures_warn"})
"""Quirks that affect no client: with them the service only refuses less."""
_TRANSIENT = {
    "429": "resource_exhausted",
    "500": "internal",
    "503": "unavailable",
    "504": "deadline_exceeded",
    "401_expired": "expired_token",
}
"""Errors after which a retry of the same request can succeed; the last one with a new token."""
_PERMANENT = {
    "400": "generic_invalid_argument",
    "403": "permission_denied_predict",
    "404": "publisher_model_not_found",
    "404_page": "html_not_found",
}


@dataclass(frozen=True, slots=True)
class Variation:
    """One variation: its name, what a client sees, and its settings."""

    name: str
    effect: str
    faults: tuple[str, ...] = ()
    """As `--fault` takes them."""
    quirks: frozenset[QuirkName] = frozenset()
    pace: str | None = None
    """As `--pace` takes it."""
    speed: float | None = None

    def once(self) -> "Variation":
        """The same with faults only in the first use of each rule, so that a retry succeeds."""
        faults = tuple(fault if _FIRST in fault else f"{fault},{_FIRST}" for fault in self.faults)
        return replace(self, faults=faults)

    def with_limit(self, seconds: float) -> "Variation":
        """The same with answers that stall for so long instead of for ever; itself if none do."""
        faults = tuple(fault.replace(_FOR_EVER, f"stall={seconds * 1000:.0f}") for fault in self.faults)
        return self if faults == self.faults else replace(self, faults=faults)


@cache
def variations_of(name: SetName) -> tuple[Variation, ...]:
    """The variations of a set."""
    match name:
        case "faults":
            return tuple(Variation(one.name, one.effect, (_write(one.written),)) for one in FAULTS.values())
        case "quirks":
            chosen = (one for one in QUIRKS.values() if one.name not in _LENIENT)
            return tuple(Variation(one.name, one.effect, quirks=frozenset({one.name})) for one in chosen)
        case "errors":
            return tuple(_errors())
        case "slow":
            return _SLOW
        case "all":
            return tuple(one for other in SET_NAMES[:-1] for one in variations_of(other))


def choose_variations(
    names: Sequence[str] = (), only: Sequence[str] = (), without: Sequence[str] = (), *, once: bool = False
) -> tuple[Variation, ...]:
    """The variations of sets, or those named, each once, of which at least one of the globs in `only` holds and none in `without`.

    Without names those of all sets if there are globs, else the faults. With `once` faults occur only in the first use of each rule.
    Raises KeyError for an unknown name.
    """
    known = {one.name: one for one in variations_of("all")}
    found: dict[str, Variation] = {}
    for name in names or (("all",) if only else ("faults",)):
        several = variations_of(name) if name in SET_NAMES else (known[name],)
        found |= {one.name: one for one in several if not only or any(fnmatchcase(one.name, glob) for glob in only)}
    found = {name: one for name, one in found.items() if not any(fnmatchcase(name, glob) for glob in without)}
    if not once:
        return tuple(found.values())
    # Variations that occur only at first anyway are then there twice; one of the two is dropped.
    first = [one.once() for one in found.values()]
    return tuple({(one.faults, one.quirks, one.pace): one for one in reversed(first)}.values())[::-1]


def _write(fault: dict[str, object]) -> str:
    return ",".join(f"{key}={value}" for key, value in fault.items())


def _errors() -> Iterator[Variation]:
    for name, error in (_TRANSIENT | _PERMANENT).items():
        found = entry(error)
        what = f"{found.http_status} {found.status or 'as a page of HTML'}"
        yield Variation(name, f"{what}, whatever is asked", (f"fail={error}",))
        if name in _TRANSIENT:
            yield Variation(f"{name}_once", f"{what} at first, then the answer", (f"fail={error},{_FIRST}",))


_SLOW = (
    Variation("slow_first_token", "three seconds until the first token", pace="first_token_ms=3000"),
    Variation("slow_stream", "twenty tokens a second", pace="tokens_per_second=20"),
    Variation("pause_before_headers", "three seconds until anything comes", ("stall=3000,at=before_headers",)),
    Variation("pause_mid_stream", "three seconds in which nothing comes in the middle of the answer", ("stall=3000",)),
    Variation(
        "pauses_mid_stream",
        "a second's pause behind the first chunk and one behind the second",
        ("stall=1000,after_chunks=1", "stall=1000,after_chunks=2"),
    ),
)
