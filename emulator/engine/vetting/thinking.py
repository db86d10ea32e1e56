"""Checks of thinking options: `reasoning_effort`, `thinking_config`, levels and budgets."""

from emulator.engine.request.thinking import DYNAMIC, EFFORTS, Thinking, read_budget, read_level, read_thinking
from emulator.engine.vetting.context import JsonPath, VettingContext
from emulator.wire.errors import Refusal
from emulator.wire.requests import google_options


def check_thinking(context: VettingContext) -> Refusal | None:
    """Levels and budgets as documented per model; combinations that are refused are documented, their texts assumed."""
    if not context.is_gemini:
        return None
    thinking = read_thinking(context.facts)
    if thinking.effort is None and thinking.config is None:
        return None
    return (
        _check_values(context, thinking)
        or _check_combination(context, thinking)
        or _check_level(context, thinking)
        or _check_budget(context, thinking)
        or _check_thoughts(context, thinking)
    )


def _check_values(context: VettingContext, thinking: Thinking) -> Refusal | None:
    """Refuse values that no model knows (assumed)."""
    effort, config = thinking.effort, thinking.config
    if effort is not None and effort not in EFFORTS:
        explanation = f'reasoning_effort is "{effort}"; expected {", ".join(EFFORTS[:-1])} or {EFFORTS[-1]}'
        return context.refuse("generic_invalid_argument", ("reasoning_effort",), explanation)
    if config is not None and not isinstance(config, dict):
        explanation = "thinking_config is no object; expected include_thoughts, thinking_budget or thinking_level in it"
        return context.refuse("generic_invalid_argument", _config_path(context), explanation)
    budget, level = thinking.options.get("thinking_budget"), thinking.options.get("thinking_level")
    if budget is not None and read_budget(budget) is None:
        explanation = "thinking_budget is no whole number; expected a number of tokens, or -1"
        return context.refuse("generic_invalid_argument", _config_path(context, "thinking_budget"), explanation)
    if level is not None and read_level(level) is None and str(level).upper() != "THINKING_LEVEL_UNSPECIFIED":
        explanation = "thinking_level is none of MINIMAL, LOW, MEDIUM, HIGH and XHIGH"
        return context.refuse("generic_invalid_argument", _config_path(context, "thinking_level"), explanation)
    return None


def _check_combination(context: VettingContext, thinking: Thinking) -> Refusal | None:
    """Documented: `reasoning_effort` excludes `thinking_config`, a level excludes a budget."""
    options = thinking.options
    if thinking.effort is not None and options:
        explanation = "reasoning_effort and thinking_config are both given; choose one of them"
        return context.refuse("thinking_level_and_budget", ("reasoning_effort",), explanation)
    if "thinking_level" in options and "thinking_budget" in options:
        explanation = "thinking_level and thinking_budget are both given; choose one of them"
        return context.refuse("thinking_level_and_budget", _config_path(context, "thinking_level"), explanation)
    return None


def _check_level(context: VettingContext, thinking: Thinking) -> Refusal | None:
    """Observed: a level that the model lacks is refused; assumed to be refused so too where the model has no levels at all."""
    card, level = context.facts.card, thinking.level
    if card is None or level is None or level in card.levels:
        return None
    path = ("reasoning_effort",) if thinking.effort is not None else _config_path(context, "thinking_level")
    has = f"has {', '.join(card.levels)}" if card.levels else "has a thinking_budget instead of levels"
    given = (
        f'reasoning_effort "{thinking.effort}" is the level {level}'
        if thinking.effort
        else f"thinking_level is {level}"
    )
    explanation = f"{given}; {context.facts.model} {has}"
    return context.refuse("thinking_level_unsupported", path, explanation, LEVEL=level)


def _check_budget(context: VettingContext, thinking: Thinking) -> Refusal | None:
    """Observed: a budget out of the model's range is refused, and one of 0 on a model that always thinks."""
    card, budget = context.facts.card, thinking.budget
    if card is None or budget is None or card.budget_min is None or card.budget_max is None:
        return None
    path = ("reasoning_effort",) if thinking.effort is not None else _config_path(context, "thinking_budget")
    if budget == 0:
        if card.budget_zero_allowed:
            return None
        explanation = f"thinking is turned off, but {card.id} always thinks; ask for {card.budget_min} tokens or more"
        return context.refuse("thinking_cannot_be_disabled", path, explanation)
    if budget == DYNAMIC or card.budget_min <= budget <= card.budget_max:
        return None
    explanation = f"thinking_budget is {budget}; {card.id} takes {card.budget_min} to {card.budget_max}, or -1"
    return context.refuse(
        "thinking_budget_invalid", path, explanation, N=budget, LOWEST=card.budget_min, HIGHEST=card.budget_max
    )


def _check_thoughts(context: VettingContext, thinking: Thinking) -> Refusal | None:
    """Observed: thoughts are not shown when there are none."""
    if not thinking.include_thoughts or thinking.enabled:
        return None
    why = "its thinking_budget is 0" if thinking.budget == 0 else f"{context.facts.model} does not think"
    explanation = f"include_thoughts is set, but {why}; leave it out, or turn thinking on"
    return context.refuse("include_thoughts_without_thinking", _config_path(context, "include_thoughts"), explanation)


def _config_path(context: VettingContext, option: str | None = None) -> JsonPath:
    """The path of `thinking_config`, or of one of its options, as the client spells it."""
    request, key = context.facts.request, "thinking_config"
    extra = (request.get("extra_body") or {}).get("google") or {}
    google = google_options(request)
    if google.get(key) is None:
        key = "thinkingConfig"
    top: JsonPath = ("extra_body", "google", key) if key in extra else ("google", key)
    if option is None:
        return top
    first, *rest = option.split("_")
    camel = first + "".join(word.capitalize() for word in rest)
    config = google.get(key)
    is_snake = isinstance(config, dict) and config.get(option) is not None
    return (*top, option if is_snake else camel)
