"""The model catalogue: the models of the real service and what each can do.

The cards are in `models.json`, in the format of `ModelCard`.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

Level = Literal["MINIMAL", "LOW", "MEDIUM", "HIGH"]
Medium = Literal["image", "audio", "video", "document"]
ReasoningPlace = Literal["content", "reasoning_content", "think_tags", "open_think_tag", "hidden"]

# The first Gemini generation with each of these.
THINKING_FROM = 2.5
LEVELS_FROM = SIGNATURES_FROM = 3.0

MAX_CHOICES = 8
"""The highest `n` of models that allow more than one choice (documented)."""

_LEVELS: tuple[Level, ...] = ("MINIMAL", "LOW", "MEDIUM", "HIGH")
_MEDIA: tuple[Medium, ...] = ("image", "audio", "video", "document")
_GEMINI = re.compile(r"(?:.*/)?gemini-(\d+(?:\.\d+)?)(?![\d.])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What is known of one model; None where nothing is known, and `source` names what is only assumed."""

    id: str
    """As sent in `model`: with its publisher, except for models that are deployed on an endpoint of their own."""
    family: str
    thinking: bool
    thinks_by_default: bool = False
    """Whether it thinks if the request does not say."""
    thinking_switch: str | None = None
    """The key of `chat_template_kwargs` that turns thinking on or off."""
    levels: tuple[Level, ...] = ()
    """The values of `thinking_level` that it takes, lowest first; empty for models that have budgets or neither."""
    default_level: Level | None = None
    budget_min: int | None = None
    """The lowest `thinking_budget` in tokens, 0 and -1 (dynamic) apart."""
    budget_max: int | None = None
    budget_zero_allowed: bool | None = None
    """Whether a budget of 0 turns thinking off; False where that is refused."""
    image_output: bool = False
    audio_output: bool | None = None
    input_media: tuple[Medium, ...] = ()
    """The media that it accepts besides text."""
    max_candidates: int | None = None
    """The highest `n`."""
    max_output_tokens: int | None = None
    context_tokens: int | None = None
    """The most tokens of input."""
    enforces_signatures: bool = False
    """Whether tool calls must come back with their thought signatures."""
    reasoning_in: ReasoningPlace = "hidden"
    """Where an answer has thoughts: in `content` when asked for, in `reasoning_content`, in `content` between think
    tags, in `content` before a closing tag that was never opened, or nowhere."""
    matched_stop: int | None = None
    """The token id in `matched_stop`; None for models whose answers have no such key."""
    retired: bool = False
    source: str
    """Where this comes from, and whether it is documented, observed or assumed."""


def find_model(name: str) -> ModelCard | None:
    """Return the card of the model with exactly this id."""
    return _by_id().get(name)


def describe_model(name: str) -> ModelCard | None:
    """Return the card of a model; of a Gemini without one, what its generation lets assume; else None.

    What cannot be assumed of an unknown model is left open: it takes all media and levels, and its limits are unknown.
    """
    known = find_model(name)
    number = generation(name)
    if known is not None or number is None:
        return known
    makes_images = "image" in name
    thinks = number >= THINKING_FROM or "thinking" in name
    has_levels = number >= LEVELS_FROM
    return ModelCard(
        id=name,
        family="gemini-image" if makes_images else f"gemini-{number:g}",
        thinking=thinks,
        thinks_by_default=thinks,
        levels=_LEVELS if has_levels else (),
        default_level="HIGH" if has_levels else None,
        image_output=makes_images,
        input_media=_MEDIA,
        enforces_signatures=number >= SIGNATURES_FROM and not makes_images,
        reasoning_in="content",
        source="assumed: as its generation",
    )


def all_models() -> tuple[ModelCard, ...]:
    """Return every card: Gemini first, newest to oldest, then the models of others."""
    return tuple(_by_id().values())


def generation(name: str) -> float | None:
    """Return the Gemini generation that a model id names, whether the model is known or not; None if it is no Gemini."""
    found = _GEMINI.match(name)
    return float(found[1]) if found else None


@cache
def _by_id() -> dict[str, ModelCard]:
    cards = json.loads(Path(__file__).with_name("models.json").read_text("utf-8"))
    found: dict[str, ModelCard] = {}
    for card in cards:
        values: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in card.items()}
        found[card["id"]] = ModelCard(**values)
    return found
