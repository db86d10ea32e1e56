"""Thinking options: `reasoning_effort`, `thinking_config` and `thought_tag_marker`, resolved for the request's model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from emulator.catalogue.models import Level, ModelCard
from emulator.engine.request.facts import Facts

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
"""The values of `reasoning_effort`."""
DYNAMIC = -1
"""The `thinking_budget` with which the model decides (documented: thinking)."""

_MAX_DIGITS = 20
_LEVEL_NAMES: tuple[Level, ...] = get_args(Level)
# Documented: overview (low, medium, high), notebook (none). Assumed: minimal is as low; xhigh is refused.
_BUDGET_OF = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
# Documented: Gemini 3 page; `none` is MINIMAL where the model has it. Assumed: `minimal` too; `xhigh` is XHIGH.
_LEVEL_OF: dict[str, Level] = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "XHIGH",
}
_CAMEL_CASE = {
    "include_thoughts": "includeThoughts",
    "thinking_budget": "thinkingBudget",
    "thinking_level": "thinkingLevel",
}


@dataclass(frozen=True, slots=True)
class Thinking:
    """The thinking options of a request, as written and as resolved for its model."""

    effort: str | None = None
    """`reasoning_effort` as written."""
    config: Any = None
    """`thinking_config` as written, its keys in snake case; None if there is none."""
    marker: str | None = None
    """`thought_tag_marker`."""
    level: Level | None = None
    """The resolved level, whether the model has it or not: the requested one, else the model's default; None with a budget."""
    budget: int | None = None
    """The resolved budget in tokens, -1 for dynamic; None if the model decides or has levels."""
    enabled: bool = False
    """Whether the model thinks; the switches of open models are not considered."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of `thinking_config` without those that are null; empty if it is no object."""
        return self.config if isinstance(self.config, dict) else {}

    @property
    def include_thoughts(self) -> bool:
        """Whether the answer is to include thoughts."""
        return bool(self.options.get("include_thoughts"))


def read_thinking(facts: Facts) -> Thinking:
    """Read `reasoning_effort`, and from `extra_body.google` `thinking_config` and `thought_tag_marker`.

    `thinking_config` and its keys are read in snake case (documented) and in camel case (observed in clients); snake case wins.
    Values that a model refuses are left to vetting, and ignored here.
    """
    google, effort = facts.google, facts.request.get("reasoning_effort")
    card = facts.card
    if effort is None and not google:
        return Thinking() if card is None else Thinking(level=card.default_level, enabled=card.thinks_by_default)
    marker = google.get("thought_tag_marker")
    config = _read_config(google)
    options = config if isinstance(config, dict) else {}
    level, budget = _resolve(options, effort, card)
    return Thinking(
        effort=effort,
        config=config,
        marker=marker if isinstance(marker, str) and marker else None,
        level=level,
        budget=budget,
        enabled=card is not None and card.thinks_by_default and budget != 0,
    )


_UNASKED: dict[Level, int] = {"MINIMAL": 0, "LOW": 64, "MEDIUM": 128, "HIGH": 256, "XHIGH": 512}
_UNASKED_DYNAMIC = 128


def estimate_unasked(facts: Facts) -> int:
    """Tokens that a model thinks about any request, shown or not: 0 for models that do not think, or were told not to.

    That Gemini 2.5 Flash thinks and reports tokens unasked is observed, the numbers are assumed. Open models are left out, because
    their thoughts are part of the answer.
    """
    if not facts.style.is_gemini:
        hides = not facts.style.dialect.thoughts_in_completion and facts.style.is_thinking(facts.request)
        return _UNASKED_DYNAMIC if hides else 0
    thinking = read_thinking(facts)
    if not thinking.enabled:
        return 0
    if thinking.level is not None:
        return _UNASKED[thinking.level]
    return _UNASKED_DYNAMIC if thinking.budget in {None, DYNAMIC} else min(thinking.budget or 0, _UNASKED_DYNAMIC)


def read_level(value: Any) -> Level | None:
    """The level of a `thinking_level`, in any letter case and with or without the prefix of the native enum; None if unknown."""
    name = value.upper().removeprefix("THINKING_LEVEL_") if isinstance(value, str) else ""
    return next((level for level in _LEVEL_NAMES if level == name), None)


def read_budget(value: Any) -> int | None:
    """The tokens of a `thinking_budget`, which may be a string as in JSON of Google's services; None if it is no whole number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) < _MAX_DIGITS and value.removeprefix("-").isdecimal():
        return int(value)
    return None


def _read_config(google: Mapping[str, Any]) -> Any:
    config = google.get("thinking_config")
    if config is None:
        config = google.get("thinkingConfig")
    if not isinstance(config, dict):
        return config
    found = {**config}
    for snake, camel in _CAMEL_CASE.items():
        other = found.pop(camel, None)
        if found.get(snake) is None:
            found[snake] = other
    return {key: value for key, value in found.items() if value is not None}


def _resolve(options: Mapping[str, Any], effort: str | None, card: ModelCard | None) -> tuple[Level | None, int | None]:
    """Level and budget; `thinking_config` wins over `reasoning_effort`, and a budget over a level."""
    budget = read_budget(options.get("thinking_budget"))
    if budget is not None:
        return None, budget
    if card is None:
        return None, None
    if not card.levels:
        level = read_level(options.get("thinking_level")) or ("XHIGH" if effort == "xhigh" else None)
        return level, _BUDGET_OF.get(effort or "") if card.thinking else None
    level = read_level(options.get("thinking_level")) or _LEVEL_OF.get(effort or "")
    if level == "MEDIUM" and "thinking_level" not in options and level not in card.levels:
        # Assumed: what was documented of the first Gemini 3, which had no MEDIUM.
        level = "HIGH"
    return level or card.default_level, None
