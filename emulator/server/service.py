"""The emulated service: one request in, one outcome out, with the state that belongs to it. Knows nothing of sockets."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from emulator.engine.answering import Outcome, answer, refuse_request
from emulator.engine.compiling import Ruleset, compile_rules
from emulator.engine.dice import Occasion
from emulator.engine.facts import Facts
from emulator.engine.vetting import refuse_malformed, vet
from emulator.scenario.reading import default_scenario_path, read_paths, read_text
from emulator.server.bearer import check_bearer, read_credentials
from emulator.server.journal import Exchange, Journal
from emulator.server.sessions import Sessions
from emulator.server.settings import SEEDED_MOMENT, Settings
from emulator.server.tokens import Mint
from emulator.wire.requests import MalformedRequestError, parse_request
from emulator.wire.targets import Target


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> float:
        """Unix time in seconds."""
        ...

    def elapsed(self) -> float:
        """Seconds on a clock that never goes back."""
        ...


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        """Unix time in seconds."""
        return time.time()

    def elapsed(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.perf_counter()


class Service:
    """Rules, sessions and journal of one server."""

    def __init__(self, ruleset: Ruleset, settings: Settings, *, clock: Clock, mint: Mint | None = None) -> None:
        self.ruleset = ruleset
        self.settings = settings
        self.clock = clock
        self.mint = mint or Mint()
        self.sessions = Sessions()
        self.journal = Journal(settings.journal_exchanges, settings.journal_bytes)
        self.on_exchange: list[Callable[[Exchange], None]] = []
        self._default = (
            compile_rules(read_paths([default_scenario_path()]).scenarios) if settings.fallback == "default" else None
        )

    def handle(self, target: Target, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> Exchange:
        """Answer a request; the exchange is not in the journal until `finish` says how it ended."""
        warnings: tuple[str, ...] = ()
        now = self.clock.now()
        refusal = check_bearer(self.settings.auth, target, read_credentials(headers, query), self.mint, now)
        if refusal is not None:
            outcome = refuse_request(refusal)
        else:
            try:
                parsed = parse_request(body, strict_json=self.settings.strict_json)
            except MalformedRequestError as error:
                outcome = refuse_request(refuse_malformed(error, target))
            else:
                warnings = parsed.warnings
                outcome = self._answer(Facts(target, headers, parsed.request), now)
        return Exchange(self.journal.next_number(), now, target, body, outcome, warnings)

    def _answer(self, facts: Facts, now: float) -> Outcome:
        refusal = vet(facts)
        if refusal is not None:
            return refuse_request(refusal)
        session = self.sessions.find(facts.target.project)
        rulesets = self._rulesets(session.ruleset)
        seed = self.settings.seed if self.settings.seed is not None else rulesets[0].seed
        occasion = Occasion(now if seed is None else SEEDED_MOMENT, seed, os.urandom(16))
        outcome = answer(rulesets, facts, session.uses, occasion)
        if outcome.chosen is not None:
            session.uses[outcome.chosen.rule.key] = outcome.chosen.use
        return outcome

    def _rulesets(self, pushed: Ruleset | None) -> Sequence[Ruleset]:
        first = pushed or self.ruleset
        return (first,) if self._default is None else (first, self._default)

    def finish(self, exchange: Exchange) -> None:
        """Put an exchange that has ended into the journal and tell those who listen."""
        self.journal.add(exchange)
        for listener in self.on_exchange:
            listener(exchange)

    def push(self, project: str, text: str) -> None:
        """Give a session a scenario of its own, which takes the place of the server's. Raises ScenarioError."""
        reading = read_text(text, f"<pushed for {project}>")
        session = self.sessions.find(project)
        session.ruleset, session.text = compile_rules(reading.scenarios), text
        session.uses.clear()

    def unpush(self, project: str) -> None:
        """Take a session's own scenario away."""
        session = self.sessions.find(project)
        session.ruleset = session.text = None
        session.uses.clear()

    def reset(self, project: str | None) -> None:
        """Forget counters, pushed scenarios and journal of one session, or of all."""
        self.sessions.reset(project)
        self.journal.remove(lambda exchange: project is None or exchange.target.project == project)
