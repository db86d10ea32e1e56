"""Sessions: what belongs to one project id besides its part of the journal."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from emulator.engine.matching.choose import Chosen
from emulator.engine.randomness import Overrides
from emulator.engine.ruleset import Ruleset
from emulator.engine.session import State

MOST_SESSIONS = 10_000
"""Sessions kept; the one unused for longest leaves first."""
TOKEN_REQUESTS = "token requests"  # noqa: S105  # no secret
"""What a session's token requests are counted under, among the uses of its rules."""


@dataclass(slots=True)
class Session:
    """How often each rule has answered, what flags are set, and what it has of its own: a scenario, rules, surroundings."""

    uses: dict[str, int] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()
    """The flags that rules have set."""
    ruleset: Ruleset | None = None
    text: str | None = None
    """The pushed scenario as it was written."""
    added: tuple[Ruleset, ...] = ()
    """Rules that Python code gave this session, which are tried before all others."""
    overrides: Overrides | None = None
    """What holds for all its answers, instead of what holds for those of the server."""
    merged: "tuple[tuple[Ruleset, tuple[Ruleset, ...]], Ruleset] | None" = None
    """The rules it answers by with others put before them, last of all, and what they were made of."""
    seen: int = -1
    """Up to which of the store's changes it is brought."""

    @property
    def state(self) -> State:
        """What the engine needs of it."""
        return State(self.uses, self.flags)

    def bring_forward(self, chosen: Chosen) -> None:
        """Count the use of a rule, and set its flags."""
        self.uses[chosen.rule.key] = chosen.use
        if chosen.rule.flags is not None:
            self.flags = chosen.rule.flags.apply(self.flags)

    def adopt(self, ruleset: Ruleset | None, text: str | None) -> None:
        """Answer by a scenario of its own from now on, or by the server's; uses and flags begin anew."""
        self.ruleset, self.text = ruleset, text
        self.uses = {}
        self.flags = frozenset()

    @property
    def has_own_rules(self) -> bool:
        """Whether it has rules that other sessions have not."""
        return self.ruleset is not None or bool(self.added)


class Sessions:
    """The sessions of a server."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        # A test asks for a session on its own thread while the server answers on another.
        self._lock = threading.Lock()

    def find(self, project: str) -> Session:
        """The session of a project, a new one if need be."""
        with self._lock:
            session = self._sessions.get(project)
            if session is None:
                session = self._sessions[project] = Session()
                if len(self._sessions) > MOST_SESSIONS:
                    self._sessions.popitem(last=False)
            else:
                self._sessions.move_to_end(project)
            return session

    def all(self) -> Sequence[tuple[str, Session]]:
        """The projects with their sessions."""
        with self._lock:
            return tuple(self._sessions.items())

    def reset(self, project: str | None) -> None:
        """Forget all that one session has, or all do."""
        with self._lock:
            if project is None:
                self._sessions.clear()
            else:
                self._sessions.pop(project, None)
