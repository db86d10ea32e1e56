"""JSON containment: whether a value contains another, and where it does not."""

from typing import Any

from emulator.wire.json_text import dump

_MISSING = object()


def to_json(value: Any) -> str:
    """Compact JSON for reports."""
    return dump(value).decode()


def contains(found: Any, wanted: Any) -> bool:
    """Whether `found` contains `wanted`: `find_difference` without its text, which is dear where many items are compared."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return False
        for key, value in wanted.items():  # noqa: SIM110  # runs for each item of long lists, and a generator would double the cost
            if key not in found or not contains(found[key], value):
                return False
        return True
    if isinstance(wanted, list):
        return isinstance(found, list) and all(_has_item(found, value) for value in wanted)
    return bool(found == wanted) and isinstance(found, bool) == isinstance(wanted, bool)


def _has_item(items: list[Any], wanted: Any) -> bool:
    for item in items:  # noqa: SIM110  # as in `contains`
        if contains(item, wanted):
            return True
    return False


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
            if not _has_item(found, value):
                return f"no item of {place or 'the list'} contains {to_json(value)}"
        return None
    return None if contains(found, wanted) else f"{place or 'it'} is {to_json(found)}"
