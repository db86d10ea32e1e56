"""The emulated service: one request in, one outcome out, with the state that belongs to it. Knows nothing of sockets."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from emulator.catalogue.quirks import QuirkName, expand
from emulator.catalogue.variations import Variation
from emulator.engine.answer import Outcome, answer, emulator_failure, refuse_request, unexpected_error
from emulator.engine.matching.choose import find_chosen
from emulator.engine.quota import QuotaTicket, admit
from emulator.engine.randomness import AnswerInputs, Overrides
from emulator.engine.rendering.families import family_of, refuse_endpoint, refuse_in_container
from emulator.engine.request.facts import Facts
from emulator.engine.routes.route import AnswerFunction, read_route
from emulator.engine.routes.vetting import as_unary, refuse_unary
from emulator.engine.ruleset import Ruleset, compile_rules, put_before
from emulator.engine.vetting.context import VettingPolicy
from emulator.engine.vetting.vet import RouteCheck, VettingResult, refuse_malformed, vet
from emulator.errors import AnswerError
from emulator.scenario.loading import Reading, default_scenario_path, read_paths
from emulator.scenario.rules import Tokens
from emulator.server.authentication import check_bearer, passes_until
from emulator.server.clock import Clock
from emulator.server.entropy import Entropy
from emulator.server.overrides import PACE_HEADER, apply_variation, build_overrides
from emulator.server.request_cache import Readings, Received
from emulator.server.settings import SEEDED_MOMENT, Settings
from emulator.server.tokens import Mint
from emulator.store.exchange import Exchange, TokenExchange
from emulator.store.journal import Journal
from emulator.store.sessions import TOKEN_REQUESTS, Session, Sessions
from emulator.store.store import MemoryStore, Pushed, Store, agree, read_pushed, run_without_waiting
from emulator.verdicts.observation import Observation
from emulator.verdicts.registry import Verdict, judge_client
from emulator.verdicts.verification import Verification, verify
from emulator.wire.requests import MalformedRequestError
from emulator.wire.urls import CHAT, Target

if TYPE_CHECKING:
    pass


class Terms(NamedTuple):
    """What scenario, server and the request's own headers say of its answer, and what Vertex says of the request."""

    rules: Ruleset
    around: Overrides
    """What holds for all answers of its session."""
    overrides: Overrides
    """The same with the pace that the request asks for."""
    rulesets: tuple[Ruleset, ...]
    """The rules, and those that are asked when none of them answers."""
    seed: str | None
    quirks: frozenset[QuirkName]
    """Those that hold before a rule is chosen."""
    verdict: VettingResult
    is_empty: bool
    """Whether the surroundings leave answers as they are."""


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


class Service:
    """Rules, sessions and journal of one server."""

    def __init__(self, ruleset: Ruleset, settings: Settings, *, clock: Clock, mint: Mint | None = None) -> None:
        self.ruleset = ruleset
        self.settings = settings
        self.clock = clock
        self.mint = mint or Mint()
        self.sessions = Sessions()
        self.journal = Journal(settings.journal_exchanges, settings.journal_bytes)
        self.store: Store = MemoryStore(self.sessions, self.journal)
        self.on_exchange: list[Callable[[Exchange], None]] = []
        self.on_token: list[Callable[[TokenExchange], None]] = []
        self.added: tuple[Ruleset, ...] = ()
        """Rules that Python code gave all sessions, which are tried before those of files."""
        self.public_keys: dict[str, str] = {}
        """Public keys (PEM) of the service accounts that this process has made, by their ids."""
        self._entropy = Entropy()
        self._surroundings = build_overrides(settings)
        self._readings = Readings(strict_json=settings.strict_json)
        self._default = (
            compile_rules(read_paths([default_scenario_path()]).scenarios) if settings.fallback == "default" else None
        )

    def handle(self, target: Target, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> Exchange:
        """What `respond` does, where there is one worker."""
        return run_without_waiting(self.respond(target, query, headers, body))

    async def respond(
        self,
        target: Target,
        query: bytes,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        waited: Exchange | None = None,
    ) -> Exchange:
        """Answer a request; the exchange is not in the journal until `finish` says how it ended.

        `waited` is what came of it before, when it had to wait in the queue of a quota.
        """
        warnings: tuple[str, ...] = ()
        now = self.clock.now()
        quota_ticket, started = (
            (waited.quota_ticket, waited.started) if waited else (QuotaTicket(self.store.next_number()), now)
        )
        received = self._readings.find(target, query, headers, body)
        outcome = None if now < received.envelope.passes_until else self._check_bearer(received, now)
        if outcome is None:
            try:
                outcome, warnings = await self._read_and_answer(received, now, quota_ticket)
            except Exception as error:  # noqa: BLE001  # a mistake in the emulator must not look like a 500 of Google's
                outcome = unexpected_error(error)
        return Exchange(
            quota_ticket.number,
            started,
            received.target,
            received.body,
            outcome,
            warnings,
            quota_ticket,
            sender=received.sender,
        )

    def _check_bearer(self, received: Received, now: float) -> Outcome | None:
        """What becomes of a request whose credentials do not pass."""
        target, envelope, auth = received.target, received.envelope, self.settings.auth
        envelope.passes_until = passes_until(auth, envelope.credentials, self.mint, now)
        refusal = check_bearer(auth, target, envelope.credentials, self.mint, now)
        if refusal is None:
            return None
        return refuse_request(as_unary(refusal, target) if target.is_unary else refusal, self._quirks_of(target))

    async def _read_and_answer(
        self, received: Received, now: float, quota_ticket: QuotaTicket
    ) -> tuple[Outcome, tuple[str, ...]]:
        """The outcome, and what had to be overlooked in the request."""
        target = received.target
        if target.is_unary:
            return refuse_request(refuse_unary(target)), ()
        session = self.sessions.find(target.project)
        if self.store.is_behind(session):
            await self.store.catch_up(target.project, session)
        rules = self._rules_of(session)
        endpoints = rules.endpoints
        missing = refuse_endpoint(target, endpoints)
        if missing is not None:
            return refuse_request(missing, self._quirks_of(target)), ()
        endpoint = endpoints.get(target.endpoint)
        try:
            if target.method == CHAT:
                facts, overlooked = received.read_chat(endpoint)
                outcome, warnings = await self._answer(
                    received, facts, session, rules, now=now, quota_ticket=quota_ticket
                )
                return outcome, overlooked + warnings
            handler, warnings = read_route(target.method, received.body, strict_json=self.settings.strict_json)
            facts = Facts(target, received.headers, handler.chat)
            outcome, more = await self._answer(
                received,
                facts,
                session,
                rules,
                now=now,
                quota_ticket=quota_ticket,
                check=handler.vet,
                ask=handler.answer,
            )
        except MalformedRequestError as error:
            refusal = refuse_in_container(refuse_malformed(error, target), family_of(target, endpoint))
            return refuse_request(refusal, self._quirks_of(target)), ()
        except AnswerError as error:
            report = f"the header {PACE_HEADER.decode()}: {error}"
            return Outcome("error", emulator_failure(report, "unknown_pace"), report=report), ()
        return outcome, warnings + more

    async def _answer(
        self,
        received: Received,
        facts: Facts,
        session: Session,
        first: Ruleset,
        *,
        now: float,
        quota_ticket: QuotaTicket,
        check: RouteCheck | None = None,
        ask: AnswerFunction = answer,
    ) -> tuple[Outcome, tuple[str, ...]]:
        """The outcome, and warnings. Raises AnswerError for a pace that the request names and there is not."""
        terms = await self._find_terms(received, facts, session, first, check)
        _, _, overrides, rulesets, seed, quirks, verdict, is_empty = terms
        refusal = verdict.refusal
        if refusal is None and first.quotas:
            # A quota may change how the request is paid for.
            facts = copy(facts)
            refusal = await admit(self.store, first.quotas, facts, quota_ticket, self.clock.elapsed())
        if refusal is not None:
            refused = refuse_request(refuse_in_container(refusal, family_of(facts.target, facts.endpoint)), quirks)
            if overrides.quirks:
                # Whether it would have passed without the quirks around it.
                plain = self._judge(facts, first, seed, expand(quirks - overrides.quirks), check)
                refused = refused._replace(is_disturbed=plain.refusal is None)
            return refused, ()
        inputs = AnswerInputs(now if seed is None else SEEDED_MOMENT, seed, self._entropy.draw(), overrides)
        outcome = ask(rulesets, facts, session.state, inputs)
        chosen, project = outcome.chosen, facts.target.project
        if not is_empty or chosen is None or chosen.counts or not self.store.note_use(project, session, chosen):
            outcome = await agree(
                self.store, session, outcome, lambda state: ask(rulesets, facts, state, inputs), project
            )
        if quota_ticket.held:
            outcome = outcome._replace(timeline=outcome.timeline.delay(quota_ticket.held))
        return outcome, verdict.warnings + outcome.warnings

    async def _find_terms(
        self, received: Received, facts: Facts, session: Session, rules: Ruleset, check: RouteCheck | None
    ) -> Terms:
        """On what a request is answered, remembered with its facts. Raises AnswerError for a pace that there is not."""
        around = session.overrides or self._surroundings
        terms: Terms | None = facts.terms
        if terms is None or terms.rules is not rules or terms.around is not around or rules.has_early_quirks:
            overrides = around if received.compiled_pace is None else replace(around, asked=received.compiled_pace)
            seed = self.settings.seed if self.settings.seed is not None else rules.seed
            quirks = expand(overrides.quirks | rules.quirks | await self._early_quirks(rules, facts, session))
            rulesets = (rules,) if self._default is None else (rules, self._default)
            verdict = self._judge(facts, rules, seed, quirks, check)
            calm = overrides.is_empty
            terms = facts.terms = Terms(rules, around, overrides, rulesets, seed, quirks, verdict, calm)
        return terms

    async def _early_quirks(self, ruleset: Ruleset, facts: Facts, session: Session) -> frozenset[QuirkName]:
        """The quirks of the rule that would answer, which hold while the request is judged."""
        if not ruleset.has_early_quirks:
            return frozenset()
        await self.store.catch_up(facts.target.project, session)
        chosen = find_chosen(ruleset, facts, session.state)
        return chosen.rule.quirks if chosen else frozenset()

    def _quirks_of(self, target: Target) -> frozenset[QuirkName]:
        """The quirks that hold for a request whatever its body says."""
        session = self.sessions.find(target.project)
        return expand((session.overrides or self._surroundings).quirks | self._rules_of(session).quirks)

    def _judge(
        self, facts: Facts, ruleset: Ruleset, seed: str | None, quirks: frozenset[QuirkName], check: RouteCheck | None
    ) -> VettingResult:
        """What Vertex says of a request: the scenario's `vetting` wins over the server's."""
        policy = VettingPolicy(self.settings.models, seed, ruleset.signatures, quirks)
        return vet(facts, policy, ruleset.vetting or self.settings.vetting, check)

    def rules_of(self, project: str) -> Ruleset:
        """What a session answers by: the rules that were added to it and to all sessions, then its own scenario or the server's."""
        return self._rules_of(self.sessions.find(project))

    def _rules_of(self, session: Session) -> Ruleset:
        first, added = parts = session.ruleset or self.ruleset, (*session.added, *self.added)
        if not added:
            return first
        merged = session.merged
        if merged is None or merged[0] != parts:
            merged = session.merged = parts, put_before(first, added)
        return merged[1]

    def finish(self, exchange: Exchange) -> None:
        """Put an exchange that has ended into the journal and tell those who listen; its places of quotas are free again."""
        quota_ticket = exchange.quota_ticket
        if quota_ticket.has_asked:
            usage = exchange.outcome.usage
            self.store.leave(
                quota_ticket.number, 0 if usage is None else usage.sum - quota_ticket.tokens, self.clock.elapsed()
            )
        self.store.keep(exchange)
        for listener in self.on_exchange:
            listener(exchange)

    async def begin_token(self, project: str) -> tuple[Tokens, int]:
        """What a session's scenario says of tokens, and the number of this token request in the session, from 1."""
        session = self.sessions.find(project)
        if self.store.is_behind(session):
            await self.store.catch_up(project, session)
        return self._rules_of(session).tokens, await self.store.count(project, TOKEN_REQUESTS)

    def finish_token(self, exchange: TokenExchange) -> None:
        """Put a token request that has ended into the journal and tell those who listen."""
        self.store.keep(exchange)
        for listener in self.on_token:
            listener(exchange)

    async def share(self, project: str, text: str | None) -> None:
        """Give a session a scenario that takes the place of the server's, or take it away. Raises ScenarioError."""
        await self.store.push(project, None if text is None else read_pushed(project, text))

    def push(self, project: str, text: str | None) -> None:
        """The same where there is one worker."""
        run_without_waiting(self.share(project, text))

    def push_reading(self, project: str, reading: Reading, text: str) -> None:
        """The same with a scenario that has been read; `text` is what the control API shows of it."""
        run_without_waiting(self.store.push(project, Pushed(text, compile_rules(reading.scenarios))))

    def verify(self, project: str | None, *, strict: bool = False) -> Verification:
        """What is wrong with the past of a session, or of all: requests unanswered, rules not used as they should be.

        Sessions without a scenario of their own share the server's rules, and so their uses are added. `strict` wants every rule
        used. The journal's bounds hold here too: a request that it no longer has is not missed.
        """
        rules = put_before(self.ruleset, self.added) if self.added else self.ruleset
        return verify_sessions(self.sessions, self.journal, rules, self._rules_of, project, strict=strict)

    def verdicts(self, project: str | None = None) -> "tuple[Verdict, ...]":
        """What the clients of one session, or of all, did wrong."""
        return judge_clients(self.journal, project)

    def disturb(self, project: str, variation: Variation) -> None:
        """Let things go wrong with the answers of a session, besides what does so with all. Raises StartError."""
        self.sessions.find(project).overrides = build_overrides(apply_variation(self.settings, variation))

    def reset(self, project: str | None) -> None:
        """Forget counters, flags, quotas, pushed scenarios, added rules, surroundings and journal of one session, or of all.

        Rules added for all stay. For a service with one worker; others ask their store.
        """
        run_without_waiting(self.store.reset(project))
