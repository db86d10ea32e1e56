"""Cues: what a reply says about time and mishaps, between the parts that are said.

They pass through composing and rendering as they are, become marks of the timeline, and are followed by pacing and faults.
"""

from dataclasses import dataclass

from emulator.scenario.faults import Cut, Garble, PlacedFail, SmallWrites, Stall
from emulator.wire.errors import Refusal


class Directive:
    """One direction."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class CompiledPace:
    """How fast an answer comes, in seconds."""

    first: float = 0.0
    """Until the first token."""
    per_token: float = 0.0
    """From one token to the next."""
    every: float = 0.0
    """From one chunk to the next."""
    jitter: float = 0.0
    """How much each wait may differ: 0.2 is up to 20 % more or less."""

    @property
    def takes_time(self) -> bool:
        """Whether there is anything to wait for."""
        return bool(self.first or self.per_token or self.every)


@dataclass(frozen=True, slots=True)
class Pause(Directive):
    """Time that passes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class PaceChange(Directive):
    """Another tempo from here on; None for that of the whole answer."""

    compiled_pace: CompiledPace | None


@dataclass(frozen=True, slots=True)
class HiddenText(Directive):
    """Thoughts that take their time, but are not shown."""

    weight: int


@dataclass(frozen=True, slots=True)
class Fault(Directive):
    """A mishap that happens; as a step where it stands, else where its effect says."""

    effect: Cut | Stall | Garble | PlacedFail | SmallWrites
    refusal: Refusal | None = None
    """What `fail` answers."""
