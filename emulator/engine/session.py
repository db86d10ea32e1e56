"""The state of a session as a value: use counts of its rules, and flags."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from emulator.scenario.flags import split_flags


class State(NamedTuple):
    """The state of a session when a request arrives; the caller updates it with the chosen rule."""

    uses: Mapping[str, int] = MappingProxyType({})
    """How often each rule has answered, by rule key."""
    flags: AbstractSet[str] = frozenset()
    """The names of the flags that are set."""

    def before(self, key: str, use: int) -> "State":
        """The state just before use number `use` of a rule."""
        return State({**self.uses, key: use - 1}, self.flags)


@dataclass(frozen=True, slots=True)
class FlagChange:
    """The flags that a rule requires and rules out, and those that it sets and clears when it answers."""

    required: frozenset[str]
    ruled_out: frozenset[str]
    set_: frozenset[str]
    cleared: frozenset[str]
    wanted: str = field(default="")
    """The requirement as the scenario writes it."""

    def holds(self, flags: AbstractSet[str]) -> bool:
        """Whether all required flags are set, and none that is ruled out."""
        return self.required <= flags and self.ruled_out.isdisjoint(flags)

    def apply(self, flags: AbstractSet[str]) -> frozenset[str]:
        """The flags after the rule has answered."""
        return frozenset(flags - self.cleared | self.set_)


def compile_flags(requires: Any, sets: Any) -> FlagChange | None:
    """Compile `requires` and `sets` of a rule; None for a rule that has neither."""
    if requires is None and sets is None:
        return None
    written = requires if isinstance(requires, list) else [requires] if requires else []
    return FlagChange(*split_flags(requires), *split_flags(sets), wanted=", ".join(written))


def show_flags(flags: AbstractSet[str]) -> str:
    """Flags as reports show them."""
    return ", ".join(sorted(flags)) or "nothing set"
