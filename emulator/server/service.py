"""The emulated service: one request in, one outcome out, with the state that belongs to it. Knows nothing of sockets."""

import os
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace

from emulator.catalogue.quirks import QuirkName, expand
from emulator.catalogue.variations import Variation
from emulator.engine.answer import Outcome, answer, emulator_failure, refuse_request, unexpected_error
from emulator.engine.families import family_of, refuse_endpoint, refuse_in_container
from emulator.engine.matching.choose import find_chosen
from emulator.engine.quota import QuotaTicket, admit
from emulator.engine.randomness import AnswerInputs
from emulator.engine.request.facts import Facts
from emulator.engine.request.options import OptionsCache, RequestOptions, vertex_headers
from emulator.engine.routes.route import AnswerFunction, read_route
from emulator.engine.routes.vetting import as_unary, refuse_unary
from emulator.engine.ruleset import Ruleset, compile_rules, prepend_rules
from emulator.engine.vetting.context import VettingPolicy
from emulator.engine.vetting.vet import RouteCheck, VettingResult, refuse_malformed, vet
from emulator.errors import AnswerError
from emulator.scenario.loading import LoadedScenarios, default_scenario_path, read_paths
from emulator.scenario.rules import Endpoint, Tokens
from emulator.server.authentication import check_bearer, describe_sender, read_credentials
from emulator.server.clock import Clock
from emulator.server.overrides import PACE_HEADER, build_overrides, read_pace, with_variation
from emulator.server.session_checks import judge_clients, verify_sessions
from emulator.server.settings import SEEDED_MOMENT, Settings
from emulator.server.tokens import Mint
from emulator.store.exchange import Exchange, TokenExchange
from emulator.store.interface import PushedScenario, Store, commit_outcome, read_pushed_scenario, run_synchronously
from emulator.store.journal import Journal
from emulator.store.memory import MemoryStore
from emulator.store.sessions import TOKEN_REQUESTS, Session, Sessions
from emulator.verdicts.registry import Verdict
from emulator.verdicts.verification import Verification
from emulator.wire.requests import MalformedRequestError, parse_request
from emulator.wire.urls import CHAT, Target


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
        self._overrides = build_overrides(settings)
        self._options = OptionsCache()
        self._sender_key = os.urandom(16)
        """What the journal tells senders apart by, without knowing their tokens."""
        self._default = (
            compile_rules(read_paths([default_scenario_path()]).scenarios) if settings.fallback == "default" else None
        )

    def handle(self, target: Target, query: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Exchange:
        """What `respond` does, where there is one worker."""
        lowered = [(name.lower(), value) for name, value in headers]
        return run_synchronously(self.respond(target, query, lowered, body))

    async def respond(
        self,
        target: Target,
        query: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        waited: Exchange | None = None,
    ) -> Exchange:
        """Answer a request; the exchange is not in the journal until `finish` says how it ended.

        Header names are in lower case; of repeated headers the last counts. `waited` is what came of the request before, when it
        had to wait in the queue of a quota.
        """
        now, by_name = self.clock.now(), dict(headers)
        if waited is None:
            ticket, started = QuotaTicket(self.store.next_number()), now
        else:
            ticket, started = waited.quota_ticket, waited.started
        credentials = read_credentials(by_name, query)
        warnings: tuple[str, ...] = ()
        try:
            refusal = check_bearer(self.settings.auth, target, credentials, self.mint, now)
            if refusal is not None:
                refusal = as_unary(refusal, target) if target.is_unary else refusal
                outcome = refuse_request(refusal, self._quirks_of(target))
            elif target.is_unary:
                outcome = refuse_request(refuse_unary(target))
            else:
                outcome, warnings = await self._answer(target, headers, by_name, body, now=now, ticket=ticket)
        except Exception as error:  # noqa: BLE001  # a mistake in the emulator must not look like a 500 of Google's
            outcome = unexpected_error(error)
        sender = describe_sender(credentials, self._sender_key)
        return Exchange(ticket.number, started, target, body, outcome, warnings, ticket, sender=sender)

    async def _answer(
        self,
        target: Target,
        headers: Sequence[tuple[bytes, bytes]],
        by_name: Mapping[bytes, bytes],
        body: bytes,
        *,
        now: float,
        ticket: QuotaTicket,
    ) -> tuple[Outcome, tuple[str, ...]]:
        """The outcome of a request whose credentials pass, and warnings."""
        session = self.sessions.find(target.project)
        if self.store.is_stale(session):
            await self.store.refresh(target.project, session)
        rules = self._rules_of(session)
        if rules.endpoints and (missing := refuse_endpoint(target, rules.endpoints)) is not None:
            return refuse_request(missing, self._quirks_of(target)), ()
        endpoint = rules.endpoints.get(target.endpoint)
        overrides = session.overrides or self._overrides
        ask: AnswerFunction
        check: RouteCheck | None
        try:
            if target.method == CHAT:
                facts, overlooked = self._read_chat(target, headers, by_name, body, endpoint)
                ask, check = answer, None
            else:
                handler, overlooked = read_route(target.method, body, strict_json=self.settings.strict_json)
                facts, ask, check = Facts(target, headers, handler.chat), handler.answer, handler.vet
            if PACE_HEADER in by_name:
                overrides = replace(overrides, asked=read_pace(by_name[PACE_HEADER].decode("latin-1")))
        except MalformedRequestError as error:
            malformed = refuse_in_container(refuse_malformed(error, target), family_of(target, endpoint))
            return refuse_request(malformed, self._quirks_of(target)), ()
        except AnswerError as error:
            report = f"the header {PACE_HEADER.decode()}: {error}"
            return Outcome("error", emulator_failure(report, "unknown_pace"), report=report), ()
        seed = self.settings.seed if self.settings.seed is not None else rules.seed
        quirks = overrides.quirks | rules.quirks
        if rules.has_early_quirks:
            quirks |= await self._early_quirks(rules, facts, session)
        if quirks:
            quirks = expand(quirks)
        vetted = self._vet(facts, rules, seed, quirks, check)
        refusal = vetted.refusal
        if refusal is None and rules.quotas:
            # A quota may change how the request is paid for.
            facts = copy(facts)
            refusal = await admit(self.store, rules.quotas, facts, ticket, self.clock.elapsed())
        if refusal is not None:
            refused = refuse_request(refuse_in_container(refusal, family_of(target, endpoint)), quirks)
            if overrides.quirks:
                # Whether it would have passed without the quirks around it.
                plain = self._vet(facts, rules, seed, expand(quirks - overrides.quirks), check)
                refused = refused._replace(changed_by_overrides=plain.refusal is None)
            return refused, overlooked
        rulesets = (rules,) if self._default is None else (rules, self._default)
        inputs = AnswerInputs(now if seed is None else SEEDED_MOMENT, seed, os.urandom(16), overrides)
        outcome = ask(rulesets, facts, session.state, inputs)
        chosen, store = outcome.chosen, self.store
        # Where nothing that the session remembers plays a part, the use of the rule is only noted.
        if (
            chosen is None
            or chosen.counts
            or not overrides.is_empty
            or not store.note_use(target.project, session, chosen)
        ):
            outcome = await commit_outcome(
                store, session, outcome, lambda state: ask(rulesets, facts, state, inputs), target.project
            )
        if ticket.delay:
            outcome = outcome._replace(timeline=outcome.timeline.delay(ticket.delay))
        return outcome, overlooked + vetted.warnings + outcome.warnings

    def _read_chat(
        self,
        target: Target,
        headers: Sequence[tuple[bytes, bytes]],
        by_name: Mapping[bytes, bytes],
        body: bytes,
        endpoint: Endpoint | None,
    ) -> tuple[Facts, tuple[str, ...]]:
        """The facts of a chat request, and what had to be overlooked in it. Raises MalformedRequestError."""

        def find_options(options: bytes) -> RequestOptions:
            return self._options.find(target, vertex_headers(by_name), options, endpoint)

        parsed, options = parse_request(body, find_options, strict_json=self.settings.strict_json)
        facts = Facts(target, headers, parsed.request, endpoint, options=options, plain=parsed.plain)
        return facts, parsed.warnings

    async def _early_quirks(self, ruleset: Ruleset, facts: Facts, session: Session) -> frozenset[QuirkName]:
        """The quirks of the rule that would answer, which hold while the request is judged."""
        if not ruleset.has_early_quirks:
            return frozenset()
        await self.store.refresh(facts.target.project, session)
        chosen = find_chosen(ruleset, facts, session.state)
        return chosen.rule.quirks if chosen else frozenset()

    def _quirks_of(self, target: Target) -> frozenset[QuirkName]:
        """The quirks that hold for a request whatever its body says."""
        session = self.sessions.find(target.project)
        return expand((session.overrides or self._overrides).quirks | self._rules_of(session).quirks)

    def _vet(
        self, facts: Facts, ruleset: Ruleset, seed: str | None, quirks: frozenset[QuirkName], check: RouteCheck | None
    ) -> VettingResult:
        """What Vertex says of a request: the scenario's `vetting` wins over the server's."""
        policy = VettingPolicy(self.settings.models, seed, ruleset.signatures, quirks)
        return vet(facts, policy, ruleset.vetting or self.settings.vetting, check)

    def rules_of(self, project: str) -> Ruleset:
        """What a session answers by: the rules that were added to it and to all sessions, then its own scenario or the server's."""
        return self._rules_of(self.sessions.find(project))

    def _rules_of(self, session: Session) -> Ruleset:
        first = session.ruleset or self.ruleset
        if not session.added and not self.added:
            return first
        parts = first, (*session.added, *self.added)
        merged = session.merged
        if merged is None or merged[0] != parts:
            merged = session.merged = parts, prepend_rules(*parts)
        return merged[1]

    def finish(self, exchange: Exchange) -> None:
        """Put an exchange that has ended into the journal and tell those who listen; its places of quotas are free again."""
        quota_ticket = exchange.quota_ticket
        if quota_ticket.is_submitted:
            usage = exchange.outcome.usage
            self.store.leave(
                quota_ticket.number, 0 if usage is None else usage.sum - quota_ticket.tokens, self.clock.elapsed()
            )
        self.store.keep(exchange)
        for listener in self.on_exchange:
            listener(exchange)

    async def start_token_request(self, project: str) -> tuple[Tokens, int]:
        """What a session's scenario says of tokens, and the number of this token request in the session, from 1."""
        session = self.sessions.find(project)
        if self.store.is_stale(session):
            await self.store.refresh(project, session)
        return self._rules_of(session).tokens, await self.store.count(project, TOKEN_REQUESTS)

    def finish_token_request(self, exchange: TokenExchange) -> None:
        """Put a token request that has ended into the journal and tell those who listen."""
        self.store.keep(exchange)
        for listener in self.on_token:
            listener(exchange)

    async def share(self, project: str, text: str | None) -> None:
        """Give a session a scenario that takes the place of the server's, or take it away. Raises ScenarioError."""
        await self.store.push(project, None if text is None else read_pushed_scenario(project, text))

    def push(self, project: str, text: str | None) -> None:
        """The same where there is one worker."""
        run_synchronously(self.share(project, text))

    def push_reading(self, project: str, reading: LoadedScenarios, text: str) -> None:
        """The same with a scenario that has been read; `text` is what the control API shows of it."""
        run_synchronously(self.store.push(project, PushedScenario(text, compile_rules(reading.scenarios))))

    def verify(self, project: str | None, *, strict: bool = False) -> Verification:
        """What is wrong with the past of a session, or of all: requests unanswered, rules not used as they should be.

        Sessions without a scenario of their own share the server's rules, and so their uses are added. `strict` wants every rule
        used. The journal's bounds hold here too: a request that it no longer has is not missed.
        """
        rules = prepend_rules(self.ruleset, self.added) if self.added else self.ruleset
        return verify_sessions(self.sessions, self.journal, rules, self._rules_of, project, strict=strict)

    def verdicts(self, project: str | None = None) -> tuple[Verdict, ...]:
        """What the clients of one session, or of all, did wrong."""
        return judge_clients(self.journal, project)

    def disturb(self, project: str, variation: Variation) -> None:
        """Let things go wrong with the answers of a session, besides what does so with all. Raises StartError."""
        self.sessions.find(project).overrides = build_overrides(with_variation(self.settings, variation))

    def reset(self, project: str | None) -> None:
        """Forget counters, flags, quotas, pushed scenarios, added rules, surroundings and journal of one session, or of all.

        Rules added for all stay. For a service with one worker; others ask their store.
        """
        run_synchronously(self.store.reset(project))
