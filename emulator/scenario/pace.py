"""Pace: how fast an answer comes."""

from typing import Annotated

from pydantic import Field, Tag

from emulator.catalogue.paces import PaceName
from emulator.scenario.types import Model, by_shape

MAX_MILLISECONDS = 86_400_000
"""The longest time that an answer waits: a day."""
Milliseconds = Annotated[float, Field(ge=0, le=MAX_MILLISECONDS, allow_inf_nan=False)]


class Pace(Model):
    """How fast an answer comes; what is not given takes no time."""

    profile: PaceName | None = None
    """A pace by name, from which the other keys depart."""
    first_token_ms: Milliseconds | None = None
    """Milliseconds until the first token."""
    tokens_per_second: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Tokens that follow each second; an answer has as many as its usage says, thoughts included. A chunk comes when its last token is there."""
    every_ms: Milliseconds | None = None
    """Milliseconds between one chunk and the next, instead of `tokens_per_second`."""
    jitter: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    """How much each wait may differ: 0.2 is up to 20 % more or less; seeded."""


PaceSetting = Annotated[
    Annotated[PaceName, Tag("<text>")] | Annotated[Pace, Tag("<mapping>")],
    by_shape("the name of a pace, or a mapping"),
]
"""A pace by name, or as a mapping."""


class Paced(Model):
    """What steps that say something have."""

    pace: PaceSetting | None = None
    """How fast this step comes, whatever holds for the others; it is streamed in chunks of its own."""
