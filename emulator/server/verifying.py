"""Whether all went as expected: rules and journal of one session, or of all."""

from collections import Counter
from collections.abc import Callable

from emulator.engine.compiling import Ruleset
from emulator.engine.verifying import Verification, verify
from emulator.server.journal import Journal
from emulator.server.sessions import Session, Sessions


def verify_sessions(
    sessions: Sessions,
    journal: Journal,
    rules: Ruleset,
    rules_of: Callable[[Session], Ruleset],
    project: str | None,
    *,
    strict: bool,
) -> Verification:
    """What is wrong with the past of one session, or of all; `rules` are those of sessions that have none of their own."""
    if project is not None:
        session = sessions.find(project)
        entries = [exchange for exchange in journal if exchange.session == project]
        return verify(rules_of(session), session.uses, entries, strict=strict)
    known = sessions.all()
    own = {name for name, session in known if session.has_own_rules}
    uses: Counter[str] = Counter()
    for name, session in known:
        if name not in own:
            uses.update(session.uses)
    shared = [exchange for exchange in journal if exchange.session not in own]
    found = [
        verify(rules, uses, shared, strict=strict),
        *(verify_sessions(sessions, journal, rules, rules_of, name, strict=strict) for name in sorted(own)),
    ]
    return Verification(
        tuple(problem for one in found for problem in one.unanswered),
        tuple(problem for one in found for problem in one.rules),
    )
