"""JSON as the service writes it: compact UTF-8 without unnecessary escapes."""

from typing import Any

from pydantic_core import from_json, to_json


def dump(value: Any) -> bytes:
    """Serialise plain data as compact JSON in the given key order, which for wire shapes is alphabetical (documented: seed samples)."""
    return to_json(value, inf_nan_mode="null")


def parse_or_text(text: str) -> Any:
    """Parse a text as JSON; return the text itself if it is not JSON, as with many tool results."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return text
