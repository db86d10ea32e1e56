"""The pace catalogue: named speeds at which answers are sent. All figures are assumed, as round values."""

from dataclasses import dataclass
from typing import Literal, get_args

PaceName = Literal[
    "instant", "gemini-flash", "gemini-flash-lite", "gemini-pro", "gemini-pro-thinking", "open-model", "slow-train"
]


@dataclass(frozen=True, slots=True)
class PaceProfile:
    """One pace; a value that is None adds no delay."""

    name: PaceName
    effect: str
    first_token_ms: float | None = None
    tokens_per_second: float | None = None
    jitter: float | None = None


PACES: dict[PaceName, PaceProfile] = {
    pace.name: pace
    for pace in (
        PaceProfile("instant", "no time passes"),
        PaceProfile("gemini-flash", "a quick model", 350, 200, 0.2),
        PaceProfile("gemini-flash-lite", "a very quick model", 250, 350, 0.2),
        PaceProfile("gemini-pro", "a large model", 900, 100, 0.2),
        PaceProfile("gemini-pro-thinking", "a large model that thinks for a while before it speaks", 8_000, 100, 0.3),
        PaceProfile("open-model", "an open model on a shared endpoint", 600, 60, 0.3),
        PaceProfile("slow-train", "a bad line: long waits, a few tokens at a time", 2_500, 8, 0.8),
    )
}

PACE_NAMES: tuple[PaceName, ...] = get_args(PaceName)
