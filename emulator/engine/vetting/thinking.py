"""Thinking: whether the model can think as it is asked to."""

from emulator.engine.request.thinking import DYNAMIC, EFFORTS, Thinking, read_budget, read_level, read_thinking
from emulator.engine.vetting.case import Case, Keys
from emulator.wire.errors import Refusal
from emulator.wire.requests import google_options


def check_thinking(case: Case) -> Refusal | None:
    """Levels and budgets as documented per model; combinations that are refused are documented, their texts assumed."""
    if not case.is_gemini:
        return None
    thinking = read_thinking(case.facts)
    if thinking.effort is None and thinking.config is None:
        return None
    for check in (_check_words, _check_combination, _check_level, _check_budget, _check_thoughts):
        refusal = check(case, thinking)
        if refusal is not None:
            return refusal
    return None


def _check_words(case: Case, thinking: Thinking) -> Refusal | None:
    """Values that mean nothing to any model (assumed to be refused)."""
    effort, config = thinking.effort, thinking.config
    if effort is not None and effort not in EFFORTS:
        explanation = f'reasoning_effort is "{effort}"; expected {", ".join(EFFORTS[:-1])} or {EFFORTS[-1]}'
        return case.refuse("generic_invalid_argument", ("reasoning_effort",), explanation)
    if config is not None and not isinstance(config, dict):
        explanation = "thinking_config is no object; expected include_thoughts, thinking_budget or thinking_level in it"
        return case.refuse("generic_invalid_argument", _place(case), explanation)
    budget, level = thinking.options.get("thinking_budget"), thinking.options.get("thinking_level")
    if budget is not None and read_budget(budget) is None:
        explanation = "thinking_budget is no whole number; expected a number of tokens, or -1"
        return case.refuse("generic_invalid_argument", _place(case, "thinking_budget"), explanation)
    if level is not None and read_level(level) is None and str(level).upper() != "THINKING_LEVEL_UNSPECIFIED":
        explanation = "thinking_level is none of MINIMAL, LOW, MEDIUM and HIGH"
        return case.refuse("generic_invalid_argument", _place(case, "thinking_level"), explanation)
    return None


def _check_combination(case: Case, thinking: Thinking) -> Refusal | None:
    """Documented: `reasoning_effort` excludes `thinking_config`, a level excludes a budget."""
    options = thinking.options
    if thinking.effort is not None and options:
        explanation = "reasoning_effort and thinking_config are both given; choose one of them"
        return case.refuse("thinking_level_and_budget", ("reasoning_effort",), explanation)
    if "thinking_level" in options and "thinking_budget" in options:
        explanation = "thinking_level and thinking_budget are both given; choose one of them"
        return case.refuse("thinking_level_and_budget", _place(case, "thinking_level"), explanation)
    return None


def _check_level(case: Case, thinking: Thinking) -> Refusal | None:
    """Observed: a level that the model lacks; assumed to be refused so too where the model has no levels at all."""
    card, level = case.facts.card, thinking.level
    if card is None or level is None or level in card.levels:
        return None
    keys = ("reasoning_effort",) if thinking.effort is not None else _place(case, "thinking_level")
    has = f"has {', '.join(card.levels)}" if card.levels else "has a thinking_budget instead of levels"
    asked = (
        f'reasoning_effort "{thinking.effort}" is the level {level}'
        if thinking.effort
        else f"thinking_level is {level}"
    )
    explanation = f"{asked}; {case.facts.model} {has}"
    return case.refuse("thinking_level_unsupported", keys, explanation, LEVEL=level)


def _check_budget(case: Case, thinking: Thinking) -> Refusal | None:
    """Observed: a budget out of the model's range, or of 0 on a model that always thinks."""
    card, budget = case.facts.card, thinking.budget
    if card is None or budget is None or card.budget_min is None or card.budget_max is None:
        return None
    keys = ("reasoning_effort",) if thinking.effort is not None else _place(case, "thinking_budget")
    if budget == 0:
        if card.budget_zero_allowed:
            return None
        explanation = f"thinking is turned off, but {card.id} always thinks; ask for {card.budget_min} tokens or more"
        return case.refuse("thinking_cannot_be_disabled", keys, explanation)
    if budget == DYNAMIC or card.budget_min <= budget <= card.budget_max:
        return None
    explanation = f"thinking_budget is {budget}; {card.id} takes {card.budget_min} to {card.budget_max}, or -1"
    return case.refuse(
        "thinking_budget_invalid", keys, explanation, N=budget, LOWEST=card.budget_min, HIGHEST=card.budget_max
    )


def _check_thoughts(case: Case, thinking: Thinking) -> Refusal | None:
    """Observed: thoughts are not shown when there are none."""
    if not thinking.include_thoughts or thinking.enabled:
        return None
    why = "its thinking_budget is 0" if thinking.budget == 0 else f"{case.facts.model} does not think"
    explanation = f"include_thoughts is set, but {why}; leave it out, or turn thinking on"
    return case.refuse("include_thoughts_without_thinking", _place(case, "include_thoughts"), explanation)


def _place(case: Case, option: str | None = None) -> Keys:
    """Where `thinking_config`, or one of its options, stands in the request, as the client spells it."""
    request, key = case.facts.request, "thinking_config"
    extra = (request.get("extra_body") or {}).get("google") or {}
    google = google_options(request)
    if google.get(key) is None:
        key = "thinkingConfig"
    top: Keys = ("extra_body", "google", key) if key in extra else ("google", key)
    if option is None:
        return top
    first, *rest = option.split("_")
    camel = first + "".join(word.capitalize() for word in rest)
    config = google.get(key)
    is_snake = isinstance(config, dict) and config.get(option) is not None
    return (*top, option if is_snake else camel)
