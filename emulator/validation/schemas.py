"""Type annotations -> what pydantic's core reads values by.

Pydantic itself does this for annotations of every kind; to load it and let it do so was a third of a server's start.
"""

from collections.abc import Callable
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic_core import SchemaValidator

from emulator.validation.annotations import MISSING, After, Before, Discriminator, Field, Tag

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
else:
    # It is a type only, of a part of the package that nothing else here needs.
    ErrorDetails = dict

__all__ = ["ErrorDetails", "core_schema", "validator"]

Schema = dict[str, Any]

_SCALARS: dict[Any, str] = {str: "str", int: "int", float: "float", bool: "bool", Any: "any"}


def core_schema(annotation: Any) -> Any:
    """The core schema of a type."""
    return _Writer().write(annotation)


def _make(annotation: Any) -> SchemaValidator:
    return SchemaValidator(core_schema(annotation))


validator: Callable[[Any], SchemaValidator] = cache(_make)
"""What reads values of a type, made once."""


class _Writer:
    """Writes one schema. A class that occurs several times is defined once, one that occurs once stands where it occurs."""

    def __init__(self) -> None:
        self._definitions: dict[str, Schema] = {}
        self._places: dict[str, list[Schema]] = {}

    def write(self, annotation: Any) -> Schema:
        """The whole schema of a type."""
        top = self._write(annotation)
        for ref, places in self._places.items():
            if len(places) == 1:
                places[0].clear()
                places[0].update(self._definitions.pop(ref))
        if not self._definitions:
            return top
        return {"type": "definitions", "schema": top, "definitions": [*self._definitions.values()]}

    def _write(self, annotation: Any) -> Schema:
        if annotation is Any or isinstance(annotation, type):
            scalar = _SCALARS.get(annotation)
            return self._write_class(annotation) if scalar is None else {"type": scalar}
        if hasattr(annotation, "__metadata__"):
            return self._write_annotated(annotation.__origin__, annotation.__metadata__)
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin in (Union, UnionType):
            return self._write_union(arguments)
        if origin is Literal:
            return {"type": "literal", "expected": [*arguments]}
        if origin is list:
            return {"type": "list", "items_schema": self._write(arguments[0])}
        keys, values = map(self._write, arguments)
        return {"type": "dict", "keys_schema": keys, "values_schema": values}

    def _write_annotated(self, inner: Any, said: tuple[Any, ...]) -> Schema:
        decided = next((one for one in said if isinstance(one, Discriminator)), None)
        schema = self._write(inner) if decided is None else self._write_tagged(inner, decided)
        for one in said:
            if isinstance(one, Field):
                _limit(schema, one.limits)
            elif isinstance(one, Before):
                schema = _call("function-before", one.look, schema)
            elif isinstance(one, After):
                schema = _call("function-after", one.look, schema)
        return schema

    def _write_tagged(self, union: Any, decided: Discriminator) -> Schema:
        return {
            "type": "tagged-union",
            "choices": {_tag_of(branch): self._write(branch) for branch in get_args(union)},
            "discriminator": decided.notify,
            "custom_error_type": decided.error,
            "custom_error_message": decided.message,
        }

    def _write_union(self, branches: tuple[Any, ...]) -> Schema:
        some = [self._write(branch) for branch in branches if branch is not NoneType]
        schema = some[0] if len(some) == 1 else {"type": "union", "choices": some}
        return schema if len(some) == len(branches) else {"type": "nullable", "schema": schema}

    def _write_class(self, kind: type[Any]) -> Schema:
        ref = f"{kind.__module__}.{kind.__qualname__}:{id(kind)}"
        place: Schema = {"type": "definition-ref", "schema_ref": ref}
        if ref in self._places:
            self._places[ref].append(place)
        else:
            self._places[ref] = [place]
            write = self._write_model if hasattr(kind, "model_fields") else self._write_open
            self._definitions[ref] = {**write(kind), "ref": ref}
        return place

    def _write_model(self, model: type[Any]) -> Schema:
        fields = {name: self._write_field(one) for name, one in model.model_fields.items()}
        return {
            "type": "model",
            "cls": model,
            "schema": {"type": "model-fields", "fields": fields, "model_name": model.__name__},
            "config": {
                "extra_fields_behavior": "forbid",
                "coerce_numbers_to_str": True,
                "validate_by_name": False,
                "validate_by_alias": True,
                "title": model.__name__,
            },
        }

    def _write_field(self, one: Field) -> Schema:
        schema = self._write(one.annotation)
        _limit(schema, one.limits)
        if one.default is not MISSING:
            schema = {"type": "default", "schema": schema, "default": one.default}
        found = {"type": "model-field", "schema": schema}
        return found if one.alias is None else {**found, "validation_alias": one.alias}

    def _write_open(self, kind: type[Any]) -> Schema:
        """The schema of a TypedDict: no key is needed, keys that it does not name are kept, nothing is converted."""
        hints = get_type_hints(kind, include_extras=True)
        fields = {
            name: {"type": "typed-dict-field", "schema": self._write(hint), "required": False}
            for name, hint in hints.items()
        }
        return {
            "type": "typed-dict",
            "cls": kind,
            "fields": fields,
            "extra_behavior": "allow",
            "config": {"extra_fields_behavior": "allow", "strict": True, "title": kind.__name__},
        }


def _tag_of(branch: Any) -> str:
    return next(one.tag for one in branch.__metadata__ if isinstance(one, Tag))


def _limit(schema: Schema, limits: dict[str, Any]) -> None:
    """Set limits where the value itself is read."""
    if limits:
        while schema["type"] in ("nullable", "function-before", "function-after"):
            schema = schema["schema"]
        schema.update(limits)


def _call(type_: str, look: Callable[[Any], Any], schema: Schema) -> Schema:
    return {"type": type_, "function": {"type": "no-info", "function": look}, "schema": schema}
