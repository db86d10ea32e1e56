"""What is said of a value beside its type: as an item of `Annotated`, or in place of a key's default."""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, get_type_hints


class Field:
    """What a key of a model, or the value behind it, is like; made by `field`."""

    __slots__ = ("alias", "default", "limits", "name", "owner")

    def __init__(self, default: Any, alias: str | None, limits: dict[str, Any]) -> None:
        self.default = default
        self.alias = alias
        self.limits = limits
        self.owner: Any = object
        self.name = ""

    @property
    def annotation(self) -> Any:
        """The type of the value, where it is a key's."""
        written = self.owner.__annotations__[self.name]
        # A class that is not there yet is named in quotes.
        return _hints(self.owner)[self.name] if isinstance(written, str) else written


@cache
def _hints(owner: Any) -> dict[str, Any]:
    return get_type_hints(owner, include_extras=True)


MISSING: Final = Field
"""In place of a default: the key has to be there."""


def field(default: Any = MISSING, *, alias: str | None = None, **limits: Any) -> Any:
    """A key with a default, the name by which it is written, and limits of its value such as `ge`, `min_length`, `allow_inf_nan`."""
    return Field(default, alias, limits)


class Tag:
    """The name of a union's branch."""

    __slots__ = ("tag",)

    def __init__(self, tag: str) -> None:
        self.tag = tag


class Discriminator:
    """A union whose branch is known by its tag, which a function tells of a value; None if no branch fits."""

    __slots__ = ("error", "message", "notify")

    def __init__(self, notify: Callable[[Any], str | None], *, error: str, message: str) -> None:
        """`error` and `message` are the type and the text of the error when no branch fits."""
        self.notify = notify
        self.error = error
        self.message = message


class Before:
    """A function that looks at a value as it is written, and may raise PydanticCustomError."""

    __slots__ = ("look",)

    def __init__(self, look: Callable[[Any], Any]) -> None:
        self.look = look


class After:
    """The same for a value that has the right type."""

    __slots__ = ("look",)

    def __init__(self, look: Callable[[Any], Any]) -> None:
        self.look = look
