"""JSON containment: whether a value contains another, and where it does not."""

from typing import Any

from emulator.wire.json_text import dump

_MISSING = object()


def to_json(value: Any) -> str:
    """Compact JSON for reports."""
    return dump(value).decode()


def find_difference(found: Any, wanted: Any, place: str = "") -> str | None:
    """Describe the first place where `found` does not contain `wanted`; None if it contains all of it.

    An object may have more keys, a list more items, in any order; other values are equal (1 and 1.0 too, but not 1 and true).
    """
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return f"{place or 'it'} is not an object"
        for key, value in wanted.items():
            inner = f"{place}.{key}" if place else str(key)
            got = found.get(key, _MISSING)
            if got is _MISSING:
                return f"{inner} is missing"
            difference = find_difference(got, value, inner)
            if difference is not None:
                return difference
        return None
    if isinstance(wanted, list):
        if not isinstance(found, list):
            return f"{place or 'it'} is not a list"
        for value in wanted:
            if all(find_difference(item, value) is not None for item in found):
                return f"no item of {place or 'the list'} contains {to_json(value)}"
        return None
    same = found == wanted and isinstance(found, bool) == isinstance(wanted, bool)
    return None if same else f"{place or 'it'} is {to_json(found)}"
