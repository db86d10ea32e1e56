"""How many tokens a text is taken to have."""

from collections.abc import Sequence

BYTES_PER_TOKEN = 4
_TO_ROUND_UP = BYTES_PER_TOKEN - 1


def estimate_tokens(text: str) -> int:
    """An estimate that needs no tokenizer: one token for every four bytes of UTF-8, rounded up; 0 for an empty text.

    Real tokenizers differ by model and give other numbers. The rule is deterministic, grows with the text, and takes the
    same short time for an ASCII text of any length.
    """
    # A lone surrogate, which JSON can write as an escape, has no UTF-8; it counts as the three bytes it would take.
    size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return -(-size // BYTES_PER_TOKEN)


def estimate_all(texts: Sequence[str]) -> int:
    """The estimates of several texts, added."""
    if "".join(texts).isascii():
        return sum([(len(text) + _TO_ROUND_UP) // BYTES_PER_TOKEN for text in texts])
    return sum(map(estimate_tokens, texts))
