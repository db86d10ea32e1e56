"""Locations in a scenario file: which model reads the value there, and what messages call it."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import Tag

from emulator.scenario.conversation import TURNS, AssistantTurn
from emulator.scenario.faults import ChunkPosition
from emulator.scenario.rules import Rule, Scenario
from emulator.scenario.steps import VERBS
from emulator.scenario.types import Model, list_keys
from emulator.scenario.when import Test, When
from emulator.scenario.yaml import Location, is_tag


def model_at(loc: Location) -> type[Model] | None:
    """The model that reads the mapping at a location, None where there is none (a list, free JSON)."""
    found: Any = Scenario
    for part in loc:
        found = _descend(found, part)
    return next((branch for _tag, branch in _branches(found) if _is_model(branch)), None)


def name_of_mapping(loc: Location) -> str:
    """What a person calls the mapping at a location: `a rule`, `a say step`, `"usage"`."""
    model = model_at(loc)
    if model is None:
        return name_of_value(loc)
    if model is Scenario:
        return "a scenario"
    if issubclass(model, Rule):
        return "a rule"
    if model in TURNS:
        return f"{'an' if model is AssistantTurn else 'a'} {list_keys(model)[0]} turn"
    if issubclass(model, Test):
        return "a test"
    if issubclass(model, When):
        return '"when"'
    verbs = [verb for verb in VERBS if verb in list_keys(model) and is_tag(loc[-1])]
    if verbs and issubclass(model, ChunkPosition):
        return f"a {verbs[0]} fault"
    if verbs:
        return f"{'an' if verbs[0][0] in 'aeiou' else 'a'} {verbs[0]} step"
    return name_of_value(loc)


def name_of_value(loc: Location) -> str:
    """A value by its key: `"times"`, `item 2 of "has"`."""
    written = tuple(part for part in loc if not is_tag(part))
    if not written:
        return "the scenario"
    if isinstance(written[-1], int):
        return f"item {written[-1] + 1} of {name_of_value(written[:-1])}"
    return f'"{written[-1]}"'


def walk_models(value: Any, loc: Location = ()) -> Iterator[tuple[Location, Model]]:
    """Every model inside a value, itself first, each with its location in the file."""
    if isinstance(value, Model):
        yield loc, value
        for name, field in type(value).model_fields.items():
            if name in value.model_fields_set:
                yield from walk_models(getattr(value, name), (*loc, field.alias or name))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from walk_models(item, (*loc, number))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from walk_models(item, (*loc, key))


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Model)


def _branches(annotation: Any) -> Iterator[tuple[str | None, Any]]:
    """The branches of an annotation, each with its tag; an annotation that is no union is its own only branch."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        tags = [item.tag for item in metadata if isinstance(item, Tag)]
        if tags:
            yield tags[0], inner
        else:
            yield from _branches(inner)
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            if member is not NoneType:
                yield from _branches(member)
    else:
        yield None, annotation


def _descend(annotation: Any, part: str | int) -> Any:
    """The annotation of what an annotated value has under a key, a number or a tag; Any if nothing is known of it."""
    for tag, branch in _branches(annotation):
        if is_tag(part):
            if tag == part:
                return branch
            continue
        if _is_model(branch):
            for name, field in branch.model_fields.items():
                if part == (field.alias or name):
                    # Not `field.annotation`, in which a class that is defined later may still be a name.
                    return get_type_hints(branch, include_extras=True)[name]
        origin = get_origin(branch)
        if origin is list and isinstance(part, int):
            return get_args(branch)[0]
        if origin is dict and isinstance(part, str):
            return get_args(branch)[1]
    return Any
