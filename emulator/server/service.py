"""The emulated service: turns requests into exchanges, and holds rules, sessions and journal. Independent of sockets."""

import os
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace

from emulator.catalogue.quirks import QuirkName, expand
from emulator.catalogue.variations import Variation
from emulator.engine.answer import Outcome, answer, cannot_choose, emulator_failure, refuse_request, unexpected_error
from emulator.engine.error_answers import refuse, values_for
from emulator.engine.families import family_of, refuse_endpoint, refuse_in_container
from emulator.engine.matching.choose import choose
from emulator.engine.quota import QuotaTicket, admit
from emulator.engine.randomness import AnswerInputs
from emulator.engine.request.facts import Facts
from emulator.engine.request.implicit_caching import count_cached, list_prefixes
from emulator.engine.request.options import OptionsCache, RequestOptions, vertex_headers
from emulator.engine.routes.route import AnswerFunction, read_route
from emulator.engine.routes.vetting import as_unary, refuse_host, refuse_unary
from emulator.engine.ruleset import Ruleset, compile_rules, prepend_rules
from emulator.engine.vetting.context import VettingPolicy
from emulator.engine.vetting.vet import RouteCheck, VettingResult, refuse_malformed, vet
from emulator.errors import AnswerError
from emulator.redaction import clean_line
from emulator.scenario.loading import LoadedScenarios, default_scenario_path, read_paths
from emulator.scenario.rules import Endpoint, Tokens
from emulator.server.authentication import check_bearer, describe_sender, read_credentials
from emulator.server.clock import Clock
from emulator.server.metrics import Metrics
from emulator.server.overrides import PACE_HEADER, build_overrides, read_pace, with_variation
from emulator.server.session_checks import judge_clients, verify_sessions
from emulator.server.settings import SEEDED_MOMENT, Settings
from emulator.server.tokens import Mint
from emulator.store.exchange import (
    NOTHING_ASKED,
    Asked,
    Exchange,
    TokenExchange,
    UnroutedRequest,
    clean_outcome,
    summarize_request,
    without_credentials,
)
from emulator.store.interface import (
    PushedScenario,
    Store,
    StoreUnreachableError,
    commit_outcome,
    read_pushed_scenario,
    run_synchronously,
)
from emulator.store.journal import Journal
from emulator.store.memory import MemoryStore
from emulator.store.sessions import TOKEN_REQUESTS, Session, Sessions
from emulator.verdicts.registry import Verdict
from emulator.verdicts.verification import Verification
from emulator.wire.requests import MalformedRequestError, parse_request
from emulator.wire.urls import CHAT, Target, read_host


class Service:
    """Rules, sessions and journal of one server."""

    def __init__(self, ruleset: Ruleset, settings: Settings, *, clock: Clock, mint: Mint | None = None) -> None:
        self.ruleset = ruleset
        self.settings = settings
        self.clock = clock
        self.mint = mint or Mint()
        self.sessions = Sessions()
        self.journal = Journal(settings.journal_exchanges, settings.journal_bytes)
        self.open_streams: dict[int, Exchange] = {}
        """The exchanges whose answers are being sent and take their time, by number."""
        self.metrics = Metrics(self.open_streams)
        self.store: Store = MemoryStore(self.sessions, self.journal, self.metrics.read)
        self.on_exchange: list[Callable[[Exchange], None]] = []
        self.on_token: list[Callable[[TokenExchange], None]] = []
        self.on_unrouted: list[Callable[[UnroutedRequest], None]] = []
        self.default_session = ""
        """The session of unrouted requests whose path names no project; empty for none."""
        self.added: tuple[Ruleset, ...] = ()
        """Rules that Python code added to all sessions; they are tried before those of files."""
        self.reload_problems: tuple[str, ...] = ()
        """Why the last edit of the server's scenarios was not taken over; empty if it was."""
        self.public_keys: dict[str, str] = {}
        """Public keys (PEM) of the service accounts created by this process, by key id."""
        self._overrides = build_overrides(settings)
        self._options = OptionsCache()
        self._sender_key = os.urandom(16)
        """Key of the digests that stand for bearer tokens in the journal."""
        self.fallback = (
            compile_rules(read_paths([default_scenario_path()]).scenarios) if settings.fallback == "default" else None
        )
        """Rules that are tried where no rule of a session answers."""

    def handle(self, target: Target, query: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Exchange:
        """Run `respond` synchronously; only for a service with a `MemoryStore`."""
        lowered = [(name.lower(), value) for name, value in headers]
        return run_synchronously(self.respond(target, query, lowered, body))

    async def respond(
        self,
        target: Target,
        query: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        queued: Exchange | None = None,
        *,
        connection: int = 0,
    ) -> Exchange:
        """Answer a request; `finish` adds the exchange to the journal once the answer has been sent.

        Header names are in lower case; of repeated headers the last counts. `queued` is the exchange of the previous attempt if a
        quota has queued the request, and `connection` the peer's port.
        """
        now, by_name = self.clock.now(), dict(headers)
        if queued is None:
            ticket, started = QuotaTicket(self.store.next_number()), now
        else:
            ticket, started = queued.quota_ticket, queued.started
        credentials = read_credentials(by_name, query)
        warnings: tuple[str, ...] = ()
        asked = NOTHING_ASKED
        try:
            refusal = check_bearer(self.settings.auth, target, credentials, self.mint, now)
            if (
                refusal is not None
                and refusal.rule == "expired_token"
                and "access_token_expired" in self._quirks_of(target)
            ):
                refusal = refuse("expired_token_named", values_for(target), explanation=refusal.explanation)
            if (wrong_host := refuse_host(target, credentials.host)) is not None:
                outcome = refuse_request(wrong_host)
            elif refusal is not None:
                refusal = as_unary(refusal, target) if target.is_unary else refusal
                outcome = refuse_request(refusal, self._quirks_of(target))
            elif target.is_unary:
                outcome = refuse_request(refuse_unary(target))
            else:
                outcome, warnings, asked = await self._answer(target, headers, by_name, body, now=now, ticket=ticket)
        except StoreUnreachableError as error:
            self.metrics.store_errors += 1
            outcome = Outcome("error", emulator_failure(str(error), "store_unreachable"), report=str(error))
        except AnswerError as error:
            outcome = cannot_choose(error)
        except Exception as error:  # noqa: BLE001  # an error in the emulator must not look like a 500 of Google's
            outcome = unexpected_error(error)
        sender = describe_sender(credentials, self._sender_key, connection)
        outcome, warnings = clean_outcome(outcome), tuple(map(clean_line, warnings)) if warnings else ()
        return Exchange(
            ticket.number,
            started,
            target,
            body,
            outcome,
            warnings,
            ticket,
            sender=sender,
            asked=asked,
            headers=without_credentials(headers),
        )

    async def _answer(
        self,
        target: Target,
        headers: Sequence[tuple[bytes, bytes]],
        by_name: Mapping[bytes, bytes],
        body: bytes,
        *,
        now: float,
        ticket: QuotaTicket,
    ) -> tuple[Outcome, tuple[str, ...], Asked]:
        """The outcome of a request whose credentials pass, its warnings, and what it asks."""
        session = self.sessions.find(target.project)
        if self.store.is_stale(session):
            await self.store.refresh(target.project, session)
        rules = self._rules_of(session)
        if rules.endpoints and (missing := refuse_endpoint(target, rules.endpoints)) is not None:
            return refuse_request(missing, self._quirks_of(target)), (), NOTHING_ASKED
        endpoint = rules.endpoints.get(target.endpoint)
        overrides = session.overrides or self._overrides
        make_answer: AnswerFunction
        check: RouteCheck | None
        try:
            if target.method == CHAT:
                facts, parse_warnings = self._read_chat(target, headers, by_name, body, endpoint)
                make_answer, check = answer, None
            else:
                handler, parse_warnings = read_route(target.method, body, strict_json=self.settings.strict_json)
                facts, make_answer, check = Facts(target, headers, handler.chat), handler.answer, handler.vet
            if PACE_HEADER in by_name:
                overrides = replace(overrides, requested_pace=read_pace(by_name[PACE_HEADER].decode("latin-1")))
        except MalformedRequestError as error:
            malformed = refuse_in_container(refuse_malformed(error, target), family_of(target, endpoint))
            return refuse_request(malformed, self._quirks_of(target)), (), NOTHING_ASKED
        except AnswerError as error:
            report = f"the header {PACE_HEADER.decode()}: {error}"
            return Outcome("error", emulator_failure(report, "unknown_pace"), report=report), (), NOTHING_ASKED
        asked = summarize_request(facts)
        seed = self.settings.seed if self.settings.seed is not None else rules.seed
        quirks = overrides.quirks | rules.quirks
        if rules.has_early_quirks:
            # Some quirks of the rule that would answer act on vetting.
            await self.store.refresh(target.project, session)
            candidate = choose(rules, facts, session.state)
            if candidate is not None:
                quirks |= candidate.rule.quirks
        if quirks:
            quirks = expand(quirks)
        host = by_name.get(b"host", b"").decode("latin-1")
        vetted = self._vet(facts, rules, seed, quirks, check, host=host)
        refusal = vetted.refusal
        if refusal is None and rules.quotas:
            # A quota may change the request's traffic type.
            facts = copy(facts)
            refusal = await admit(self.store, rules.quotas, facts, ticket, self.clock.elapsed())
        if refusal is not None:
            refused = refuse_request(refuse_in_container(refusal, family_of(target, endpoint)), quirks)
            if overrides.quirks:
                # Whether the request would pass without the quirks of the overrides.
                without_overrides = self._vet(facts, rules, seed, expand(quirks - overrides.quirks), check, host=host)
                refused = refused._replace(changed_by_overrides=without_overrides.refusal is None)
            return refused, parse_warnings, asked
        if target.method == CHAT and (prefixes := list_prefixes(facts)):
            known = await self.store.recall(target.project, prefixes)
            if implicit := count_cached(facts, known, len(prefixes)):
                facts = copy(facts)
                facts.implicit_tokens = implicit
        rulesets = (rules,) if self.fallback is None else (rules, self.fallback)
        inputs = AnswerInputs(now if seed is None else SEEDED_MOMENT, seed, os.urandom(16), overrides)
        outcome = make_answer(rulesets, facts, session.state, inputs)
        chosen, store = outcome.chosen, self.store
        # An answer that does not depend on session state only needs its rule's use counted.
        if (
            chosen is None
            or chosen.counts
            or not overrides.is_empty
            or not store.note_use(target.project, session, chosen)
        ):
            outcome = await commit_outcome(
                store, session, outcome, lambda state: make_answer(rulesets, facts, state, inputs), target.project
            )
        if ticket.delay:
            outcome = outcome._replace(timeline=outcome.timeline.delay(ticket.delay))
        return outcome, parse_warnings + vetted.warnings + outcome.warnings, asked

    def _read_chat(
        self,
        target: Target,
        headers: Sequence[tuple[bytes, bytes]],
        by_name: Mapping[bytes, bytes],
        body: bytes,
        endpoint: Endpoint | None,
    ) -> tuple[Facts, tuple[str, ...]]:
        """Parse a chat request into facts and parse warnings. Raises MalformedRequestError."""

        def find_options(options: bytes) -> RequestOptions:
            return self._options.find(target, vertex_headers(by_name), options, endpoint)

        parsed, options = parse_request(body, find_options, strict_json=self.settings.strict_json)
        facts = Facts(target, headers, parsed.request, endpoint, options=options, plain=parsed.plain)
        return facts, parsed.warnings

    def _quirks_of(self, target: Target) -> frozenset[QuirkName]:
        """The quirks for a request that is refused before a rule is chosen: those of overrides and scenario defaults."""
        session = self.sessions.find(target.project)
        return expand((session.overrides or self._overrides).quirks | self._rules_of(session).quirks)

    def _vet(
        self,
        facts: Facts,
        ruleset: Ruleset,
        seed: str | None,
        quirks: frozenset[QuirkName],
        check: RouteCheck | None,
        *,
        host: str,
    ) -> VettingResult:
        """Vet a request to a host; the scenario's `vetting` wins over the server's."""
        known_host = read_host(host)
        is_global_host = known_host is not None and known_host.location == "global"
        policy = VettingPolicy(self.settings.models, seed, ruleset.signatures, quirks, is_global_host)
        return vet(facts, policy, ruleset.vetting or self.settings.vetting, check)

    def rules_of(self, project: str) -> Ruleset:
        """The rules of a session: those added to it and to all sessions, then its own scenario's or the server's."""
        return self._rules_of(self.sessions.find(project))

    def _rules_of(self, session: Session) -> Ruleset:
        base = session.ruleset or self.ruleset
        if not session.added and not self.added:
            return base
        parts = base, (*session.added, *self.added)
        merged = session.merged
        if merged is None or merged[0] != parts:
            merged = session.merged = parts, prepend_rules(*parts)
        return merged[1]

    def finish(self, exchange: Exchange) -> None:
        """Release an ended exchange's quotas, add it to the journal and notify the listeners."""
        quota_ticket = exchange.quota_ticket
        if quota_ticket.is_submitted:
            usage = exchange.outcome.usage
            self.store.leave(
                quota_ticket.number, 0 if usage is None else usage.sum - quota_ticket.tokens, self.clock.elapsed()
            )
        self.metrics.count(exchange)
        self.store.keep(exchange)
        for listener in self.on_exchange:
            listener(exchange)

    async def start_token_request(self, project: str) -> tuple[Tokens, int]:
        """The `tokens` settings of a session's scenario, and the number of this token request in the session, from 1."""
        session = self.sessions.find(project)
        if self.store.is_stale(session):
            await self.store.refresh(project, session)
        return self._rules_of(session).tokens, await self.store.count(project, TOKEN_REQUESTS)

    def finish_token_request(self, exchange: TokenExchange) -> None:
        """Add an ended token request to the journal and notify the listeners."""
        self.metrics.count_other(exchange)
        self.store.keep(exchange)
        for listener in self.on_token:
            listener(exchange)

    def finish_unrouted(self, request: UnroutedRequest) -> None:
        """Add a request that nothing routes to the journal and notify the listeners."""
        self.metrics.count_other(request)
        self.store.keep(request)
        for listener in self.on_unrouted:
            listener(request)

    async def push_shared(self, project: str, pushed: PushedScenario | None) -> None:
        """Set a session's own scenario, which replaces the server's, or remove it (None)."""
        await self.store.push(project, pushed)

    def push(self, project: str, text: str | None) -> None:
        """Read and set a session's own scenario, or remove it (None); only for a service with a `MemoryStore`. Raises ScenarioError."""
        run_synchronously(self.push_shared(project, None if text is None else read_pushed_scenario(project, text)))

    def push_loaded(self, project: str, loaded: LoadedScenarios, text: str) -> None:
        """Like `push`, with a scenario that is already loaded; `text` is what the control API shows."""
        run_synchronously(self.store.push(project, PushedScenario(text, compile_rules(loaded.scenarios))))

    def verify(self, project: str | None, *, strict: bool = False) -> Verification:
        """Unanswered requests and unmet rule expectations of a session, or of all (None): `verify_sessions`.

        Requests that the journal has already evicted are not checked.
        """
        rules = prepend_rules(self.ruleset, self.added) if self.added else self.ruleset
        return verify_sessions(self.sessions, self.journal, rules, self._rules_of, project, strict=strict)

    def verdicts(self, project: str | None = None) -> tuple[Verdict, ...]:
        """The verdicts on the clients of one session, or of all (None)."""
        return judge_clients(self.journal, project)

    def disturb(self, project: str, variation: Variation) -> None:
        """Add quirks, pace and faults to the answers of a session, on top of the server's. Raises StartError."""
        self.sessions.find(project).overrides = build_overrides(with_variation(self.settings, variation))

    def reset(self, project: str | None) -> None:
        """Reset counters, flags, quotas, pushed scenarios, added rules, overrides and journal of one session, or of all (None).

        Rules added to all sessions stay. Only for a service with a `MemoryStore`.
        """
        run_synchronously(self.store.reset(project))
