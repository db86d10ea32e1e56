"""The model catalogue: every card is well formed, and the abilities are those of the documentation."""

import datetime as dt
import re
from typing import get_args

import pytest

from emulator.catalogue import models
from emulator.catalogue.models import ModelCard

ALL = models.all_models()
GEMINI = [each for each in ALL if models.generation(each.id) is not None]


def named(each: ModelCard) -> str:
    """Name a test's case after its card."""
    return each.id


def card(name: str) -> ModelCard:
    """Return the card of a model that the catalogue has."""
    found = models.find_model(name)
    assert found is not None
    return found


def test_ids_are_unique() -> None:
    """No two cards of the data file have the same id: the reader would lose one of them."""
    assert len(ALL) == 69
    assert len({each.id for each in ALL}) == len(ALL)


@pytest.mark.parametrize("each", ALL, ids=named)
def test_card_is_well_formed(each: ModelCard) -> None:
    """A card has values of its types and says where they are from; only deployed models lack a publisher."""
    assert re.fullmatch(r"[\w.-]+" if each.family == "self-deployed" else r"[a-z-]+/[\w.-]+", each.id)
    assert set(each.levels) <= set(get_args(models.Level))
    assert set(each.input_media) <= set(get_args(models.Medium))
    assert each.reasoning_in in get_args(models.ReasoningPlace)
    assert each.source.startswith(("documented: ", "observed: "))


@pytest.mark.parametrize("each", ALL, ids=named)
def test_thinking_agrees_with_itself(each: ModelCard) -> None:
    """Only thinking models have levels, budgets or a switch, and none has both levels and a budget."""
    has_budget = each.budget_max is not None
    assert each.thinking or not any((each.levels, has_budget, each.thinks_by_default, each.thinking_switch))
    assert not (each.levels and has_budget)
    assert (each.default_level in each.levels) if each.levels else each.default_level is None
    assert has_budget == (each.budget_min is not None) == (each.budget_zero_allowed is not None)


@pytest.mark.parametrize("each", GEMINI, ids=named)
def test_gemini_agrees_with_its_generation(each: ModelCard) -> None:
    """Gemini has levels from 3 on and budgets before, and only from 3 on demands signatures."""
    generation = models.generation(each.id)
    assert generation is not None
    assert bool(each.levels) == (generation >= 3)
    assert not (each.enforces_signatures and generation < 3)
    assert each.reasoning_in == "content"
    assert each.matched_stop is None


@pytest.mark.parametrize(
    ("name", "levels", "default"),
    [
        ("google/gemini-3.7-flash", "LOW MEDIUM HIGH", "MEDIUM"),
        ("google/gemini-3.5-flash", "MINIMAL LOW MEDIUM HIGH", "MEDIUM"),
        ("google/gemini-3.1-flash-lite", "MINIMAL LOW MEDIUM HIGH", "MINIMAL"),
        ("google/gemini-3.1-pro-preview", "LOW MEDIUM HIGH", "HIGH"),
        ("google/gemini-3-flash-preview", "MINIMAL LOW MEDIUM HIGH", "HIGH"),
        ("google/gemini-3.1-flash-image", "MINIMAL HIGH", "MINIMAL"),
        ("google/gemini-3-pro-image", "HIGH", "HIGH"),
    ],
)
def test_levels(name: str, levels: str, default: str) -> None:
    """The levels of thinking are those of the documentation's thinking page."""
    assert " ".join(card(name).levels) == levels
    assert card(name).default_level == default


@pytest.mark.parametrize(
    ("name", "budget"),
    [
        ("google/gemini-2.5-flash", (1, 24576, True)),
        ("google/gemini-2.5-flash-lite", (512, 24576, True)),
        ("google/gemini-2.5-pro", (128, 32768, False)),
    ],
)
def test_budgets(name: str, budget: tuple[int, int, bool]) -> None:
    """The budgets of thinking are those of the documentation's thinking page."""
    found = card(name)
    assert (found.budget_min, found.budget_max, found.budget_zero_allowed) == budget


@pytest.mark.parametrize(
    ("name", "place", "stop"),
    [
        ("deepseek-ai/deepseek-r1-0528-maas", "think_tags", None),
        ("deepseek-ai/deepseek-v3.1-maas", "open_think_tag", 1),
        ("deepseek-ai/deepseek-v3.2-maas", "reasoning_content", 1),
        ("moonshotai/kimi-k2-thinking-maas", "reasoning_content", 163586),
        ("qwen/qwen3-next-80b-a3b-thinking-maas", "reasoning_content", 151645),
        ("openai/gpt-oss-120b-maas", "reasoning_content", 200002),
        ("minimaxai/minimax-m2-maas", "think_tags", 200020),
        ("zai-org/glm-4.7-maas", "reasoning_content", 151336),
        ("zai-org/glm-5-maas", "reasoning_content", 154827),
        ("google/gemma-4-26b-a4b-it-maas", "reasoning_content", 106),
        ("xai/grok-4.20-reasoning", "hidden", None),
    ],
)
def test_open_models(name: str, place: str, stop: int | None) -> None:
    """Where thoughts stand and how a model stops are as in the documentation's sample responses."""
    assert (card(name).reasoning_in, card(name).matched_stop) == (place, stop)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("google/gemini-3.1-pro-preview", 3.1),
        ("google/gemini-3-flash-preview", 3.0),
        ("gemini-2.5-flash", 2.5),
        ("publishers/google/models/gemini-2.0-flash-001", 2.0),
        ("google/GEMINI-10.2-ultra", 10.2),
        ("google/gemini-4", 4.0),
        ("google/gemini-flash-latest", None),
        ("google/gemma-4-26b-a4b-it-maas", None),
        ("google/${MODEL_ID}", None),
        ("google/gemini-", None),
        ("google/not-gemini-3", None),
        ("", None),
    ],
)
def test_generation(name: str, expected: float | None) -> None:
    """The generation is read from any id that names one, known or not."""
    assert models.generation(name) == expected


@pytest.mark.parametrize("each", ALL, ids=named)
def test_dates_and_places_are_well_formed(each: ModelCard) -> None:
    """Days are days, a model that is announced to be retired has one in the past, and locations are those of Google."""
    days = [day for day in (each.released, each.retires) if day is not None]
    assert [dt.date.fromisoformat(day).isoformat() for day in days] == days
    assert each.retired != "announced" or (each.retires is not None and each.retires < "2026-11-28")
    assert each.retired in (None, *get_args(models.Retirement))
    assert all(re.fullmatch(r"global|us|eu|[a-z]+-[a-z]+\d", one) for one in each.locations)
    assert len(set(each.locations)) == len(each.locations)
    assert set(each.refused_parameters + each.ignored_parameters) <= set(get_args(models.Parameter))
    assert each.answer_tokens is None or each.answer_tokens <= (each.max_output_tokens or 0)


def test_prices() -> None:
    """Almost every model that is served has one, with its source and its day; parts are cheaper than the whole, later ones dearer."""
    priced = [price for each in ALL if (price := models.find_price(each.id)) is not None]
    assert len(priced) == 55
    for price in priced:
        assert 0 < price.input <= price.output
        assert price.cached is None or price.cached < price.input
        assert price.long_from_tokens is None or (price.long_input or 0) > price.input
        assert price.source.startswith("observed: ")
        dt.date.fromisoformat(price.date)
        assert (price.until is None) == (not price.then)
        if price.until is not None:
            assert price.until < price.then["from"]
            assert price.then["input"] > price.input
    flash = models.find_price("google/gemini-3.5-flash")
    assert flash is not None
    assert (flash.input, flash.cached, flash.output, flash.regional_multiplier) == (1.5, 0.15, 9, 1.1)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("google/gemini-4-argon", "eu"),
        ("google/gemini-3.5-flash", "europe-west3"),
        ("google/gemini-2.5-pro", "us-central1"),
        ("meta/llama-4-scout-17b-16e-instruct-maas", "us-east5"),
        ("openai/gpt-oss-120b-maas", "global"),
        ("xai/grok-4.6", "us"),
    ],
)
def test_locations(name: str, place: str) -> None:
    """Where models are served, as their cards say."""
    assert place in card(name).locations


@pytest.mark.parametrize(
    ("name", "prefill", "candidates"),
    [
        ("google/gemini-9-ultra", False, 1),
        ("google/gemini-3.6-flash-001", False, 1),
        ("google/gemini-3.2-flash", True, None),
        ("google/gemini-2.5-flash-preview-09-2025", True, None),
    ],
)
def test_unknown_models_follow_their_generation(name: str, prefill: bool, candidates: int | None) -> None:
    """From 3.6 on they refuse prefill, make one choice and have no penalties."""
    found = models.describe_model(name)
    assert found is not None
    assert (found.answers_prefill, found.max_candidates) == (prefill, candidates)
    assert bool(found.refused_parameters) == bool(found.ignored_parameters) == (not prefill)


def test_unknown_model_is_not_found() -> None:
    """An id finds its card only when it is written exactly so."""
    assert models.find_model("google/gemini-9-ultra") is None
    assert models.find_model("gemini-2.5-flash") is None
