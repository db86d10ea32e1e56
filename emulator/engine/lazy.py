"""Values worked out once, when first asked for: once for an instance, or once for all that have it in common.

`functools.cached_property` does the same, but takes a lock each time on Python 3.11, which costs more than most facts of a request.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

Value = TypeVar("Value")


class Lazy(Generic[Value]):
    """A method that becomes an attribute holding its value."""

    def __init__(self, read: Callable[[Any], Value]) -> None:
        self._read = read
        self._name = read.__name__
        self.__doc__ = read.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object | None, owner: type) -> Self | Value:
        if instance is None:
            return self
        # There is no __set__: from now on the instance's own attribute is found first.
        value = instance.__dict__[self._name] = self._read(instance)
        return value

    if TYPE_CHECKING:

        def __set__(self, instance: object, value: Value) -> None:
            """Tell the type checker that such an attribute may be set."""


class Common(Lazy[Value]):
    """A method whose value is the same for all instances that have the dictionary `common` in common, where it is kept.

    It may follow only from what is the same for all of these, and not from what somebody sets on one of them.
    """

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: Any, owner: type) -> Self | Value:
        if instance is None:
            return self
        common, name = instance.common, self._name
        if name not in common:
            common[name] = self._read(instance)
        value: Value = common[name]
        instance.__dict__[name] = value
        return value
