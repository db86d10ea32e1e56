"""JSON as the service writes it: compact, UTF-8, nothing escaped that need not be."""

from typing import Any

from pydantic_core import from_json, to_json


def dump(value: Any) -> bytes:
    """Compact JSON of plain data; keys stay in the order given, which for wire shapes is alphabetical (documented: seed samples)."""
    return to_json(value, inf_nan_mode="null")


def parse_or_text(text: str) -> Any:
    """The JSON value of a text, or the text itself where it is not JSON, as tool results often are not."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return text
