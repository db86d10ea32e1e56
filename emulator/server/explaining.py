"""Explanations of exchanges: the rules up to the one that answered, each condition wanted and got, and what was sent."""

from collections.abc import Iterable
from typing import Any

from emulator.engine.matching.choose import Chosen
from emulator.engine.matching.misses import NearMiss, compare_in_turn
from emulator.engine.reply.steps import name_default_rule
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import CompiledRule, Ruleset
from emulator.engine.session import State
from emulator.errors import AnswerError
from emulator.redaction import clean_line, redact
from emulator.store.exchange import CREDENTIAL_HEADERS, Exchange
from emulator.wire.headers import encode_headers, header_text

_HEADER_CONDITION = "header "


def state_before(exchange: Exchange, earlier: Iterable[Exchange], rules: Ruleset, flags: frozenset[str]) -> State:
    """What the session remembered when a request came: uses of rules and flags, from the exchanges before it.

    `flags` are those that were set before the first of them.
    """
    by_key = {rule.key: rule for rule in rules.rules}
    uses: dict[str, int] = {}
    for one in sorted(earlier, key=lambda one: one.number):
        chosen = one.outcome.chosen
        if chosen is None or one.session != exchange.session or one.number >= exchange.number:
            continue
        key = chosen.rule.key
        uses[key] = max(uses.get(key, 0), chosen.use)
        rule = by_key.get(key)
        if rule is not None and rule.flags is not None:
            flags = rule.flags.apply(flags)
    return State(uses, flags)


def list_sent_headers(exchange: Exchange) -> list[tuple[str, str]]:
    """The headers of an answer as they were sent, but for those of its framing and its date."""
    timeline, chosen = exchange.outcome.timeline, exchange.outcome.chosen
    encoded = encode_headers(timeline.headers, timeline.status, chosen.rule.header if chosen else None)
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in encoded]
    if exchange.warnings:
        headers.append(("x-emulator-warning", header_text("; ".join(exchange.warnings))))
    return headers


def _hands_over(chosen: Chosen, rules: Iterable[CompiledRule]) -> bool:
    """Whether the reply of a chosen rule hands over to the default scenario.

    It is looked for among the loaded rules, because of a rule that comes from the store only name and place are known.
    """
    rule = next((one for one in rules if one.key == chosen.rule.key), chosen.rule)
    return chosen.position < len(rule.replies) and rule.replies[chosen.position].hands_over


def explain_exchange(
    exchange: Exchange, facts: Facts | None, rules: Ruleset, state: State, fallback: Ruleset | None = None
) -> dict[str, Any]:
    """Say as JSON which rule answers a request and why, by these rules and what the session remembered; then the answer, without secrets.

    `facts` are None for a request that cannot be read. A refused request was compared with no rule. The rules of `fallback` are
    tried where none of the others answers.
    """
    outcome = exchange.outcome
    timeline, refusal = outcome.timeline, outcome.refusal
    is_refused = outcome.result == "refusal"
    notes = [f"warning: {warning}" for warning in exchange.warnings]
    compared: list[NearMiss] = []
    chosen = outcome.chosen
    is_recorded = chosen is not None and any(rule.recorded and rule.key == chosen.rule.key for rule in rules.rules)
    if is_recorded:
        notes.append("the request is in a recording, which answers before rules are tried")
    try:
        if facts is not None and not is_refused and not is_recorded:
            compared.extend(compare_in_turn(rules, facts, state))
            if fallback is not None and not any(near.answers for near in compared):
                compared.extend(compare_in_turn(fallback, facts, state))
    except AnswerError as error:
        # Those before it have been compared; an exchange that failed by it says so in its report.
        if outcome.result != "error":
            notes.append(str(error))
    asked = {
        one.field.removeprefix(_HEADER_CONDITION).lower().encode() for near in compared for one in near.comparisons
    }
    answering = next((near.rule.name for near in compared if near.answers), None)
    if facts is not None and (asked & CREDENTIAL_HEADERS) - {name for name, _ in facts.raw_headers}:
        notes.append(
            "the journal keeps no headers with credentials, so conditions on them show what a request without has"
        )
    elif chosen is not None and compared and answering != chosen.rule.name:
        notes.append(f'"{chosen.rule.name}", {chosen.rule.place}, answered it then; the rules have changed since')
    loaded = (*rules.rules, *(fallback.rules if fallback is not None else ()))
    if facts is not None and chosen is not None and _hands_over(chosen, loaded):
        notes.append(
            f'"{chosen.rule.name}" hands over to the rule "{name_default_rule(facts)}" of the default scenario'
        )
    return {
        "number": exchange.number,
        "session": redact(exchange.session),
        "outcome": outcome.result,
        "rule": chosen.rule.name if chosen else None,
        "place": str(chosen.rule.place) if chosen else None,
        "use": chosen.use if chosen else None,
        "reply": chosen.position + 1 if chosen else None,
        "refusal": {"name": refusal.rule, "place": refusal.place or None, "explanation": refusal.explanation or None}
        if refusal is not None and is_refused
        else None,
        "report": outcome.report or None,
        "notes": list(map(clean_line, notes)),
        "rules": [near.to_json() for near in compared],
        "not_asked": max(0, len(rules.written) - len(compared)) if compared else 0,
        "status": timeline.status,
        "headers": [[name, redact(value)] for name, value in list_sent_headers(exchange)],
        "answer": [exchange.show_frame(frame.data) for frame in timeline.frames],
    }
