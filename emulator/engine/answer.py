"""Answering a vetted request: choose a rule, compose and render its reply, and return the timeline with what the journal records."""

import copy
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Literal, NamedTuple

from emulator.catalogue.quirks import QuirkName, expand
from emulator.engine.matching.choose import Chosen, choose
from emulator.engine.matching.misses import explain_miss
from emulator.engine.randomness import AnswerInputs, Overrides, SeededRandom
from emulator.engine.recorded import RawRequest
from emulator.engine.rendering.encoded import (
    LARGEST_ENCODED,
    SLOT_CACHED,
    SLOT_INPUTS,
    SLOT_PROMPT,
    EncodedAnswer,
    slot_identity,
)
from emulator.engine.rendering.render import as_stream, pace_answer
from emulator.engine.rendering.render import render as render_chat
from emulator.engine.reply.compose import compose, count_usage, draw_calls, estimate_output, identify
from emulator.engine.reply.parts import Answer
from emulator.engine.reply.templates import Context, Request
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import CompiledRule, Ruleset
from emulator.engine.session import State
from emulator.engine.signatures import sign
from emulator.engine.timeline.faults import apply_failures, apply_faults
from emulator.engine.timeline.pace import AT_ONCE, apply_pace
from emulator.engine.timeline.quirks import apply_quirks, apply_to_refusal
from emulator.engine.timeline.timeline import Timeline, plain_timeline, refusal_timeline
from emulator.errors import AnswerError
from emulator.redaction import clean_line
from emulator.wire.errors import JSON_TYPE, Refusal
from emulator.wire.headers import Headers, header_text
from emulator.wire.json_text import dump
from emulator.wire.responses import Identity
from emulator.wire.usage import Usage

Result = Literal["answer", "refusal", "miss", "error"]
"""Kind of outcome: a rule answered (also with a scripted error), Vertex refuses it, no rule matched, or the rule failed."""

Render = Callable[[Answer, Identity, Facts], Timeline]
"""Renders an answer as a timeline; raises AnswerError for content that the route's format cannot carry."""

_OK = HTTPStatus.OK

EMULATOR_STATUS = 418
"""The status of the emulator's own failures, which Google never sends and clients never retry."""


class Outcome(NamedTuple):
    """The outcome of a request."""

    result: Result
    timeline: Timeline
    chosen: Chosen | None = None
    refusal: Refusal | None = None
    usage: Usage | None = None
    report: str = ""
    """The miss report, or why the rule failed."""
    warnings: tuple[str, ...] = ()
    """What the scenario or the request's schemas ask for that the answer does not do."""
    quirks: frozenset[QuirkName] = frozenset()
    """The active quirks, of the rule and of the overrides."""
    changed_by_overrides: bool = False
    """Whether the quirks, pace and faults of the overrides changed the answer."""
    said: str = ""
    """The beginning of the first choice: its text, or its calls."""
    not_found: str = ""
    """Why Vertex would not find the model or the endpoint, although the request is answered here; empty if it would."""


def answer(
    rulesets: Sequence[Ruleset],
    facts: Facts,
    state: State,
    inputs: AnswerInputs,
    render: Render = render_chat,
) -> Outcome:
    """Answer a vetted request from the first of the rulesets that has a rule for it.

    `state` is the session's state; the caller records the use of the chosen rule. Raises LongWorkError if the work may not take
    long and does; it has changed nothing then.
    """
    counts = False
    for ruleset in rulesets:
        try:
            chosen = choose(ruleset, facts, state)
        except AnswerError as error:
            return cannot_choose(error)
        if chosen is None:
            counts = counts or any(rule.is_limited for rule in ruleset.rules)
            continue
        if counts:
            chosen = chosen._replace(counts=True)
        if (
            render is render_chat
            and inputs.overrides.is_empty
            and chosen.rule.is_unmodified
            and chosen.rule.replies[chosen.position].calls is not None
        ):
            return _answer_encoded(chosen, facts, inputs)
        return _answer_composed(chosen, facts, inputs, render)
    try:
        report = explain_miss(rulesets[0], facts, state).report() if rulesets else "there are no rules"
    except AnswerError as error:
        return cannot_choose(error)
    return Outcome("miss", emulator_failure(report, "no_rule"), report=report)


def choose_recorded(ruleset: Ruleset, request: RawRequest, state: State) -> Chosen | None:
    """The recorded answer to a request: the first that has not been played yet in the session.

    When all have been played, the rules say whether the last one is played again, all are from the first on, or none.
    """
    for recording in ruleset.recordings:
        found = recording.find(request)
        if not found:
            continue
        left = (rule for rule in found if state.uses.get(rule.key, 0) < len(rule.recorded))
        rule = next(left, None) or _choose_again(found, state)
        if rule is not None:
            use = state.uses.get(rule.key, 0) + 1
            return Chosen(rule, use, {}, rule.position(use), counts=True)
    return None


def _choose_again(found: Sequence[CompiledRule], state: State) -> CompiledRule | None:
    """The rule that answers when each has played all its answers."""
    match found[-1].then:
        case "repeat":
            return found[-1]
        case "loop":
            return min(found, key=lambda rule: state.uses.get(rule.key, 0) // len(rule.recorded))
        case "exhaust":
            return None


def answer_recorded(chosen: Chosen, facts: Facts, inputs: AnswerInputs) -> Outcome:
    """Play a recorded answer as it came; the overrides act on it as on any other answer."""
    reply, overrides = chosen.rule.recorded[chosen.position], inputs.overrides
    timeline, warnings = reply.timeline, tuple[str, ...]()
    quirks = expand(overrides.quirks)
    if not overrides.is_empty:
        rng = SeededRandom(inputs, facts.request, chosen.position)
        timeline = reply.by_events()
        pace = overrides.requested_pace or overrides.compiled_pace
        if pace is not None and timeline.head_at is not None:
            tokens = reply.usage.completion + reply.usage.reasoning if reply.usage else 0
            timeline = apply_pace(timeline, pace, tokens, lambda: rng.random("pace", chosen.use))
        context = Context(Request(facts, {}, chosen.use, rng, inputs, quirks), 0)
        faults = [fault for make_fault in overrides.faults if (fault := make_fault(context)) is not None]
        timeline, warnings = apply_failures(timeline, faults)
        if quirks:
            timeline = apply_quirks(timeline, quirks, sign("", int(inputs.moment), inputs.seed))
        timeline, fault_warnings = apply_faults(timeline, faults)
        warnings += fault_warnings
    return Outcome(
        "answer",
        reply.quicken(timeline, overrides.speed),
        chosen,
        reply.refusal,
        reply.usage,
        warnings=warnings,
        quirks=quirks,
        changed_by_overrides=not overrides.is_empty and timeline != reply.by_events(),
        said=reply.said,
    )


def miss_recorded(ruleset: Ruleset, request: RawRequest) -> Outcome:
    """The outcome of a request that is not in the recordings, and that no rule answers."""
    report = "\n".join(recording.explain(request) for recording in ruleset.recordings)
    return Outcome("miss", emulator_failure(report, "not_recorded"), report=report)


def cannot_choose(error: AnswerError) -> Outcome:
    """The outcome of a request on which a test of a rule or quota fails: a 418 `rule_failed`."""
    report = f"no rule can be chosen for this request: {error}"
    return Outcome("error", emulator_failure(report, "rule_failed"), report=report)


def _answer_encoded(chosen: Chosen, facts: Facts, inputs: AnswerInputs) -> Outcome:
    """Answer with a reply without templates: encoded once per request options, then only its slots are filled."""
    rule = chosen.rule
    compiled_reply = rule.replies[chosen.position]
    key = compiled_reply, facts.traffic, facts.implicit_tokens > 0
    if key not in facts.encoded:
        try:
            made = _encode(chosen, facts, inputs)
        except AnswerError as error:
            return _cannot_answer(chosen, error)
        facts.keep_encoded(key, made, 0 if made is None else made.size)
    encoded: EncodedAnswer | None = facts.encoded[key]
    if encoded is None:
        return _answer_composed(chosen, facts, inputs, render_chat)
    rng = SeededRandom(inputs, facts.request, chosen.position)
    usage = count_usage(rule.usage, encoded.counts, facts)
    drawn = draw_calls(compiled_reply.calls, facts, rng) if compiled_reply.calls else ()
    return Outcome(
        "answer",
        encoded.fill(identify(facts, rng, inputs.moment), usage, drawn),
        chosen,
        None,
        usage,
        said=encoded.said,
    )


def _encode(chosen: Chosen, facts: Facts, inputs: AnswerInputs) -> EncodedAnswer | None:
    """Encode an answer with slots; None if it is too large, has warnings, or if more than the slots depends on the request.

    Raises AnswerError as `compose` does.
    """
    calls = chosen.rule.replies[chosen.position].calls
    slot_rng, rng = (SeededRandom(one, facts.request, chosen.position) for one in (SLOT_INPUTS, inputs))
    slot_drawn, drawn = (draw_calls(calls, facts, one) if calls else () for one in (slot_rng, rng))
    made, identity = compose(chosen, facts, SLOT_INPUTS, slot_rng), slot_identity(facts.answering_model)
    if made.warnings:
        return None
    prompted = copy.copy(facts)

    def render_prompted(more: int) -> tuple[Usage, Timeline]:
        prompted.prompt_tokens = SLOT_PROMPT + more
        prompted.implicit_tokens = SLOT_CACHED + more if facts.implicit_tokens else 0
        usage = count_usage(chosen.rule.usage, counts, prompted)
        return usage, render_chat(replace(made, usage=usage), identity, facts)

    counts = estimate_output(made.choices)
    usage, timeline = render_prompted(0)
    if timeline.size > LARGEST_ENCODED:
        return None
    encoded = EncodedAnswer(timeline, counts, usage, slot_drawn, drawn, said=made.preview())
    # Rendering with another prompt size shows whether everything that depends on it has a slot.
    usage, timeline = render_prompted(1_000_000)
    return encoded if encoded.fill(identity, usage, slot_drawn).body == timeline.body else None


def _answer_composed(chosen: Chosen, facts: Facts, inputs: AnswerInputs, render: Render) -> Outcome:
    """Compose and render the answer, and determine whether the overrides changed it."""
    outcome, overrides = _compose_outcome(chosen, facts, inputs, render), inputs.overrides
    if overrides.quirks or overrides.faults:
        unchanged = Overrides(requested_pace=overrides.requested_pace, speed=overrides.speed)
        expected = _compose_outcome(chosen, facts, inputs._replace(overrides=unchanged), render)
        return outcome._replace(changed_by_overrides=outcome.timeline != expected.timeline)
    is_slowed = overrides.compiled_pace is not None and (overrides.requested_pace or chosen.rule.compiled_pace) is None
    return outcome._replace(changed_by_overrides=not outcome.timeline.is_instant) if is_slowed else outcome


def _compose_outcome(chosen: Chosen, facts: Facts, inputs: AnswerInputs, render: Render) -> Outcome:
    """Compose the reply, render it, and apply pace, failures, quirks and faults."""
    rule, overrides = chosen.rule, inputs.overrides
    if facts.is_short and rule.replies[chosen.position].runs_once:
        facts = facts.for_long_work()
    rng = SeededRandom(inputs, facts.request, chosen.position)
    identity = identify(facts, rng, inputs.moment)
    try:
        quirks = expand(rule.quirks | overrides.quirks)
        if "tagged_thoughts" in quirks:
            facts = copy.copy(facts)
            facts.google = {"thought_tag_marker": "thought", **facts.google}
        made = compose(chosen, facts, inputs, rng, quirks)
        timeline = pace_answer(
            render(made, identity, facts),
            made,
            overrides.requested_pace or rule.compiled_pace or overrides.compiled_pace or AT_ONCE,
            lambda: rng.random("pace", chosen.use),
            lambda: render(made, identity, as_stream(facts)),
        )
    except AnswerError as error:
        return _cannot_answer(chosen, error)
    warnings = made.warnings
    if made.faults:
        timeline, fault_warnings = apply_failures(timeline, made.faults)
        warnings += fault_warnings
    if quirks:
        timeline = apply_quirks(timeline, quirks, sign(identity.id, int(inputs.moment), inputs.seed))
    if made.faults or timeline.marks:
        timeline, fault_warnings = apply_faults(timeline, made.faults)
        warnings += fault_warnings
    refusal = made.failure if made.failure is not None and (made.fails_at_once or not facts.stream) else None
    if refusal is None and timeline.status != _OK:
        refusal = next((fault.refusal for fault in made.faults if fault.refusal), None)
    usage = None if refusal else made.usage
    return Outcome(
        "answer",
        timeline.quicken(overrides.speed),
        chosen,
        refusal,
        usage,
        warnings=warnings,
        quirks=quirks,
        said=refusal.message if refusal else made.preview(),
    )


def _cannot_answer(chosen: Chosen, error: AnswerError) -> Outcome:
    report = f'rule "{chosen.rule.name}", {chosen.rule.place}, cannot answer this request: {error}'
    return Outcome("error", emulator_failure(report, "rule_failed"), chosen, report=report)


def refuse_request(refusal: Refusal, quirks: frozenset[QuirkName] = frozenset()) -> Outcome:
    """The outcome of a request that Vertex refuses, with the explanation in a header."""
    headers = (("x-emulator-explanation", header_text(f"{refusal.rule}: {refusal.explanation}")),)
    timeline = refusal_timeline(refusal, headers)
    if quirks:
        timeline = apply_to_refusal(timeline, quirks)
    return Outcome("refusal", timeline, refusal=refusal)


def emulator_failure(report: str, code: str) -> Timeline:
    """A failure of the emulator itself: a 418 that clients do not retry, in a format that OpenAI clients display."""
    error = {"code": code, "message": f"emulator: {report}", "param": None, "type": "emulator_error"}
    headers: Headers = (("x-should-retry", "false"),)
    return plain_timeline(EMULATOR_STATUS, JSON_TYPE, dump({"error": error}) + b"\n", headers)


def unexpected_error(error: Exception) -> Outcome:
    """The outcome for an unexpected exception: a 418 `emulator_mistake` response that names the exception and its source line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.filename.rpartition('/emulator/')[2]}:{last.lineno}"
    description = clean_line(" ".join(f"{type(error).__name__}: {error}".split()))
    report = f"a mistake of the emulator's own, not of this request: {description} ({where}); please report it"
    return Outcome("error", emulator_failure(report, "emulator_mistake"), report=report)
