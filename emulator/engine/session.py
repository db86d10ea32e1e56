"""What a session remembers, as a value: how often its rules have answered, and the flags they have set."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from emulator.scenario.flags import split_flags


class State(NamedTuple):
    """The state of a session when a request comes; the caller brings it forward with what was chosen."""

    uses: Mapping[str, int] = MappingProxyType({})
    """How often each rule has answered, by the rules' keys."""
    flags: AbstractSet[str] = frozenset()
    """The names of the flags that are set."""

    def before(self, key: str, use: int) -> "State":
        """The same before the use of this number of a rule."""
        return State({**self.uses, key: use - 1}, self.flags)


@dataclass(frozen=True, slots=True)
class Flagging:
    """What a rule requires of the session's flags, and what becomes of them when it answers."""

    required: frozenset[str]
    ruled_out: frozenset[str]
    set_: frozenset[str]
    cleared: frozenset[str]
    wanted: str = field(default="")
    """What is required, as it is written."""

    def holds(self, flags: AbstractSet[str]) -> bool:
        """Whether all required flags are set, and none that must not be."""
        return self.required <= flags and self.ruled_out.isdisjoint(flags)

    def apply(self, flags: AbstractSet[str]) -> frozenset[str]:
        """The flags after the rule has answered."""
        return frozenset(flags - self.cleared | self.set_)


def compile_flags(requires: Any, sets: Any) -> Flagging | None:
    """What a rule says of flags; None for a rule that says nothing."""
    if requires is None and sets is None:
        return None
    written = requires if isinstance(requires, list) else [requires] if requires else []
    return Flagging(*split_flags(requires), *split_flags(sets), wanted=", ".join(written))


def show_flags(flags: AbstractSet[str]) -> str:
    """Flags as a report shows them."""
    return ", ".join(sorted(flags)) or "nothing set"
