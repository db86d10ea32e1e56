"""The emulated service: turns requests into exchanges, and holds rules, sessions and journal. Independent of sockets."""

import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import NamedTuple, TypeVar

from emulator.budget import LongWorkError
from emulator.catalogue.quirks import QuirkName, expand
from emulator.catalogue.variations import Variation
from emulator.engine.answer import (
    Outcome,
    answer,
    answer_recorded,
    cannot_choose,
    choose_recorded,
    emulator_failure,
    miss_recorded,
    refuse_request,
    unexpected_error,
)
from emulator.engine.error_answers import refuse, values_for
from emulator.engine.families import family_of, refuse_endpoint, refuse_in_container
from emulator.engine.matching.choose import choose
from emulator.engine.quota import QuotaTicket, admit
from emulator.engine.randomness import AnswerInputs, Overrides
from emulator.engine.recorded import RawRequest
from emulator.engine.reply.parts import MAX_PREVIEW
from emulator.engine.request.facts import Facts
from emulator.engine.request.implicit_caching import count_cached, list_prefixes
from emulator.engine.request.options import OptionsCache, RequestOptions, vertex_headers
from emulator.engine.routes.route import AnswerFunction, read_route
from emulator.engine.routes.vetting import as_unary, refuse_host, refuse_unary
from emulator.engine.ruleset import Ruleset, compile_rules, prepend_rules
from emulator.engine.session import State
from emulator.engine.vetting.context import VettingPolicy
from emulator.engine.vetting.vet import RouteCheck, VettingResult, refuse_malformed, vet
from emulator.errors import AnswerError
from emulator.http.sending import Receive, Scope, Send
from emulator.redaction import clean_line
from emulator.scenario.loading import default_scenario_path, read_paths
from emulator.scenario.rules import Endpoint, Tokens
from emulator.server.authentication import check_bearer, describe_sender, read_credentials
from emulator.server.clock import Clock
from emulator.server.long_work import LARGE_BODY, LongWork
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
    answer_text,
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
from emulator.wire.requests import (
    CHAT_REQUEST,
    ChatRequest,
    MalformedRequestError,
    parse_request,
    parse_shape,
    read_plain_messages,
    read_request,
)
from emulator.wire.urls import CHAT, Target, read_host

Result = TypeVar("Result")
Forward = Callable[[Scope, Receive, Send, bytes], Awaitable[None]]
"""Answers a request whose body has been read, from elsewhere."""
_CREDENTIALS_REFUSED = frozenset({401, 403})


class _Request(NamedTuple):
    """A request as it came, and its place in the queues of quotas."""

    target: Target
    headers: Sequence[tuple[bytes, bytes]]
    by_name: Mapping[bytes, bytes]
    body: bytes
    now: float
    ticket: QuotaTicket


class _Read(NamedTuple):
    """A request that was read."""

    facts: Facts
    answer: AnswerFunction
    check: RouteCheck | None
    warnings: tuple[str, ...]
    asked: Asked


def _read_raw(
    verb: str, target: Target, query: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> RawRequest:
    """The request as it arrived, as recordings compare it."""
    kept = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in without_credentials(headers))
    return RawRequest(verb, target.path, query.decode("latin-1"), kept, body)


def _refuse_pace(error: AnswerError) -> Outcome:
    """The outcome of a request whose header asks for an unknown pace: a 418 `unknown_pace`."""
    report = f"the header {PACE_HEADER.decode()}: {error}"
    return Outcome("error", emulator_failure(report, "unknown_pace"), report=report)


_PREVIEW_BYTES = 16 * 1024
"""Bytes of an answer that broke off among which the beginning of its text is looked for."""


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
        self.journal.open = self.open_streams
        self.metrics = Metrics(self.open_streams)
        self.store: Store = MemoryStore(self.sessions, self.journal, self.metrics.read)
        self.on_exchange: list[Callable[[Exchange], None]] = []
        self.on_token: list[Callable[[TokenExchange], None]] = []
        self.on_unrouted: list[Callable[[UnroutedRequest], None]] = []
        self.default_session = ""
        """The session of unrouted requests whose path names no project; empty for none."""
        self.added: tuple[Ruleset, ...] = ()
        """Rules that Python code added to all sessions; they are tried before those of files."""
        self.forwards: dict[str, Forward] = {}
        """What answers the requests that a session's recordings do not have, by project: a recorder that asks the real service."""
        self.unanswered: tuple[str, ...] = ()
        """What is wrong with rules that Python code began for all sessions and that have no answer yet, each a sentence."""
        self.reload_problems: tuple[str, ...] = ()
        """Why the last edit of the server's scenarios was not taken over; empty if it was."""
        self.public_keys: dict[str, str] = {}
        """Public keys (PEM) of the service accounts created by this process, by key id."""
        self._overrides = build_overrides(settings)
        self._options = OptionsCache()
        self._sender_key = os.urandom(16)
        """Key of the digests that stand for bearer tokens in the journal."""
        self._long_work = LongWork()
        self.fallback = (
            compile_rules(read_paths([default_scenario_path()]).scenarios) if settings.fallback == "default" else None
        )
        """Rules that are tried where no rule of a session answers."""

    def handle(self, target: Target, query: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Exchange:
        """Run `respond` synchronously; only for a service with a `MemoryStore`."""
        lowered = [(name.lower(), value) for name, value in headers]
        return run_synchronously(self.respond(target, query, lowered, body, uses_threads=False))

    async def respond(
        self,
        target: Target,
        query: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        queued: Exchange | None = None,
        *,
        connection: int = 0,
        uses_threads: bool = True,
        verb: str = "POST",
    ) -> Exchange:
        """Answer a request; `finish` adds the exchange to the journal once the answer has been sent.

        Header names are in lower case; of repeated headers the last counts. `queued` is the exchange of the previous attempt if a
        quota has queued the request, and `connection` the peer's port. What takes long is done in a thread, unless `uses_threads` is false.
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
            wrong_host = refuse_host(target, credentials.host)
            session = self.sessions.find(target.project)
            rules = self._rules_of(session)
            # What is refused whatever the rules say needs no store. Recordings are not shared through it.
            is_open = (refusal is None and wrong_host is None) or rules.recordings
            if is_open and self.store.is_stale(session):
                await self.store.refresh(target.project, session)
                rules = self._rules_of(session)
            request = _Request(target, headers, by_name, body, now, ticket)
            raw = _read_raw(verb, target, query, headers, body) if rules.recordings else None
            replayed = None
            if raw is not None:
                replayed = await self._replay(request, session, rules, raw, is_refused=refusal is not None)
            if replayed is not None:
                outcome, asked = replayed
            elif wrong_host is not None:
                outcome = refuse_request(wrong_host)
            elif refusal is not None:
                refusal = as_unary(refusal, target) if target.is_unary else refusal
                outcome = refuse_request(refusal, self._quirks_of(target))
            elif raw is not None and (not target.is_routed or (self.fallback is None and rules.is_recording_only)):
                outcome = miss_recorded(rules, raw)
                asked = summarize_request(self.read_facts(target, headers, body))
            elif target.is_unary:
                outcome = refuse_request(refuse_unary(target))
            else:
                if not uses_threads:
                    outcome, warnings, asked = await self._answer(request, session, rules)
                elif len(body) < LARGE_BODY:
                    outcome, warnings, asked = await self._answer(request, session, rules, clock=time.thread_time)
                else:
                    async with self._long_work.turn(len(body)):
                        outcome, warnings, asked = await self._answer(request, session, rules, is_long=True)
                if outcome.result == "miss" and raw is not None:
                    outcome = miss_recorded(rules, raw)
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

    def has_recorded(
        self, verb: str, target: Target, query: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> bool:
        """Whether a request is in the recordings of its session."""
        request = _read_raw(verb, target, query, headers, body)
        return any(recording.find(request) for recording in self.rules_of(target.project).recordings)

    def find_forward(
        self, verb: str, target: Target, query: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> Forward | None:
        """What answers a request from elsewhere; None for one that the session's recordings answer, and for other sessions."""
        forward = self.forwards.get(target.project)
        if forward is None:
            return None
        session = self.sessions.find(target.project)
        request = _read_raw(verb, target, query, headers, body)
        return None if choose_recorded(self._rules_of(session), request, session.state) else forward

    async def _replay(
        self, request: _Request, session: Session, rules: Ruleset, raw: RawRequest, *, is_refused: bool
    ) -> tuple[Outcome, Asked] | None:
        """The recorded answer to a request, and what the request asks; None if it is not in the recordings.

        A request whose credentials are refused gets only a recorded refusal of credentials.
        """
        state = session.state
        chosen = choose_recorded(rules, raw, state)
        if chosen is None:
            return None
        if is_refused and chosen.rule.recorded[chosen.position].timeline.status not in _CREDENTIALS_REFUSED:
            return None
        facts = self.read_facts(request.target, request.headers, request.body)
        asked = summarize_request(facts)
        try:
            overrides = self._read_overrides(request, session)
        except AnswerError as error:
            return _refuse_pace(error), asked
        inputs = AnswerInputs(request.now, self.settings.seed, os.urandom(16), overrides)

        async def play(state: State) -> Outcome:
            again = choose_recorded(rules, raw, state) or chosen
            return answer_recorded(again, facts, inputs)

        played = answer_recorded(chosen, facts, inputs)
        project = request.target.project
        outcome = await commit_outcome(self.store, session, played, play, project=project, state=state)
        return outcome, asked

    def _read_overrides(self, request: _Request, session: Session) -> Overrides:
        """The overrides of a session, or of the server, with the pace that a request asks for. Raises AnswerError for an unknown pace."""
        overrides = session.overrides or self._overrides
        if PACE_HEADER not in request.by_name:
            return overrides
        return replace(overrides, requested_pace=read_pace(request.by_name[PACE_HEADER].decode("latin-1")))

    def read_facts(self, target: Target, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Facts:
        """The facts of a request that is answered whatever it is; nothing is known of one that cannot be read."""
        chat: ChatRequest = {}
        try:
            if target.method == CHAT:
                chat = read_request(body)
            elif target.is_routed and not target.is_unary:
                chat = read_route(target.method, body, strict_json=False)[0].chat
        except MalformedRequestError:
            pass
        return Facts(target, headers, chat)

    async def _answer(
        self,
        request: _Request,
        session: Session,
        rules: Ruleset,
        *,
        is_long: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> tuple[Outcome, tuple[str, ...], Asked]:
        """The outcome of a request whose credentials pass, its warnings, and what it asks.

        With `is_long` the work is done in a thread, whose turn it is; with a `clock`, what turns out to take long is.
        """
        target, long_work, ticket = request.target, self._long_work, request.ticket
        if rules.endpoints and (missing := refuse_endpoint(target, rules.endpoints)) is not None:
            return refuse_request(missing, self._quirks_of(target)), (), NOTHING_ASKED
        endpoint = rules.endpoints.get(target.endpoint)
        try:
            read = await long_work.run(self._read, request, endpoint) if is_long else self._read(request, endpoint)
            facts, make_answer, check, parse_warnings, asked = read
            overrides = self._read_overrides(request, session)
        except MalformedRequestError as error:
            malformed = refuse_in_container(refuse_malformed(error, target), family_of(target, endpoint))
            return refuse_request(malformed, self._quirks_of(target)), (), NOTHING_ASKED
        except AnswerError as error:
            return _refuse_pace(error), (), NOTHING_ASKED
        facts.clock = clock
        seed = self.settings.seed if self.settings.seed is not None else rules.seed
        quirks = overrides.quirks | rules.quirks
        if rules.has_early_quirks:
            # Some quirks of the rule that would answer act on vetting.
            await self.store.refresh(target.project, session)
            state = session.state
            candidate = await self._run(lambda facts: choose(rules, facts, state), facts, is_long=is_long)
            if candidate is not None:
                quirks |= candidate.rule.quirks
        if quirks:
            quirks = expand(quirks)
        host = request.by_name.get(b"host", b"").decode("latin-1")
        if is_long:
            vetted = await long_work.run(self._vet, facts, rules, seed, quirks, check=check, host=host)
        else:
            vetted = self._vet(facts, rules, seed, quirks, check=check, host=host)
        refusal = vetted.refusal
        if refusal is None and rules.quotas:
            # A quota may change the request's traffic type.
            admitted, facts = facts.for_long_work(), copy(facts)
            refusal = await admit(self.store, rules.quotas, admitted, ticket, self.clock.elapsed())
            facts.traffic = admitted.traffic
        if refusal is not None:
            refused = refuse_request(refuse_in_container(refusal, family_of(target, endpoint)), quirks)
            if overrides.quirks:
                # Whether the request would pass without the quirks of the overrides.
                own_quirks = expand(quirks - overrides.quirks)
                without_overrides = await self._run(
                    lambda facts: self._vet(facts, rules, seed, own_quirks, check=check, host=host),
                    facts,
                    is_long=is_long,
                )
                refused = refused._replace(changed_by_overrides=without_overrides.refusal is None)
            return refused, parse_warnings, asked
        if target.method == CHAT and (
            prefixes := await long_work.run(list_prefixes, facts) if is_long else list_prefixes(facts)
        ):
            known = await self.store.recall(target.project, prefixes)
            if implicit := count_cached(facts, known, len(prefixes)):
                facts = copy(facts)
                facts.implicit_tokens = implicit
        rulesets = (rules,) if self.fallback is None else (rules, self.fallback)
        inputs = AnswerInputs(request.now if seed is None else SEEDED_MOMENT, seed, os.urandom(16), overrides)
        state = session.state

        def make(state: State) -> Awaitable[Outcome]:
            return self._run(lambda facts: make_answer(rulesets, facts, state, inputs), facts, is_long=is_long)

        if is_long:
            outcome = await make(state)
        else:
            # As `_run` does it; this is the way of nearly every request.
            try:
                outcome = make_answer(rulesets, facts, state, inputs)
            except LongWorkError:
                outcome = await self._run_apart(lambda facts: make_answer(rulesets, facts, state, inputs), facts)
        chosen, store = outcome.chosen, self.store
        # An answer that does not depend on session state only needs its rule's use counted.
        if (
            chosen is None
            or chosen.counts
            or not overrides.is_empty
            or not store.note_use(target.project, session, chosen)
        ):
            outcome = await commit_outcome(store, session, outcome, make, project=target.project, state=state)
        if ticket.delay:
            outcome = outcome._replace(timeline=outcome.timeline.delay(ticket.delay))
        if vetted.not_found:
            outcome = outcome._replace(not_found=vetted.not_found)
        return outcome, parse_warnings + vetted.warnings + outcome.warnings, asked

    async def _run(self, work: Callable[[Facts], Result], facts: Facts, *, is_long: bool) -> Result:
        """Do some work for a request: in a thread if it is long, or if it turns out to be."""
        if is_long:
            return await self._long_work.run(work, facts)
        try:
            return work(facts)
        except LongWorkError:
            return await self._run_apart(work, facts)

    async def _run_apart(self, work: Callable[[Facts], Result], facts: Facts) -> Result:
        """Do some work in a thread that turned out to take long."""
        async with self._long_work.turn():
            return await self._long_work.run(work, facts.for_long_work())

    def _read(self, request: _Request, endpoint: Endpoint | None) -> _Read:
        """Parse a request. Raises MalformedRequestError."""
        target, headers, body = request.target, request.headers, request.body
        strict_json = self.settings.strict_json
        if target.method != CHAT:
            handler, warnings = read_route(target.method, body, strict_json=strict_json)
            facts = Facts(target, headers, handler.chat)
            return _Read(facts, handler.answer, handler.vet, warnings, summarize_request(facts))
        if len(body) < LARGE_BODY:

            def find_options(options: bytes) -> RequestOptions:
                return self._options.find(target, vertex_headers(request.by_name), options, endpoint)

            parsed, options = parse_request(body, find_options, strict_json=strict_json)
            facts = Facts(target, headers, parsed.request, endpoint, options=options, plain=parsed.plain)
            return _Read(facts, answer, None, parsed.warnings, summarize_request(facts))
        # Whatever takes longer than looking for its options is done without the cache, which belongs to the event loop.
        chat, warnings = parse_shape(CHAT_REQUEST, body, strict_json=strict_json)
        facts = Facts(target, headers, chat, endpoint, plain=read_plain_messages(chat.get("messages")))
        return _Read(facts, answer, None, warnings, summarize_request(facts))

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
        *,
        check: RouteCheck | None,
        host: str,
    ) -> VettingResult:
        """Vet a request to a host; the scenario's `vetting` wins over the server's."""
        known_host = read_host(host)
        is_global_host = known_host is not None and known_host.location == "global"
        policy = VettingPolicy(
            self.settings.models, seed, ruleset.signatures, quirks, is_global_host, bool(ruleset.endpoints)
        )
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
            # Who writes rules wants to hear of what they do not answer; the built-in scenario would answer everything.
            below = replace(base, indexes=(), scenarios=()) if base.is_implied else base
            merged = session.merged = parts, prepend_rules(below, parts[1])
        return merged[1]

    def finish(self, exchange: Exchange) -> None:
        """Release an ended exchange's quotas, add it to the journal and notify the listeners."""
        quota_ticket = exchange.quota_ticket
        if quota_ticket.is_submitted:
            usage = exchange.outcome.usage
            self.store.leave(
                quota_ticket.number, 0 if usage is None else usage.sum - quota_ticket.tokens, self.clock.elapsed()
            )
        if exchange.outcome.said and exchange.ended in {"cut", "stalled"}:
            # What came of the text before it broke off.
            said = answer_text(exchange.outcome.timeline.body[:_PREVIEW_BYTES])[:MAX_PREVIEW]
            exchange.outcome = exchange.outcome._replace(said=said)
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

    def push_rules(self, project: str, ruleset: Ruleset, text: str) -> None:
        """Like `push`, with rules that are already compiled; `text` is what the control API shows."""
        run_synchronously(self.store.push(project, PushedScenario(text, ruleset)))

    def verify(self, project: str | None, *, strict: bool = False) -> Verification:
        """Unanswered requests and unmet rule expectations of a session, or of all (None): `verify_sessions`.

        Requests that the journal has already evicted are not checked.
        """
        rules = prepend_rules(self.ruleset, self.added) if self.added else self.ruleset
        found = verify_sessions(self.sessions, self.journal, rules, self._rules_of, project, strict=strict)
        return replace(found, rules=self.unanswered + found.rules) if self.unanswered and project is None else found

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
