"""Closed, frozen classes whose annotations say what is read into them."""

from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar, NoReturn, Self

from emulator.validation.annotations import MISSING, Field
from emulator.validation.schemas import validator


class Model:
    """A mapping that is read key by key: a key that is misspelt is an error, and numbers are taken where texts are wanted.

    The names of the methods and of the attributes with underscores are pydantic's, whose core sets the latter.
    """

    __slots__ = ("__dict__", "__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__")

    __pydantic_fields_set__: set[str]
    model_fields: ClassVar[Mapping[str, Field]] = {}

    def __init_subclass__(cls) -> None:
        fields: dict[str, Field] = {}
        for base in reversed(cls.__mro__[1:]):
            fields.update(base.__dict__.get("model_fields", {}))
        cls.model_fields = fields | _own_fields(cls)

    def __init__(self, **values: Any) -> None:
        """Read the values as those of a mapping. Raises ValidationError."""
        validator(type(self)).validate_python(values, self_instance=self)

    @classmethod
    def model_validate(cls, value: object) -> Self:
        """Read a value. Raises ValidationError."""
        read: Self = validator(cls).validate_python(value)
        return read

    @classmethod
    def model_construct(cls, **values: Any) -> Self:
        """Make one of values that need not be read, by the names of the fields."""
        given = {name: values.get(name, copy(field.default)) for name, field in cls.model_fields.items()}
        return cls._make({name: value for name, value in given.items() if value is not MISSING}, set(values))

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        """The same with other values, by the names of the fields."""
        return self._make({**self.__dict__, **update}, {*self.model_fields_set, *update})

    @classmethod
    def _make(cls, values: dict[str, Any], given: set[str]) -> Self:
        made = cls.__new__(cls)
        object.__setattr__(made, "__dict__", values)
        object.__setattr__(made, "__pydantic_fields_set__", given)
        return made

    @property
    def model_fields_set(self) -> set[str]:
        """The names of the fields that were given."""
        return self.__pydantic_fields_set__

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


def _own_fields(model: type[Model]) -> dict[str, Field]:
    """The fields that a class itself annotates."""
    fields = {}
    for name in model.__annotations__:
        default = model.__dict__.get(name, MISSING)
        fields[name] = default if isinstance(default, Field) else Field(default, None, {})
        fields[name].owner, fields[name].name = model, name
    return fields
