"""Checks of recorded sessions: verdicts on their clients, and verification that every request was answered and rules used as expected."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

from emulator.engine.ruleset import Ruleset
from emulator.store.exchange import Exchange
from emulator.store.journal import Journal
from emulator.store.sessions import Session, Sessions
from emulator.verdicts.observation import Observation
from emulator.verdicts.registry import Verdict, judge_client
from emulator.verdicts.verification import Verification, verify


def judge_clients(exchanges: Iterable[Exchange], project: str | None = None) -> tuple[Verdict, ...]:
    """The verdicts on the clients of one session, or of all (None), each session judged separately."""
    sessions: defaultdict[str, list[Observation]] = defaultdict(list)
    # The journal is ordered by when exchanges ended; verdicts need the order in which requests arrived.
    for exchange in sorted(exchanges, key=lambda one: one.number):
        if project in {None, exchange.session}:
            sessions[exchange.session].append(observe(exchange))
    return tuple(verdict for observations in sessions.values() for verdict in judge_client(observations))


def observe(exchange: Exchange) -> Observation:
    """Convert an exchange to the observation that verdicts are computed from."""
    return Observation(
        number=exchange.number,
        started=exchange.started,
        ended=exchange.started + exchange.duration,
        target=exchange.target,
        host=exchange.sender.host,
        has_api_key=exchange.sender.has_api_key,
        credential=exchange.sender.credential,
        user_agent=exchange.sender.user_agent,
        connection=exchange.sender.connection,
        is_retry=exchange.sender.is_retry,
        body=exchange.body,
        outcome=exchange.outcome,
        client_left=exchange.ended == "client left" and not exchange.outcome.timeline.is_stalled,
    )


def verify_sessions(
    sessions: Sessions,
    journal: Journal,
    rules: Ruleset,
    rules_of: Callable[[Session], Ruleset],
    project: str | None,
    *,
    strict: bool,
) -> Verification:
    """Unanswered requests and unmet rule expectations of one session, or of all (None).

    `rules` are the server's. Sessions without rules of their own share them, so their uses are added up. `strict` requires every
    rule to be used.
    """
    if project is not None:
        session = sessions.find(project)
        entries = [exchange for exchange in journal if exchange.session == project]
        own_problems = verify(rules_of(session), session.uses, entries, strict=strict)
        unrouted = _describe_unrouted(journal, lambda name: name == project)
        return replace(
            own_problems,
            unanswered=own_problems.unanswered + unrouted,
            rules=session.unanswered + own_problems.rules,
        )
    known = sessions.all()
    own = {name for name, session in known if session.has_own_rules}
    uses: Counter[str] = Counter()
    for name, session in known:
        if name not in own:
            # A copy: the server counts on meanwhile.
            uses.update(dict(session.uses))
    shared = [exchange for exchange in journal if exchange.session not in own]
    found = [
        verify(rules, uses, shared, strict=strict),
        *(verify_sessions(sessions, journal, rules, rules_of, name, strict=strict) for name in sorted(own)),
    ]
    unrouted = _describe_unrouted(journal, lambda name: name not in own)
    begun = (problem for name, session in known if name not in own for problem in session.unanswered)
    return Verification(
        (*(problem for one in found for problem in one.unanswered), *unrouted),
        (*begun, *(problem for one in found for problem in one.rules)),
    )


def _describe_unrouted(journal: Journal, is_wanted: Callable[[str], bool]) -> tuple[str, ...]:
    """A sentence for each request that nothing routes, of the sessions that are wanted."""
    return tuple(
        f"exchange {one.number}{f', session {one.session}' if one.session else ''}: {one.report}"
        for one in journal.unrouted
        if is_wanted(one.session)
    )
