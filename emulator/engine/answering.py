"""Answering: from a vetted request to its timeline, and what the journal wants to know about it."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from emulator.catalogue.quirks import QuirkName, expand
from emulator.engine.choosing import Chosen, Miss, choose
from emulator.engine.compiling import Ruleset
from emulator.engine.composing import compose
from emulator.engine.dice import Occasion
from emulator.engine.facts import Facts
from emulator.engine.parts import Answer
from emulator.engine.quirks import apply_quirks, apply_to_refusal
from emulator.engine.rendering import render as render_chat
from emulator.engine.signatures import sign
from emulator.engine.state import State
from emulator.engine.timeline import Headers, Timeline, plain_timeline, refusal_timeline
from emulator.errors import AnswerError
from emulator.wire.json_text import dump
from emulator.wire.refusals import JSON_TYPE, Refusal
from emulator.wire.replies import Identity
from emulator.wire.usage import Usage

Result = Literal["answer", "refusal", "miss", "error"]
"""How a request ended: a rule answered (perhaps with an error it scripts), Vertex refuses it, no rule answers, or the rule failed."""

Render = Callable[[Answer, Identity, Facts], Timeline]
"""What makes an answer a timeline; it raises AnswerError if the answer has something that its shape cannot carry."""

OWN_FAILURE = 418
"""The status of the emulator's own failures, which Google never sends and clients never retry."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request."""

    result: Result
    timeline: Timeline
    chosen: Chosen | None = None
    refusal: Refusal | None = None
    usage: Usage | None = None
    report: str = ""
    """The miss report, or what kept the rule from answering."""


def answer(
    rulesets: Sequence[Ruleset],
    facts: Facts,
    state: State,
    occasion: Occasion,
    render: Render = render_chat,
) -> Outcome:
    """Answer a vetted request from the first of the rulesets that has a rule for it.

    `state` is what the session remembers; the caller brings it forward with the chosen rule.
    """
    first_miss: Miss | None = None
    for ruleset in rulesets:
        chosen = choose(ruleset, facts, state)
        if isinstance(chosen, Chosen):
            return _carry_out(chosen, facts, occasion, render)
        first_miss = first_miss or chosen
    report = first_miss.report() if first_miss else "there are no rules"
    return Outcome("miss", own_failure(report, "no_rule"), report=report)


def _carry_out(chosen: Chosen, facts: Facts, occasion: Occasion, render: Render) -> Outcome:
    quirks = expand(chosen.rule.quirks | occasion.quirks)
    if "tagged_thoughts" in quirks:
        facts.google = {"thought_tag_marker": "thought", **facts.google}
    if quirks != occasion.quirks:
        occasion = replace(occasion, quirks=quirks)
    try:
        made, identity = compose(chosen, facts, occasion)
        timeline = render(made, identity, facts)
    except AnswerError as error:
        report = f'rule "{chosen.rule.name}", {chosen.rule.place}, cannot answer this request: {error}'
        return Outcome("error", own_failure(report, "rule_failed"), chosen, report=report)
    refusal = made.failure if made.failure is not None and (made.fails_at_once or not facts.stream) else None
    if quirks:
        timeline = apply_quirks(timeline, quirks, sign(identity.id, int(occasion.moment), occasion.seed))
    return Outcome("answer", timeline, chosen, refusal, None if refusal else made.usage)


def refuse_request(refusal: Refusal, quirks: frozenset[QuirkName] = frozenset()) -> Outcome:
    """The outcome of a request that Vertex would refuse, with the explanation in a header."""
    headers = (("x-emulator-explanation", header_text(f"{refusal.rule}: {refusal.explanation}")),)
    timeline = refusal_timeline(refusal, headers)
    return Outcome("refusal", apply_to_refusal(timeline, quirks) if quirks else timeline, refusal=refusal)


def own_failure(report: str, code: str) -> Timeline:
    """A failure of the emulator's own: never retried, shaped so that OpenAI clients show the report."""
    error = {"code": code, "message": f"emulator: {report}", "param": None, "type": "emulator_error"}
    headers: Headers = (("x-should-retry", "false"),)
    return plain_timeline(OWN_FAILURE, JSON_TYPE, dump({"error": error}) + b"\n", headers)


def confess(error: Exception) -> Outcome:
    """The outcome of a request that met a mistake in the emulator itself: what and where it is, so that it can be reported."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.filename.rpartition('/emulator/')[2]}:{last.lineno}"
    said = " ".join(f"{type(error).__name__}: {error}".split())
    report = f"a mistake of the emulator's own, not of this request: {said} ({where}); please report it"
    return Outcome("error", own_failure(report, "emulator_mistake"), report=report)


def header_text(text: str) -> str:
    """A text as it may stand in a header: one line of printable ASCII."""
    return " ".join(text.split()).encode("ascii", "replace").decode()
