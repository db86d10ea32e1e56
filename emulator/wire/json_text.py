"""JSON as the service writes it, compact UTF-8 without unnecessary escapes, and values that JSON has no text for made writable."""

from collections.abc import Iterator
from types import NoneType
from typing import Any, Literal

from pydantic_core import PydanticSerializationError, from_json, to_json

_PIECE = 1024 * 1024
_FEW_ITEMS = 10_000


def dump(value: Any, *, infinite: Literal["null", "strings"] = "null") -> bytes:
    """Serialise plain data as compact JSON in the given key order, which for wire shapes is alphabetical (documented: seed samples).

    Every parser reads it: numbers that are not finite become null, or with `strings` texts such as "Infinity", and halves of
    surrogate pairs, which UTF-8 has no bytes for, become U+FFFD.
    """
    try:
        return to_json(value, inf_nan_mode=infinite)
    except PydanticSerializationError:
        return to_json(_replace_surrogates(value), inf_nan_mode=infinite)


def dump_in_pieces(value: Any) -> Iterator[bytes]:
    """Serialise as `dump` does with strings for infinite numbers, long texts and large containers in pieces, so that other threads get their turns."""
    if isinstance(value, str) and len(value) > _PIECE:
        yield b'"'
        for start in range(0, len(value), _PIECE):
            yield dump(value[start : start + _PIECE])[1:-1]
        yield b'"'
    elif isinstance(value, dict):
        opening = b"{"
        for name, item in value.items():
            yield opening
            yield from dump_in_pieces(name)
            yield b":"
            yield from dump_in_pieces(item)
            opening = b","
        yield b"}" if value else b"{}"
    elif isinstance(value, list) and not _is_short(value):
        opening = b"["
        for item in value:
            yield opening
            yield from dump_in_pieces(item)
            opening = b","
        yield b"]"
    else:
        yield dump(value, infinite="strings")


def _is_short(items: list[Any]) -> bool:
    """Whether a list is quickly written at once, which is many times quicker."""
    return len(items) < _FEW_ITEMS and all(isinstance(one, int | float | NoneType) for one in items)


def _replace_surrogates(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {_replace_surrogates(name): _replace_surrogates(item) for name, item in value.items()}
        case list() | tuple():
            return [_replace_surrogates(item) for item in value]
    return value


def parse_or_text(text: str) -> Any:
    """Parse a text as JSON; return the text itself if it is not JSON, as with many tool results."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return text
