"""Implicit caching: how much of a prompt its session has sent before, block by block."""

from hashlib import sha256

from pydantic_core import to_json

from emulator.engine.request.facts import Facts

BLOCK_BYTES = 2048
"""Bytes of JSON, about 512 tokens of text, by which the common prefix of two prompts is measured (assumed)."""
MAX_BLOCKS = 4096
"""Blocks of a prompt that are compared, 8 MiB; what is behind them is never found again."""
_DIGEST_BYTES = 12


def list_prefixes(facts: Facts) -> list[bytes]:
    """The digests of a prompt's prefixes, each a block longer than the one before, without its last bytes that fill no block.

    Empty for a prompt that its model does not cache: one that is too short, or that uses an explicit cache. Model and tools are
    part of every prefix.
    """
    least = facts.card.cache_tokens if facts.card is not None else None
    if least is None or not facts.target.is_openapi or facts.cached_tokens or facts.prompt_tokens < least:
        return []
    # An array's JSON begins with that of the array without its last items.
    written = memoryview(to_json([facts.model, facts.tools, *facts.messages], inf_nan_mode="constants")[:-1])
    # Processors have instructions for it.
    hash_, digests = sha256(usedforsecurity=False), list[bytes]()
    for start in range(0, min(len(written), MAX_BLOCKS * BLOCK_BYTES) - BLOCK_BYTES + 1, BLOCK_BYTES):
        hash_.update(written[start : start + BLOCK_BYTES])
        digests.append(hash_.copy().digest()[:_DIGEST_BYTES])
    return digests


def count_cached(facts: Facts, known: int, count: int) -> int:
    """Estimated tokens of the first `known` of a prompt's `count` prefixes; 0 if they are fewer than the model caches.

    Documented: the shortest prefix that is found again, by model.
    """
    least = facts.card.cache_tokens if facts.card is not None else None
    if not known or least is None:
        return 0
    # The rest that fills no block counts as half of one.
    tokens = int(facts.prompt_tokens * known / (count + 0.5))
    return tokens if tokens >= least else 0
