"""Directives: steps of a reply that are about time and faults instead of content.

They pass through rendering unchanged, become marks of the timeline, and are carried out by `pace` and `faults`.
"""

from dataclasses import dataclass

from emulator.scenario.faults import Cut, Garble, PlacedFail, SmallWrites, Stall
from emulator.wire.errors import Refusal


class Directive:
    """Base class of all directives."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class CompiledPace:
    """How fast an answer is sent, in seconds."""

    first: float = 0.0
    """Delay of the first token."""
    per_token: float = 0.0
    """Delay between tokens."""
    every: float = 0.0
    """Delay between chunks."""
    jitter: float = 0.0
    """How much each delay varies: 0.2 is up to 20 % more or less."""

    @property
    def takes_time(self) -> bool:
        """Whether it delays anything."""
        return bool(self.first or self.per_token or self.every)


@dataclass(frozen=True, slots=True)
class Pause(Directive):
    """A delay."""

    seconds: float


@dataclass(frozen=True, slots=True)
class PaceChange(Directive):
    """Another pace from here on; None for the pace of the whole answer."""

    compiled_pace: CompiledPace | None


@dataclass(frozen=True, slots=True)
class HiddenText(Directive):
    """Thoughts that take time, but are not shown."""

    weight: int
    """Bytes of text."""


@dataclass(frozen=True, slots=True)
class Fault(Directive):
    """A fault that occurs: at its position if it is a step of the reply, else where its effect says."""

    effect: Cut | Stall | Garble | PlacedFail | SmallWrites
    refusal: Refusal | None = None
    """The error of `fail`."""
