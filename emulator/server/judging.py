"""From the journal to the verdicts on its clients."""

from collections import defaultdict
from collections.abc import Iterable

from emulator.engine.verdicts import Observation, Verdict, judge_client
from emulator.server.exchanges import Exchange


def judge_clients(exchanges: Iterable[Exchange], project: str | None = None) -> tuple[Verdict, ...]:
    """The verdicts on the clients of one session, or of all, each session judged by itself."""
    sessions: defaultdict[str, list[Observation]] = defaultdict(list)
    # The journal goes by their ends, but what a client did is in the order of its requests.
    for exchange in sorted(exchanges, key=lambda one: one.number):
        if project in {None, exchange.session}:
            sessions[exchange.session].append(observe(exchange))
    return tuple(verdict for observations in sessions.values() for verdict in judge_client(observations))


def observe(exchange: Exchange) -> Observation:
    """What a judge needs of an exchange."""
    return Observation(
        number=exchange.number,
        started=exchange.started,
        ended=exchange.started + exchange.duration,
        target=exchange.target,
        host=exchange.sender.host,
        has_api_key=exchange.sender.has_api_key,
        credential=exchange.sender.credential,
        body=exchange.body,
        outcome=exchange.outcome,
        client_left=exchange.ended == "client left",
    )
