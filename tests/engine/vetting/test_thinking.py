"""Thinking options resolved for the request's model."""

from collections.abc import Callable
from typing import Any

import pytest

from emulator.engine.rendering.render import render_options_of
from emulator.engine.request.facts import Facts
from emulator.engine.request.thinking import read_budget, read_level, read_thinking
from emulator.wire.errors import Refusal
from emulator.wire.json_text import dump
from emulator.wire.requests import read_request
from emulator.wire.urls import Target

TARGET = Target("v1", "p", "global", "openapi")
FLASH, PRO, LITE = "google/gemini-2.5-flash", "google/gemini-2.5-pro", "google/gemini-3.1-flash-lite"
NEW = "google/gemini-3.1-pro-preview"


def facts_of(model: str, google: Any = None, effort: str | None = None) -> Facts:
    """The facts of a request with only these options."""
    body: Any = {"model": model, "messages": [], "reasoning_effort": effort, "extra_body": {"google": google}}
    return Facts(TARGET, [], read_request(dump(body)))


@pytest.mark.parametrize(
    ("model", "effort", "level", "budget", "enabled"),
    [
        (FLASH, None, None, None, True),
        (FLASH, "none", None, 0, False),
        (FLASH, "minimal", None, 1024, True),
        (FLASH, "low", None, 1024, True),
        (FLASH, "medium", None, 8192, True),
        (PRO, "high", None, 24576, True),
        (NEW, None, "HIGH", None, True),
        (NEW, "low", "LOW", None, True),
        (NEW, "medium", "MEDIUM", None, True),
        (NEW, "none", "MINIMAL", None, True),
        (LITE, None, "MINIMAL", None, True),
        (LITE, "none", "MINIMAL", None, True),
        ("google/gemini-3-pro-preview", "medium", "HIGH", None, True),
        ("google/gemini-9-ultra", "minimal", "MINIMAL", None, True),
        ("google/gemini-2.5-flash-preview-09-2025", "high", None, 24576, True),
        ("google/gemini-2.0-flash-001", "high", None, None, False),
        ("google/gemini-2.0-flash-thinking-exp", None, None, None, True),
        ("meta/llama-9", "high", None, None, False),
        ("", None, None, None, False),
    ],
)
def test_efforts(model: str, effort: str | None, level: str | None, budget: int | None, enabled: bool) -> None:
    """`reasoning_effort` is a budget before Gemini 3 and a level from then on; without it the model's default level holds."""
    thinking = read_thinking(facts_of(model, effort=effort))
    assert (thinking.effort, thinking.level, thinking.budget, thinking.enabled) == (effort, level, budget, enabled)


@pytest.mark.parametrize(
    ("model", "is_level"),
    [
        ("google/gemini-4-hydrogen", True),
        ("google/gemini-4-neon", True),
        ("google/gemini-4-argon", False),
        (NEW, False),
        (FLASH, False),
        ("google/gemini-2.0-flash-001", False),
    ],
)
def test_xhigh(vetted: Callable[..., Refusal | None], model: str, is_level: bool) -> None:
    """It is a level of two models, by both names of the option; others refuse it."""
    user = {"role": "user", "content": "x"}
    config = {"google": {"thinking_config": {"thinking_level": "XHIGH"}}}
    for options in ({"reasoning_effort": "xhigh"}, {"extra_body": config}):
        refusal = vetted({"model": model, "messages": [user], **options})
        assert (refusal is None) == is_level
        assert refusal is None or refusal.message == "Thinking level is unsupported: THINKING_LEVEL_XHIGH"


@pytest.mark.parametrize(
    ("model", "google", "expected"),
    [
        (FLASH, {"thinking_config": {"thinking_budget": 512, "include_thoughts": True}}, (None, 512, True, True)),
        (FLASH, {"thinkingConfig": {"thinkingBudget": 0, "includeThoughts": False}}, (None, 0, False, False)),
        (FLASH, {"thinking_config": {"thinkingBudget": 7, "thinking_budget": 8}}, (None, 8, False, True)),
        (FLASH, {"thinking_config": {}, "thinkingConfig": {"thinkingBudget": 7}}, (None, None, False, True)),
        (NEW, {"thinking_config": {"thinking_level": "low"}}, ("LOW", None, False, True)),
        (NEW, {"thinkingConfig": {"thinkingLevel": "THINKING_LEVEL_HIGH"}}, ("HIGH", None, False, True)),
        (NEW, {"thinking_config": {"thinking_budget": -1}}, (None, -1, False, True)),
        (NEW, {"thinking_config": "much"}, ("HIGH", None, False, True)),
        (NEW, {"thinking_config": None}, ("HIGH", None, False, True)),
    ],
)
def test_configurations(model: str, google: Any, expected: tuple[str | None, int | None, bool, bool]) -> None:
    """Both spellings of `thinking_config` and of its options are read; snake case wins."""
    thinking = read_thinking(facts_of(model, google))
    assert (thinking.level, thinking.budget, thinking.include_thoughts, thinking.enabled) == expected
    assert render_options_of(facts_of(model, google)).include_thoughts == thinking.include_thoughts


@pytest.mark.parametrize(("written", "marker"), [("think", "think"), ("", None), (None, None), (7, None)])
def test_marker(written: Any, marker: str | None) -> None:
    """The marker is a text that is not empty."""
    facts = facts_of(FLASH, {"thought_tag_marker": written})
    assert read_thinking(facts).marker == marker
    assert render_options_of(facts).thought_tag_marker == marker


def test_levels_and_budgets_are_read_leniently() -> None:
    """Every spelling that JSON of Google's services allows; anything else is None."""
    assert [read_budget(one) for one in (5, "5", "-1", 5.0)] == [5, 5, -1, 5]
    assert [read_budget(one) for one in (True, "", "-", "five", "5" * 30, 5.5, [5], None)] == [None] * 8
    assert [read_level(one) for one in ("LOW", "low", "thinking_level_medium")] == ["LOW", "LOW", "MEDIUM"]
    assert [read_level(one) for one in ("", "lower", None, 3)] == [None] * 4
