"""Sessions: what belongs to one project id besides its part of the journal."""

from collections import OrderedDict
from dataclasses import dataclass, field

from emulator.engine.compiling import Ruleset

MOST_SESSIONS = 10_000
"""Sessions kept; the one unused for longest leaves first."""


@dataclass(slots=True)
class Session:
    """How often each rule has answered, and the scenario pushed for this session, if any."""

    uses: dict[str, int] = field(default_factory=dict)
    ruleset: Ruleset | None = None
    text: str | None = None
    """The pushed scenario as it was written."""


class Sessions:
    """The sessions of a server."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def find(self, project: str) -> Session:
        """The session of a project, a new one if need be."""
        session = self._sessions.get(project)
        if session is None:
            session = self._sessions[project] = Session()
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        else:
            self._sessions.move_to_end(project)
        return session

    def reset(self, project: str | None) -> None:
        """Forget the uses and the pushed scenario of one session, or of all."""
        if project is None:
            self._sessions.clear()
        else:
            self._sessions.pop(project, None)
