"""A finding: one thing a client did wrong, before it is known what else it did."""

from collections.abc import Callable, Iterator, Sequence

from emulator.engine.verdicts.observation import Observation
from emulator.values import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a client did wrong; findings that say the same become one verdict."""

    exchanges: tuple[int, ...]
    sentence: str
    is_harmless: bool = False
    """Whether Vertex lets it pass, so that what else is an error is only a warning."""


Find = Callable[[Sequence[Observation]], Iterator[Finding]]
"""What looks for one kind of fault in the exchanges of a session, the oldest first."""
