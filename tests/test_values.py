"""Our classes of values are what `dataclasses` makes of them."""

import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, field, fields, is_dataclass, replace
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from emulator import values


def declare(dataclass: Callable[..., Any]) -> Any:
    """Classes of all kinds that there are, made by a decorator."""

    @dataclass(frozen=True, slots=True)
    class Base:
        kind: ClassVar[str] = "base"
        name: str
        sizes: list[int] = field(default_factory=list)
        secret: str = field(default="", repr=False)
        by_name: bool = field(default=False, kw_only=True)

        def __post_init__(self) -> None:
            if self.name == "bad":
                raise ValueError("a bad name")

    @dataclass(frozen=True, slots=True)
    class Derived(Base):
        more: "Base | None" = None

    @dataclass(slots=True, kw_only=True)
    class Changing:
        count: int
        step: int = 1

    @dataclass(frozen=True, eq=False)
    class Open:
        one: int = 1

    return SimpleNamespace(Base=Base, Derived=Derived, Changing=Changing, Open=Open)


OURS, THEIRS = declare(values.dataclass), declare(dataclasses.dataclass)

SAME: dict[str, Callable[[Any], Any]] = {
    "shown": lambda of: repr(of.Derived("a", [1], "hidden", of.Base("b"), by_name=True)).replace(
        of.Base.__qualname__, ""
    ),
    "equal": lambda of: of.Base("a") == of.Base("a") != of.Base("b"),
    "of another class": lambda of: of.Base("a") == of.Derived("a"),
    "hash": lambda of: hash(of.Derived("a", (), "", 1)) == hash(of.Derived("a", (), "", 1)),
    "hash of what changes": lambda of: hash(of.Changing(count=1)),
    "by identity": lambda of: of.Open() == of.Open(),
    "fresh defaults": lambda of: of.Base("a").sizes is of.Base("a").sizes,
    "too few": lambda of: of.Base(),
    "unknown": lambda of: of.Changing(number=1),
    "by position": lambda of: of.Changing(1),
    "checked": lambda of: of.Base("bad"),
    "mapping": lambda of: asdict(of.Derived("a", [1], more=of.Base("b"))),
    "replaced": lambda of: repr(replace(of.Changing(count=1), step=5)).partition("(")[2],
    "fields": lambda of: [(one.name, one.repr, one.kw_only) for one in fields(of.Derived)],
    "is one": lambda of: (is_dataclass(of.Base), is_dataclass(of.Open())),
    "matched": lambda of: (of.Derived.__match_args__, of.Changing.__match_args__),
    "class variable": lambda of: of.Derived.kind,
    "changed": lambda of: setattr(of.Base("a"), "name", "b"),
    "deleted": lambda of: delattr(of.Base("a"), "name"),
    "no such attribute": lambda of: setattr(of.Changing(count=1), "other", 1),
    "open": lambda of: vars(of.Open()).update(other=1),
}


def outcome(act: Callable[[Any], Any], of: Any) -> Any:
    """What comes of it, or the kind of error."""
    try:
        return act(of)
    except Exception as error:  # noqa: BLE001  # whatever it is, both have to raise it
        return type(error)


@pytest.mark.parametrize("name", SAME)
def test_values_do_as_dataclasses_do(name: str) -> None:
    """The same comes of whatever is done with them, and the same errors."""
    assert outcome(SAME[name], OURS) == outcome(SAME[name], THEIRS)


@values.dataclass(frozen=True, slots=True)
class Sent:
    """Something that goes to another process."""

    number: int
    text: str = ""


def test_values_can_be_pickled() -> None:
    """A frozen value that another process has read is equal, and frozen too."""
    read = pickle.loads(pickle.dumps(Sent(1, "a")))  # noqa: S301  # written here
    assert read == Sent(1, "a")
    with pytest.raises(FrozenInstanceError, match=r"cannot assign to field 'number' of Sent"):
        read.number = 2
