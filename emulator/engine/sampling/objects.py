"""Objects: every property near the top, only the required ones further down."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from emulator.engine.sampling.patterns import matches, write_matching
from emulator.engine.sampling.schema import Part, TooLarge, contradiction, escape, members, too_large
from emulator.engine.sampling.state import Maker, Parts, Spot, highest, lowest, where
from emulator.engine.sampling.words import write_name
from emulator.errors import AnswerError

MOST_PROPERTIES = 1_000
_NAME_TRIES = 30
_LONGEST_NAME = 60


def make_object(parts: Parts, spot: Spot, maker: Maker) -> dict[str, Any]:
    """An object that satisfies all the schemas, its properties in the order of the schemas.

    Raises:
        AnswerError: A property that must be there cannot be made or is not allowed.
    """
    least, most = highest(parts, "minProperties"), lowest(parts, "maxProperties", MOST_PROPERTIES)
    required = _required(parts)
    if max(least, len(required)) > MOST_PROPERTIES:
        raise too_large(where(parts, "minProperties"), f"more than {MOST_PROPERTIES} properties are asked for")
    if max(least, len(required)) > most:
        reason = f"maxProperties {most} is below the {max(least, len(required))} properties that must be there"
        raise contradiction(where(parts, "maxProperties"), reason)
    inner = spot.below(parts)
    made = {name: _make_required(name, parts, inner, maker) for name in required}
    optional = [name for name in _named(parts) if name not in made]
    for name in optional:
        if len(made) < most and _is_wanted(name, parts, inner, maker):
            _add(made, name, parts, inner, maker)
    names = chain(optional, _other_names(parts, inner, maker))
    wanted = max(least, len(made) + _extras(parts, made, inner, maker))
    while len(made) < min(wanted, most) and (other := next(names, None)) is not None:
        if other not in made:
            _add(made, other, parts, inner, maker)
    if len(made) < least:
        raise contradiction(where(parts, "minProperties"), f"minProperties {least}, but only {len(made)} could be made")
    return _complete(_sorted(made, parts), parts, inner, maker)


def _named(parts: Parts) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part.mapping("properties")))


def _required(parts: Parts) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part.names("required")))


def _sorted(made: dict[str, Any], parts: Parts) -> dict[str, Any]:
    order = {name: index for index, name in enumerate(dict.fromkeys([*_named(parts), *made]))}
    return dict(sorted(made.items(), key=lambda item: order[item[0]]))


def _property(name: str, parts: Parts) -> Parts:
    """What the schemas together ask of a property; free when they say nothing."""
    found = tuple(member for part in parts for member in members(part, name, matches))
    return found or (Part(f"{where(parts, 'required')}/properties/{escape(name)}"),)


def _make_required(name: str, parts: Parts, inner: Spot, maker: Maker) -> Any:
    wanted = _property(name, parts)
    if any(part.never for part in wanted) or not _may_be_called(name, parts, maker):
        raise contradiction(where(parts, "required"), f'property "{name}" is required but not allowed')
    return maker.make(wanted, inner.named(name))


def _may_be_called(name: str, parts: Parts, maker: Maker) -> bool:
    return maker.is_satisfied(
        name, tuple(part.at("propertyNames") for part in parts if part.has_schema("propertyNames"))
    )


def _is_wanted(name: str, parts: Parts, inner: Spot, maker: Maker) -> bool:
    """Whether an optional property is put in: near the top, unless it leads back into what is around it."""
    wanted = _property(name, parts)
    if inner.is_lean or maker.comes_round(wanted, inner) or any(maker.heights.is_endless(part) for part in wanted):
        return False
    return not inner.is_retry or maker.random.random() < 0.5  # noqa: PLR2004  # even odds


def _add(made: dict[str, Any], name: str, parts: Parts, inner: Spot, maker: Maker) -> None:
    """Put a property in that need not be there, if it can be made."""
    wanted = _property(name, parts)
    if any(part.never for part in wanted) or not _may_be_called(name, parts, maker):
        return
    try:
        made[name] = maker.make(wanted, inner.named(name))
    except TooLarge:
        raise
    except AnswerError:
        return


def _extras(parts: Parts, made: dict[str, Any], inner: Spot, maker: Maker) -> int:
    """How many properties to make up: one for a plain map, none beside named properties."""
    values = [
        part.at("additionalProperties") for part in parts if isinstance(part.keywords.get("additionalProperties"), dict)
    ]
    is_map = bool(values) and not made and not _named(parts)
    return 1 if is_map and not inner.is_lean and not maker.comes_round(tuple(values), inner) else 0


def _other_names(parts: Parts, inner: Spot, maker: Maker) -> Iterator[str]:
    """Names for properties that the schemas do not name, as far as they may have any."""
    if any(part.keywords.get("unevaluatedProperties") is False for part in parts):
        return
    rules = tuple(part.at("propertyNames") for part in parts if part.has_schema("propertyNames"))
    patterns = list(dict.fromkeys(pattern for part in parts for pattern in part.mapping("patternProperties")))
    taken: list[str] = []
    for attempt in range(MOST_PROPERTIES + _NAME_TRIES):
        for pattern in patterns:
            yield from list(write_matching(pattern, maker.random, 1, _LONGEST_NAME))[:2]
        if not rules:
            name = write_name(maker.random)
            yield f"{name}_{attempt}" if attempt > _NAME_TRIES else name
            continue
        try:
            name = maker.make((*rules, Part("#(name)", {"type": "string"})), inner, taken)
        except AnswerError:
            return
        taken.append(name)
        yield name


def _complete(made: dict[str, Any], parts: Parts, inner: Spot, maker: Maker) -> dict[str, Any]:
    """Add what `dependentRequired` asks for beside the properties that are there."""
    todo = list(made)
    for name in todo:
        for part in parts:
            names = part.mapping("dependentRequired").get(name)
            for other in names if isinstance(names, list) else []:
                if isinstance(other, str) and other not in made:
                    made[other] = _make_required(other, parts, inner, maker)
                    todo.append(other)
    return made
