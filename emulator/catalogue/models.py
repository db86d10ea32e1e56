"""The model catalogue: the models of the real service, what each can do, where it is served and what it costs.

The cards are in `models.json`, in the format of `ModelCard`; their prices are in `prices.json`, in the format of `Price`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

Level = Literal["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"]
Medium = Literal["image", "audio", "video", "document"]
Parameter = Literal["frequency_penalty", "logprobs", "presence_penalty", "seed", "stop", "temperature", "top_p"]
Retirement = Literal["announced", "confirmed"]
ReasoningPlace = Literal["content", "reasoning_content", "think_tags", "open_think_tag", "hidden"]

# The first Gemini generation with each of these.
THINKING_FROM = 2.5
LEVELS_FROM = SIGNATURES_FROM = 3.0
FIXED_SAMPLING_FROM = 3.6
"""From this generation on a model decides about sampling itself, makes one choice, and refuses prefill (documented)."""

MAX_CHOICES = 8
"""The highest `n` of models that allow more than one choice (documented)."""

_LEVELS: tuple[Level, ...] = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")
_PENALTIES: tuple[Parameter, ...] = ("frequency_penalty", "presence_penalty")
_SAMPLING: tuple[Parameter, ...] = ("temperature", "top_p")
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
    """The highest `max_tokens`."""
    answer_tokens: int | None = None
    """The most tokens of one answer, where `max_tokens` may be higher."""
    context_tokens: int | None = None
    """The most tokens of input."""
    cache_tokens: int | None = None
    """The shortest prompt prefix, in tokens, that implicit caching finds again; None for no implicit caching."""
    explicit_caching: bool = True
    """Whether it takes `cached_content`."""
    locations: tuple[str, ...] = ()
    """Where it is served; for a retired model where it was; empty where that is not known."""
    chat: bool = True
    """Whether its card has chat completions; those without are answered nevertheless."""
    tools: bool = True
    """Whether it takes functions."""
    streams_arguments: bool = True
    """Whether `stream_function_call_arguments` has an effect."""
    answers_prefill: bool = True
    """Whether it goes on from a last message of the assistant."""
    office_documents: bool = False
    """Whether it reads Office and OpenDocument files."""
    refused_parameters: tuple[Parameter, ...] = ()
    """Parameters that are an error unless they have their default value."""
    ignored_parameters: tuple[Parameter, ...] = ()
    """Parameters that are accepted without effect."""
    enforces_signatures: bool = False
    """Whether tool calls must come back with their thought signatures."""
    reasoning_in: ReasoningPlace = "hidden"
    """Where an answer has thoughts: in `content` when asked for, in `reasoning_content`, in `content` between think
    tags, in `content` before a closing tag that was never opened, or nowhere."""
    matched_stop: int | None = None
    """The token id in `matched_stop`; None for models whose answers have no such key."""
    released: str | None = None
    """The day of its release, such as `2026-09-02`."""
    retires: str | None = None
    """The last day on which it is served, or the first one on which it may be retired."""
    retired: Retirement | None = None
    """Whether that day is past: `confirmed` if newer pages say that it is gone, `announced` if only the date is documented."""
    source: str
    """Where this comes from, and whether it is documented, observed or assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The prices of a model in USD for 1,000,000 tokens; thoughts cost as output does."""

    id: str
    input: float
    output: float
    cached: float | None = None
    """Of cached input; None where nothing is known."""
    audio_input: float | None = None
    image_output: float | None = None
    long_from_tokens: int | None = None
    """The prompt tokens from which the `long_` prices hold for all tokens of a request."""
    long_input: float | None = None
    long_cached: float | None = None
    long_output: float | None = None
    regional_multiplier: float = 1.0
    """The factor outside of the global location."""
    until: str | None = None
    """The last day of these prices, if a change is announced."""
    then: Mapping[str, Any] = field(default_factory=dict)
    """The announced prices: `from` with a day, `input`, `cached` and `output`."""
    source: str
    """Where this comes from, and whether it is documented, observed or assumed."""
    date: str
    """The day on which the source was read."""


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
    is_fixed = number >= FIXED_SAMPLING_FROM
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
        max_candidates=1 if is_fixed else None,
        answers_prefill=not is_fixed,
        refused_parameters=_PENALTIES if is_fixed else (),
        ignored_parameters=_SAMPLING if is_fixed else (),
        enforces_signatures=number >= SIGNATURES_FROM and not makes_images,
        reasoning_in="content",
        source="assumed: as its generation",
    )


def all_models() -> tuple[ModelCard, ...]:
    """Return every card: Gemini first, newest to oldest, then the models of others."""
    return tuple(_by_id().values())


def find_price(name: str) -> Price | None:
    """Return the prices of the model with exactly this id; None where they are not known."""
    return _prices().get(name)


def generation(name: str) -> float | None:
    """Return the Gemini generation that a model id names, whether the model is known or not; None if it is no Gemini."""
    found = _GEMINI.match(name)
    return float(found[1]) if found else None


@cache
def _prices() -> dict[str, Price]:
    prices = json.loads(Path(__file__).with_name("prices.json").read_text("utf-8"))
    return {price["id"]: Price(**price) for price in prices}


@cache
def _by_id() -> dict[str, ModelCard]:
    cards = json.loads(Path(__file__).with_name("models.json").read_text("utf-8"))
    found: dict[str, ModelCard] = {}
    for card in cards:
        values: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in card.items()}
        found[card["id"]] = ModelCard(**values)
    return found
