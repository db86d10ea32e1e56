"""Answering: from a vetted request to its timeline, and what the journal wants to know about it."""

import copy
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Literal, NamedTuple

from emulator.catalogue.quirks import QuirkName, expand
from emulator.engine.matching.choose import Chosen, choose
from emulator.engine.matching.misses import Miss
from emulator.engine.randomness import AnswerInputs, Overrides, SeededRandom
from emulator.engine.rendering.encoded import LARGEST_ENCODED, SLOT_INPUTS, SLOT_PROMPT, EncodedAnswer, slot_identity
from emulator.engine.rendering.render import as_stream, pace_answer
from emulator.engine.rendering.render import render as render_chat
from emulator.engine.reply.compose import compose, count_usage, draw_calls, estimate_output, identify
from emulator.engine.reply.parts import Answer
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import Ruleset
from emulator.engine.session import State
from emulator.engine.signatures import sign
from emulator.engine.timeline.pace import AT_ONCE
from emulator.engine.timeline.timeline import Timeline, plain_timeline, refusal_timeline
from emulator.errors import AnswerError
from emulator.wire.errors import JSON_TYPE, Refusal
from emulator.wire.headers import Headers
from emulator.wire.json_text import dump
from emulator.wire.responses import Identity
from emulator.wire.usage import Usage

Result = Literal["answer", "refusal", "miss", "error"]
"""How a request ended: a rule answered (perhaps with an error it scripts), Vertex refuses it, no rule answers, or the rule failed."""

Render = Callable[[Answer, Identity, Facts], Timeline]
"""What makes an answer a timeline; it raises AnswerError if the answer has something that its shape cannot carry."""

_OK = HTTPStatus.OK

EMULATOR_STATUS = 418
"""The status of the emulator's own failures, which Google never sends and clients never retry."""


class Outcome(NamedTuple):
    """What became of a request."""

    result: Result
    timeline: Timeline
    chosen: Chosen | None = None
    refusal: Refusal | None = None
    usage: Usage | None = None
    report: str = ""
    """The miss report, or what kept the rule from answering."""
    warnings: tuple[str, ...] = ()
    """What the answer could not do that the scenario wants of it."""
    quirks: frozenset[QuirkName] = frozenset()
    """The quirks that were on, of the rule and of what surrounds it."""
    changed_by_overrides: bool = False
    """Whether the quirks, pace and faults of the surroundings made it another than it would have been."""


def answer(
    rulesets: Sequence[Ruleset],
    facts: Facts,
    state: State,
    inputs: AnswerInputs,
    render: Render = render_chat,
) -> Outcome:
    """Answer a vetted request from the first of the rulesets that has a rule for it.

    `state` is what the session remembers; the caller brings it forward with the chosen rule.
    """
    first_miss: Miss | None = None
    counts = False
    for ruleset in rulesets:
        chosen = choose(ruleset, facts, state)
        if isinstance(chosen, Miss):
            first_miss = first_miss or chosen
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
            return _answer_literally(chosen, facts, inputs)
        return _carry_out(chosen, facts, inputs, render)
    report = first_miss.report() if first_miss else "there are no rules"
    return Outcome("miss", emulator_failure(report, "no_rule"), report=report)


def _answer_literally(chosen: Chosen, facts: Facts, inputs: AnswerInputs) -> Outcome:
    """The answer of a reply without templates: encoded once for the options of the request, then only filled in."""
    rule = chosen.rule
    compiled_reply = rule.replies[chosen.position]
    key = compiled_reply, facts.traffic
    if key not in facts.encoded:
        try:
            made = _encode(chosen, facts, inputs)
        except AnswerError as error:
            return _cannot_answer(chosen, error)
        facts.keep_encoded(key, made, 0 if made is None else made.size)
    encoded: EncodedAnswer | None = facts.encoded[key]
    if encoded is None:
        return _carry_out(chosen, facts, inputs, render_chat)
    rng = SeededRandom(inputs, facts.request, chosen.position)
    usage = count_usage(rule.usage, encoded.counts, facts)
    drawn = draw_calls(compiled_reply.calls, facts, rng) if compiled_reply.calls else ()
    return Outcome("answer", encoded.fill(identify(facts, rng, inputs.moment), usage, drawn), chosen, None, usage)


def _encode(chosen: Chosen, facts: Facts, inputs: AnswerInputs) -> EncodedAnswer | None:
    """The answer with slots; None if it is large, or if more than these depends on the request. Raises AnswerError as `compose` does."""
    calls = chosen.rule.replies[chosen.position].calls
    slot_rng, rng = (SeededRandom(one, facts.request, chosen.position) for one in (SLOT_INPUTS, inputs))
    slot_drawn, drawn = (draw_calls(calls, facts, one) if calls else () for one in (slot_rng, rng))
    made, identity = compose(chosen, facts, SLOT_INPUTS, slot_rng), slot_identity(facts.answering_model)
    prompted = copy.copy(facts)

    def render_prompted(prompt: int) -> tuple[Usage, Timeline]:
        prompted.prompt_tokens = prompt
        usage = count_usage(chosen.rule.usage, counts, prompted)
        return usage, render_chat(replace(made, usage=usage), identity, facts)

    counts = estimate_output(made.choices)
    usage, timeline = render_prompted(SLOT_PROMPT)
    encoded = EncodedAnswer(timeline, counts, usage, slot_drawn, drawn)
    if encoded.size > LARGEST_ENCODED:
        return None
    # Another prompt shows whether all that is counted with it has a slot.
    usage, timeline = render_prompted(SLOT_PROMPT + 1_000_000)
    return encoded if encoded.fill(identity, usage, slot_drawn).body == timeline.body else None


def _carry_out(chosen: Chosen, facts: Facts, inputs: AnswerInputs, render: Render) -> Outcome:
    outcome, around = _perform(chosen, facts, inputs, render), inputs.overrides
    if around.quirks or around.faults:
        calm = inputs._replace(overrides=Overrides(asked=around.asked, speed=around.speed))
        undisturbed = _perform(chosen, facts, calm, render)
        return outcome._replace(changed_by_overrides=outcome.timeline != undisturbed.timeline)
    is_slowed = around.compiled_pace is not None and (around.asked or chosen.rule.compiled_pace) is None
    return outcome._replace(changed_by_overrides=not outcome.timeline.is_instant) if is_slowed else outcome


def _perform(chosen: Chosen, facts: Facts, inputs: AnswerInputs, render: Render) -> Outcome:
    """The answer, rendered, with its times, failures, quirks and faults."""
    rule, overrides = chosen.rule, inputs.overrides
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
            overrides.asked or rule.compiled_pace or overrides.compiled_pace or AT_ONCE,
            lambda: rng.random("pace", chosen.use),
            lambda: render(made, identity, as_stream(facts)),
        )
    except AnswerError as error:
        return _cannot_answer(chosen, error)
    warnings: tuple[str, ...] = ()
    if made.faults or quirks or timeline.marks:
        seal = sign(identity.id, int(inputs.moment), inputs.seed)
        timeline, warnings = _disturb(timeline, made, quirks, seal)
    refusal = made.failure if made.failure is not None and (made.fails_at_once or not facts.stream) else None
    if refusal is None and timeline.status != _OK:
        refusal = next((fault.refusal for fault in made.faults if fault.refusal), None)
    usage = None if refusal else made.usage
    return Outcome(
        "answer", timeline.quicken(overrides.speed), chosen, refusal, usage, warnings=warnings, quirks=quirks
    )


def _disturb(
    timeline: Timeline, made: Answer, quirks: frozenset[QuirkName], seal: str
) -> tuple[Timeline, tuple[str, ...]]:
    """The timeline with its failures, quirks and faults, and warnings of what could not be done; `seal` is a signature for it."""
    from emulator.engine.timeline.faults import apply_failures, apply_faults  # noqa: PLC0415  # the server starts quicker so
    from emulator.engine.timeline.quirks import apply_quirks  # noqa: PLC0415  # as above

    warnings: tuple[str, ...] = ()
    if made.faults:
        timeline, warnings = apply_failures(timeline, made.faults)
    if quirks:
        timeline = apply_quirks(timeline, quirks, seal)
    if made.faults or timeline.marks:
        timeline, more = apply_faults(timeline, made.faults)
        warnings += more
    return timeline, warnings


def _cannot_answer(chosen: Chosen, error: AnswerError) -> Outcome:
    report = f'rule "{chosen.rule.name}", {chosen.rule.place}, cannot answer this request: {error}'
    return Outcome("error", emulator_failure(report, "rule_failed"), chosen, report=report)


def refuse_request(refusal: Refusal, quirks: frozenset[QuirkName] = frozenset()) -> Outcome:
    """The outcome of a request that Vertex would refuse, with the explanation in a header."""
    headers = (("x-emulator-explanation", header_text(f"{refusal.rule}: {refusal.explanation}")),)
    timeline = refusal_timeline(refusal, headers)
    if quirks:
        from emulator.engine.timeline.quirks import apply_to_refusal  # noqa: PLC0415  # the server starts quicker so

        timeline = apply_to_refusal(timeline, quirks)
    return Outcome("refusal", timeline, refusal=refusal)


def emulator_failure(report: str, code: str) -> Timeline:
    """A failure of the emulator's own: never retried, shaped so that OpenAI clients show the report."""
    error = {"code": code, "message": f"emulator: {report}", "param": None, "type": "emulator_error"}
    headers: Headers = (("x-should-retry", "false"),)
    return plain_timeline(EMULATOR_STATUS, JSON_TYPE, dump({"error": error}) + b"\n", headers)


def unexpected_error(error: Exception) -> Outcome:
    """The outcome of a request that met a mistake in the emulator itself: what and where it is, so that it can be reported."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.filename.rpartition('/emulator/')[2]}:{last.lineno}"
    said = " ".join(f"{type(error).__name__}: {error}".split())
    report = f"a mistake of the emulator's own, not of this request: {said} ({where}); please report it"
    return Outcome("error", emulator_failure(report, "emulator_mistake"), report=report)


def header_text(text: str) -> str:
    """A text as it may stand in a header: one line of printable ASCII."""
    return " ".join(text.split()).encode("ascii", "replace").decode()
