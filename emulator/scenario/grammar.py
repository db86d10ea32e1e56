"""Which part of the language stands where: from a way through a file to the model that reads it, and its name."""

from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import Tag

from emulator.scenario.conversation import TURNS, AssistantTurn
from emulator.scenario.faults import Chunks
from emulator.scenario.rules import Rule, Scenario
from emulator.scenario.steps import VERBS
from emulator.scenario.types import Model
from emulator.scenario.when import Test, When

ModelLoc = tuple[str | int, ...]


def is_tag(part: str | int) -> bool:
    """Whether a part of a way is the tag of a union's branch, which is not written in the file."""
    return isinstance(part, str) and part.startswith("<") and part.endswith(">")


def list_keys(model: type[Model]) -> tuple[str, ...]:
    """The keys a model accepts, as they are written."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def find_model(loc: Sequence[str | int]) -> type[Model] | None:
    """The model that reads the mapping at a place, None where there is none (a list, free JSON)."""
    found: Any = Scenario
    for part in loc:
        found = _descend(found, part)
    models = [option for _tag, option in _branches(found) if isinstance(option, type) and issubclass(option, Model)]
    return models[0] if models else None


def name_part(loc: Sequence[str | int]) -> str:
    """What a person calls the mapping at a place: `a rule`, `a say step`, `"usage"`."""
    model = find_model(loc)
    if model is None:
        return subject(loc)
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
    verbs = [verb for verb in VERBS if verb in list_keys(model) and isinstance(loc[-1], str) and is_tag(loc[-1])]
    if verbs and issubclass(model, Chunks):
        return f"a {verbs[0]} fault"
    if verbs:
        return f"{'an' if verbs[0][0] in 'aeiou' else 'a'} {verbs[0]} step"
    return subject(loc)


def subject(loc: Sequence[str | int]) -> str:
    """A value by its key: `"times"`, `item 2 of "has"`."""
    written = [part for part in loc if not is_tag(part)]
    if not written:
        return "the scenario"
    if isinstance(written[-1], int):
        return f"item {written[-1] + 1} of {subject(written[:-1])}"
    return f'"{written[-1]}"'


def walk_models(value: Any, loc: ModelLoc = ()) -> Iterator[tuple[ModelLoc, Model]]:
    """Every model inside a value, itself first, each with its way in the file."""
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
    for tag, option in _branches(annotation):
        if is_tag(part):
            if tag == part:
                return option
            continue
        if isinstance(option, type) and issubclass(option, Model) and isinstance(part, str):
            for name, field in option.model_fields.items():
                if part == (field.alias or name):
                    return get_type_hints(option, include_extras=True)[name]
        origin = get_origin(option)
        if origin is list and isinstance(part, int):
            return get_args(option)[0]
        if origin is dict and isinstance(part, str):
            return get_args(option)[1]
    return Any
