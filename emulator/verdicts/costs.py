"""Verdicts on costs: prompts that implicit caching cannot find again, and thoughts that leave no room for an answer."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from emulator.catalogue.models import Price, find_model, find_price
from emulator.engine.request.thinking import read_budget
from emulator.engine.request.token_estimates import BYTES_PER_TOKEN
from emulator.verdicts.observation import Finding, Observation, Past
from emulator.wire.requests import google_options
from emulator.wire.urls import Target
from emulator.wire.usage import Usage

VARIED_RUN = 3
"""Prompts in a row from which those that differ near their start are told."""
SHORT_RUN = 10
"""Prompts in a row from which those that share a start too short for the cache are told."""
SHORTEST_SHARE = 0.5
"""The part of the least size of the cache from which a shared start is worth lengthening."""
COMMON_SHARE = 0.8
"""The part of a prompt that must be the same as in the one before."""

_MILLION = 1_000_000


class Rates(NamedTuple):
    """Prices in USD for 1,000,000 tokens."""

    input: float
    cached: float
    output: float


def find_varied_starts(one: Observation, past: Past) -> Iterator[Finding]:
    """Find prompts that differ from the one before only near the start, so that nothing of what follows is found in the cache."""
    found = _compare(one, past)
    if found is None:
        past.varied = [one.number]
        return
    least, start, end, size = found
    if start >= least or end < least or start + end < COMMON_SHARE * size:
        past.varied = [one.number]
        return
    past.varied.append(one.number)
    rates = read_rates(one)
    if len(past.varied) == VARIED_RUN and rates is not None:
        saved = end * (rates.input - rates.cached) / _MILLION
        sentence = (
            f"{VARIED_RUN} prompts in a row end with the same {end:,} tokens, but differ before, so that none is found in the cache: "
            f"about ${saved:.2g} more for each (estimated)"
        )
        yield Finding(tuple(past.varied), sentence)


def find_short_starts(one: Observation, past: Past) -> Iterator[Finding]:
    """Find prompts that begin alike again and again, with fewer tokens than implicit caching needs; not conversations that go on."""
    found = _compare(one, past)
    if found is None:
        past.short = [one.number]
        return
    least, start, _, size = found
    goes_on = one.prompt.startswith(past.prompt[1]) and len(one.prompt) > len(past.prompt[1])
    if goes_on or not SHORTEST_SHARE * least <= start < least or size >= least or start < COMMON_SHARE * size:
        past.short = [one.number]
        return
    past.short.append(one.number)
    rates = read_rates(one)
    if len(past.short) == SHORT_RUN and rates is not None:
        saved = (start * rates.input - least * rates.cached) / _MILLION
        if saved > 0:
            sentence = (
                f"{SHORT_RUN} prompts in a row begin with the same {start:,} tokens, and caching starts at {least:,}: "
                f"a longer common start would save about ${saved:.2g} for each (estimated)"
            )
            yield Finding(tuple(past.short), sentence)


def find_crowded_answers(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find thinking budgets that are as large as what limits thoughts and answer together.

    Observed: `max_tokens` counts thoughts, and when they eat it there is no content.
    """
    request = one.request
    if request is None or one.refused_for:
        return
    card, rates = find_model(one.model), read_rates(one)
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    google = google_options(request)
    config = google.get("thinking_config") or google.get("thinkingConfig")
    options = config if isinstance(config, dict) else {}
    budget = read_budget(options.get("thinking_budget", options.get("thinkingBudget")))
    if card is None or not card.thinking or rates is None or not isinstance(limit, int) or budget is None:
        return
    if budget >= limit > 0:
        sentence = (
            f"a thinking budget of {budget:,} tokens, where thoughts and answer together may have {limit:,}: "
            f"up to ${limit * rates.output / _MILLION:.2g} for an answer without text"
        )
        yield Finding((one.number,), sentence)


def read_rates(one: Observation) -> Rates | None:
    """The prices for a request, by `find_rates`."""
    return find_rates(one.model, one.target, one.outcome.usage, one.started)


def find_rates(model: str, target: Target, usage: Usage | None, started: float) -> Rates | None:
    """The prices for a request of that size on the day it was sent (Unix time) and at its location; None where they are not known."""
    price = find_price(model) if target.is_openapi else None
    if price is None:
        return None
    rates = _rates_on(price, datetime.fromtimestamp(started, UTC).date().isoformat())
    if usage is not None and price.long_from_tokens is not None and usage.prompt >= price.long_from_tokens:
        rates = Rates(
            price.long_input or rates.input, price.long_cached or rates.cached, price.long_output or rates.output
        )
    factor = 1.0 if target.location == "global" else price.regional_multiplier
    return Rates(rates.input * factor, rates.cached * factor, rates.output * factor)


def _rates_on(price: Price, day: str) -> Rates:
    cached = price.input if price.cached is None else price.cached
    then = price.then
    if not then or day < then["from"]:
        return Rates(price.input, cached, price.output)
    return Rates(then.get("input", price.input), then.get("cached", cached), then.get("output", price.output))


def _compare(one: Observation, past: Past) -> tuple[int, int, int, int] | None:
    """Tokens: the least that the model caches, what is common at the start and at the end with the prompt before, and the prompt's.

    None where it is another model's, where the model does not cache, and where some of it was found in the cache.
    """
    card, usage = find_model(one.model), one.outcome.usage
    model, before = past.prompt
    if card is None or card.cache_tokens is None or usage is None or usage.cached or model != one.model:
        return None
    now = one.prompt
    start = _common(before, now)
    # The end may not reach into the start.
    left = min(len(before), len(now)) - start
    end = _common(before[len(before) - left :][::-1], now[len(now) - left :][::-1])
    # Media are fewer tokens than their bytes are as text.
    rate = min(1 / BYTES_PER_TOKEN, usage.prompt / max(1, len(now)))
    return card.cache_tokens, int(start * rate), int(end * rate), int(len(now) * rate)


def _common(first: bytes, second: bytes) -> int:
    """The number of bytes with which both begin, in time linear in it."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
