"""Request options, and their cache for requests that differ only in their messages."""

import gc
import json
import tracemalloc
from typing import Any

import pytest

from emulator.engine.request.options import MAX_OPTIONS_BYTES, OptionsCache, RequestOptions, vertex_headers
from emulator.scenario.rules import Endpoint
from emulator.wire.requests import ParsedOptions, parse_request
from emulator.wire.urls import Target

TARGET = Target("v1", "p", "global", "openapi")


def find(
    cache: OptionsCache,
    messages: int = 1,
    *,
    target: Target = TARGET,
    endpoint: Endpoint | None = None,
    header: bytes = b"a",
    **more: Any,
) -> RequestOptions:
    """The options of a request with `count` messages."""
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "hi"}] * messages, **more}
    headers = vertex_headers({header: b"flex"})
    _, options = parse_request(json.dumps(body).encode(), ParsedOptions)
    return cache.find(target, headers, options.json, endpoint)


def test_requests_that_differ_only_in_messages_share_options() -> None:
    """Other headers do not matter; a different parameter, model, target, endpoint or Vertex header means different options."""
    cache, own = OptionsCache(), Endpoint(family="vllm")
    assert find(cache, 1) is find(cache, 2) is find(cache, 3, header=b"b")
    others = [
        find(cache),
        find(cache, custom=1),
        find(cache, custom=True),
        find(cache, stream=True),
        find(cache, model="google/gemini-3-pro-preview"),
        find(cache, target=Target("v1", "q", "global", "openapi")),
        find(cache, header=b"x-vertex-ai-llm-shared-request-type"),
        find(cache, endpoint=own),
    ]
    assert len({*map(id, others)}) == len(others)
    assert find(cache, 5, endpoint=own) is others[-1]


def test_options_follow_the_endpoints_declaration() -> None:
    """Cached options are replaced when the scenario's endpoint changes."""
    cache, one, two = OptionsCache(), Endpoint(family="vllm"), Endpoint(family="vllm")
    first = find(cache, endpoint=one)
    assert find(cache, endpoint=one) is first
    assert find(cache, endpoint=two).endpoint is two


def test_the_cache_is_bounded_in_bytes() -> None:
    """The least recently used options are evicted together with the answers encoded for them."""
    cache = OptionsCache(max_bytes=20_000)
    first = find(cache, custom=0)
    assert 0 < cache.size < 4_000
    for number in range(1, 40):
        find(cache, custom=number)
        assert cache.size <= 20_000
    assert find(cache, custom=0) is not first
    last = find(cache, custom=39)
    last.keep_encoded("reply", b"", 9_000)
    assert cache.size <= 20_000
    assert find(cache, custom=39) is last
    last.keep_encoded("another", b"", 9_000)
    assert cache.size == 0
    last.keep_encoded("third", b"", 9_000)
    assert cache.size == 0


@pytest.mark.parametrize("size", [MAX_OPTIONS_BYTES, 1])
def test_large_options_are_not_cached(size: int) -> None:
    """They are parsed for each request."""
    cache = OptionsCache()
    assert (find(cache, custom="x" * size) is find(cache, custom="x" * size)) is (size == 1)


def test_replies_that_cannot_be_encoded_count_too() -> None:
    """Scenarios that are pushed again and again bring new replies each time."""
    cache = OptionsCache(10_000)
    options = find(cache)
    for number in range(1_000):
        options.keep_encoded(number, None, 0)
    assert find(cache) is not options


@pytest.mark.parametrize(
    "custom",
    [
        [{}] * 20_000,
        [[]] * 20_000,
        [{"a": 1}] * 7_000,
        list(range(1000, 12_000)),
        [f"{number:x}" for number in range(8_000)],
        "a" * 60_000,
        "a" * 60_000 + "\N{GRINNING FACE}",
        {f"{number:x}": number for number in range(5_000)},
        1,
    ],
    ids=["objects", "lists", "pairs", "numbers", "texts", "ascii", "emoji", "keys", "little"],
)
def test_the_size_is_no_less_than_what_is_kept(custom: Any) -> None:
    """Small values take many times their JSON, and are counted so."""
    sent = [
        json.dumps({"model": f"google/{number}", "custom": custom}, separators=(",", ":"), ensure_ascii=False).encode()
        for number in range(12)
    ]
    assert len(sent[0]) <= MAX_OPTIONS_BYTES
    cache = OptionsCache(1_000_000_000)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for options in sent:
            # A copy, as the key of the cache is.
            cache.find(TARGET, (None, None), options[:-1] + b"}", None)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken <= cache.size + 200_000
