"""How many tokens a text is taken to have."""

from collections.abc import Sequence

from emulator.wire.shapes import ToolCall

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
    if not "".join(texts).isascii():
        return sum(map(estimate_tokens, texts))
    total = 0
    for text in texts:
        total += (len(text) + _TO_ROUND_UP) // BYTES_PER_TOKEN
    return total


def estimate_call(call: ToolCall) -> int:
    """The estimate of a call in the history: of its name and its arguments."""
    function = call.get("function", {})
    return estimate_tokens(function.get("name", "")) + estimate_tokens(function.get("arguments") or "")
