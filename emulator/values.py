"""Classes that hold values: what the decorator of `dataclasses` makes of a class, but at once.

That one writes half a dozen functions for each class and compiles them, which for all classes of a server takes longer than the rest of
its code. Here it is one function, `__init__`, and not before the first instance; the others are the same for all classes.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, get_origin

if TYPE_CHECKING:
    from dataclasses import dataclass

__all__ = ["dataclass"]

_NOTHING: Any = object()


class _Part:
    """A field: its default, if it has one, or what makes it."""

    __slots__ = ("default", "factory", "is_shown", "kw_only")

    def __init__(self, default: Any, *, kw_only: bool) -> None:
        self.default = default
        self.factory: Callable[[], Any] | None = None
        self.kw_only = kw_only
        self.is_shown = True


class _StandardFields:
    """What the functions of `dataclasses` look for, made when they do."""

    def __get__(self, _instance: object, owner: Any) -> Any:
        from dataclasses import field, make_dataclass  # noqa: PLC0415  # hardly ever needed

        fields = []
        for name, one in owner.__value_fields__.items():
            default: dict[str, Any] = {"default": one.default} if one.default is not _NOTHING else {}
            if one.factory is not None:
                default = {"default_factory": one.factory}
            fields.append((name, Any, field(**default, kw_only=one.kw_only, repr=one.is_shown)))
        standard: Any = make_dataclass(owner.__name__, fields)
        owner.__dataclass_fields__ = standard.__dataclass_fields__
        return owner.__dataclass_fields__


def _dataclass(
    cls: Any = None, /, *, frozen: bool = False, slots: bool = False, kw_only: bool = False, eq: bool = True
) -> Any:
    """Make a class hold values, as the decorator of `dataclasses` with the same options does.

    Without slots instances have other attributes too, such as lazy ones.
    """

    def make(cls: type[Any]) -> Any:
        own = _own_fields(cls, kw_only=kw_only)
        fields: dict[str, _Part] = {}
        for base in reversed(cls.__mro__[1:]):
            fields |= base.__dict__.get("__value_fields__", {})
        members = {name: one for name, one in vars(cls).items() if name not in (*own, "__dict__", "__weakref__")}
        new = [name for name in own if name not in fields]
        matched = (name for name, one in own.items() if not one.kw_only)
        members |= {
            "__qualname__": cls.__qualname__,
            "__slots__": tuple(new) if slots else (*new, "__dict__", "__weakref__"),
            "__match_args__": tuple(dict.fromkeys((*getattr(cls, "__match_args__", ()), *matched))),
            "__value_fields__": fields | own,
            "__dataclass_fields__": _StandardFields(),
        }
        kind: Any = type(cls)
        made = kind(cls.__name__, cls.__bases__, _methods(frozen=frozen, eq=eq) | members)
        if "__init__" not in members:
            made.__init__ = _late_init(made, frozen=frozen)
        return made

    return make if cls is None else make(cls)


if not TYPE_CHECKING:
    dataclass = _dataclass


def _own_fields(cls: type[Any], *, kw_only: bool) -> dict[str, _Part]:
    """The fields that a class itself annotates."""
    fields = {}
    for name, annotation in cls.__annotations__.items():
        origin: Any = get_origin(annotation)
        if origin is ClassVar:
            continue
        default = vars(cls).get(name, _NOTHING)
        one = fields[name] = _Part(default, kw_only=kw_only)
        if type(default).__module__ == "dataclasses":
            _read_field(default, one)
    return fields


def _read_field(written: Any, one: _Part) -> None:
    """Take over what `dataclasses.field` says."""
    from dataclasses import MISSING  # noqa: PLC0415  # it is loaded if there is such a field

    one.default = _NOTHING if written.default is MISSING else written.default
    one.factory = None if written.default_factory is MISSING else written.default_factory
    one.kw_only = one.kw_only if written.kw_only is MISSING else written.kw_only
    one.is_shown = written.repr


def _late_init(made: Any, *, frozen: bool) -> Callable[..., None]:
    def init(self: Any, *given: Any, **named: Any) -> None:
        made.__init__ = write = _write_init(made, frozen=frozen)
        write(self, *given, **named)

    return init


def _write_init(made: Any, *, frozen: bool) -> Callable[..., None]:
    known: dict[str, Any] = {"_nothing": _NOTHING}
    heads: list[str] = []
    named: list[str] = []
    lines: list[str] = []
    for name, one in made.__value_fields__.items():
        head, given = name, name
        if one.factory is not None:
            known[f"_new_{name}"] = one.factory
            head, given = f"{name}=_nothing", f"_new_{name}() if {name} is _nothing else {name}"
        elif one.default is not _NOTHING:
            known[f"_default_{name}"] = one.default
            head = f"{name}=_default_{name}"
        # What is frozen refuses every attribute, but not what fills its slots.
        known[f"_set_{name}"] = getattr(made, name).__set__
        (named if one.kw_only else heads).append(head)
        lines.append(f"_set_{name}(self, {given})" if frozen else f"self.{name} = {given}")
    lines += ["self.__post_init__()"] * hasattr(made, "__post_init__")
    parameters = ", ".join(["self", *heads, *(["*", *named] if named else [])])
    text = f"def __init__({parameters}):\n  " + "\n  ".join(lines or ["pass"])
    exec(text, known)  # noqa: S102  # of names that stand in our sources
    init: Callable[..., None] = known["__init__"]
    init.__qualname__ = f"{made.__qualname__}.__init__"
    return init


def _methods(*, frozen: bool, eq: bool) -> dict[str, Any]:
    methods: dict[str, Any] = {"__repr__": _show}
    if eq:
        methods |= {"__eq__": _equal, "__hash__": _hash if frozen else None}
    if frozen:
        methods |= {
            "__setattr__": _refuse_to_set,
            "__delattr__": _refuse_to_delete,
            "__getstate__": _hold,
            "__setstate__": _restore,
        }
    return methods


def _hold(self: Any) -> dict[str, Any]:
    return {name: getattr(self, name) for name in self.__value_fields__}


def _show(self: Any) -> str:
    shown = (f"{name}={getattr(self, name)!r}" for name, one in self.__value_fields__.items() if one.is_shown)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _equal(self: Any, other: object) -> Any:
    return _hold(self) == _hold(other) if type(self) is type(other) else NotImplemented


def _hash(self: Any) -> int:
    return hash(tuple(_hold(self).values()))


def _refuse_to_set(self: Any, name: str, _value: object) -> NoReturn:
    from dataclasses import FrozenInstanceError  # noqa: PLC0415  # hardly ever needed

    raise FrozenInstanceError(f"cannot assign to field {name!r} of {type(self).__qualname__}")


def _refuse_to_delete(self: Any, name: str) -> NoReturn:
    from dataclasses import FrozenInstanceError  # noqa: PLC0415  # hardly ever needed

    raise FrozenInstanceError(f"cannot delete field {name!r} of {type(self).__qualname__}")


def _restore(self: Any, state: dict[str, Any]) -> None:
    for name, held in state.items():
        object.__setattr__(self, name, held)
