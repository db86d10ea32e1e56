"""Sessions: the state of one project id, apart from its exchanges in the journal."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from emulator.engine.matching.choose import Chosen
from emulator.engine.randomness import Overrides
from emulator.engine.ruleset import Ruleset
from emulator.engine.session import State

MAX_SESSIONS = 10_000
"""Sessions kept; the least recently used is evicted first."""
TOKEN_REQUESTS = "token requests"  # noqa: S105  # no secret
"""The key in `Session.uses` that counts requests for access tokens."""


MAX_PREFIXES = 16_384
"""Prompt prefixes remembered for a session, of 2 KiB of a prompt each; the oldest are forgotten first."""


class KnownPrefixes:
    """The digests of prompt prefixes that a session has sent, for implicit caching; bounded by `MAX_PREFIXES`."""

    def __init__(self) -> None:
        self._digests: dict[bytes, None] = {}

    def recall(self, prefixes: Sequence[bytes]) -> int:
        """Remember the prefixes of a prompt, shortest first; return how many of them were known, from the first."""
        digests = self._digests
        known = next((at for at in range(len(prefixes), 0, -1) if prefixes[at - 1] in digests), 0)
        for one in prefixes:
            digests.pop(one, None)
            digests[one] = None
        while len(digests) > MAX_PREFIXES:
            del digests[next(iter(digests))]
        return known


@dataclass(slots=True)
class Session:
    """Use counters of rules, flags, and what overrides the server's settings: scenario, added rules, overrides."""

    uses: dict[str, int] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()
    """The flags that rules have set."""
    prefixes: KnownPrefixes = field(default_factory=KnownPrefixes)
    """The prompt prefixes that it has sent, in a server with one process."""
    ruleset: Ruleset | None = None
    """The compiled pushed scenario, if there is one."""
    text: str | None = None
    """The pushed scenario as it was written."""
    version: str = ""
    """What tells this pushed scenario from others, in a store that processes share."""
    added: tuple[Ruleset, ...] = ()
    """Rules that Python code added to this session; they are tried before all others."""
    unanswered: tuple[str, ...] = ()
    """What is wrong with rules that Python code began and that have no answer yet, each a sentence."""
    overrides: Overrides | None = None
    """Overrides for all its answers; they replace those of the server."""
    merged: "tuple[tuple[Ruleset, tuple[Ruleset, ...]], Ruleset] | None" = None
    """The last merge of base and added rules: its parts, and the resulting ruleset."""
    seen: int = -1
    """Number of the last store change that this replica includes."""

    @property
    def state(self) -> State:
        """Use counters and flags, as the engine reads them."""
        return State(self.uses, self.flags)

    def record_use(self, chosen: Chosen) -> int:
        """Count a use of the chosen rule, apply its flag changes, and return the number of the use."""
        key = chosen.rule.key
        self.uses[key] = use = self.uses.get(key, 0) + 1
        if chosen.rule.flags is not None:
            self.flags = chosen.rule.flags.apply(self.flags)
        return use

    def replace_scenario(self, ruleset: Ruleset | None, text: str | None) -> None:
        """Set its own scenario, or return to the server's (None); reset uses and flags."""
        self.ruleset, self.text = ruleset, text
        self.uses = {}
        self.flags = frozenset()
        self.prefixes = KnownPrefixes()

    @property
    def has_own_rules(self) -> bool:
        """Whether it has a pushed scenario or added rules."""
        return self.ruleset is not None or bool(self.added)


class Sessions:
    """The sessions of a server by project id, bounded by `MAX_SESSIONS`."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        # Tests read sessions on their own thread while the server answers on another.
        self._lock = threading.Lock()

    def find(self, project: str) -> Session:
        """Return the session of a project; create it if it does not exist."""
        with self._lock:
            session = self._sessions.get(project)
            if session is None:
                session = self._sessions[project] = Session()
                if len(self._sessions) > MAX_SESSIONS:
                    self._sessions.popitem(last=False)
            else:
                self._sessions.move_to_end(project)
            return session

    def all(self) -> Sequence[tuple[str, Session]]:
        """All project ids with their sessions."""
        with self._lock:
            return tuple(self._sessions.items())

    def reset(self, project: str | None) -> None:
        """Delete one session, or all (None)."""
        with self._lock:
            if project is None:
                self._sessions.clear()
            else:
                self._sessions.pop(project, None)
