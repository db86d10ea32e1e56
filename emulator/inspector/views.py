"""What the page shows, as JSON: one exchange, the rules, the clients, and what a request can be composed of."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

from emulator.budget import BudgetError
from emulator.catalogue import models
from emulator.catalogue.paces import PACES
from emulator.engine.matching.conditions import Comparison
from emulator.engine.matching.misses import compare_rule, explain_miss, is_used_up
from emulator.engine.matching.rule_index import RuleIndex
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import CompiledRule
from emulator.engine.session import State
from emulator.errors import AnswerError
from emulator.inspector.conversation import show_conversation
from emulator.inspector.rows import make_row
from emulator.redaction import REDACTED, clean_line, is_secret_field, redact
from emulator.server.explaining import list_sent_headers
from emulator.server.service import Service
from emulator.store.exchange import Entry, Exchange
from emulator.verdicts.costs import find_rates

PAUSE = 0.25
"""Seconds between two frames from which the page names a pause."""
MAX_SESSIONS_SHOWN = 200
"""Projects that the page offers to choose from."""
_MILLION = 1_000_000


def show_exchange(service: Service, entry: Entry) -> dict[str, Any]:
    """Everything about one exchange, token request or request that nothing routes, without secrets."""
    shown = {**entry.to_json(), "row": make_row(entry)}
    if not isinstance(entry, Exchange):
        return shown
    return {
        **shown,
        "conversation": show_conversation(entry),
        "request_headers": _show_headers([(n.decode("latin-1"), v.decode("latin-1")) for n, v in entry.headers]),
        "answer_headers": [[name, redact(value)] for name, value in list_sent_headers(entry)],
        "drawn": draw_timeline(entry),
        "why": explain_choice(service, entry),
        "cost": estimate_cost(entry),
    }


def _show_headers(headers: Sequence[tuple[str, str]]) -> list[list[str]]:
    return [[redact(name), REDACTED if is_secret_field(name) else redact(value)] for name, value in headers]


def draw_timeline(exchange: Exchange) -> dict[str, Any]:
    """When head, frames and end were planned and sent, in milliseconds, with what to say about them.

    An instant answer has all its frames at 0; they were sent when the exchange ended.
    """
    timeline, played = exchange.outcome.timeline, exchange.played
    frames = list(timeline.frames)
    sent = list(played.times) or ([exchange.duration] * len(frames) if timeline.is_instant else [])
    notes = []
    if exchange.held:
        notes.append({"ms": 0, "text": f"held by a quota for {_seconds(exchange.held)}"})
    moments = [timeline.head_at or 0.0, *(frame.at for frame in frames), timeline.end_at]
    for before, after in pairwise(moments):
        if after - before >= PAUSE:
            notes.append(
                {
                    "ms": _milliseconds(before),
                    "until": _milliseconds(after),
                    "text": f"pause, {_seconds(after - before)}",
                }
            )
    if timeline.head_at is None:
        notes.append({"ms": 0, "text": "no head: the connection ends before it", "is_fault": True})
    if timeline.write_size is not None:
        notes.append({"ms": 0, "text": f"written in pieces of {timeline.write_size} bytes", "is_fault": True})
    refusal = exchange.outcome.refusal
    if timeline.is_stream and refusal is not None:
        notes.append(
            {"ms": _milliseconds(timeline.end_at), "text": f"error in the stream: {refusal.rule}", "is_fault": True}
        )
    if timeline.ending != "complete":
        notes.append({"ms": _milliseconds(timeline.end_at), "text": _ENDINGS[timeline.ending], "is_fault": True})
    if exchange.ended in {"client left", "server stopped", "failed"}:
        text = {"client left": "the client left", "server stopped": "the server stopped"}.get(
            exchange.ended, "it failed here"
        )
        notes.append({"ms": _milliseconds(exchange.duration), "text": text, "is_fault": True})
    notes += [{"ms": 0, "text": f"quirk: {quirk}", "is_quirk": True} for quirk in sorted(exchange.outcome.quirks)]
    return {
        "head_ms": None if timeline.head_at is None else _milliseconds(timeline.head_at),
        "frames": [
            {
                "ms": _milliseconds(frame.at),
                "sent_ms": _milliseconds(sent[index]) if index < len(sent) else None,
                "bytes": len(frame.data),
                "text": clean_line(frame.data[:400].decode("utf-8", "replace"), 160),
            }
            for index, frame in enumerate(frames)
        ],
        "end_ms": _milliseconds(timeline.end_at),
        "total_ms": _milliseconds(exchange.duration),
        "notes": notes,
    }


_ENDINGS = {
    "end": "cut: it ends early, its HTTP framing complete",
    "close": "cut: the connection is closed",
    "reset": "cut: the connection is reset",
    "stall": "stall: nothing more is sent, the connection stays open",
}


def explain_choice(service: Service, exchange: Exchange) -> dict[str, Any]:
    """Why this rule and not the others: condition by condition, what each wanted and what the request has.

    Judged by the rules and the session as they are now, which may have changed since.
    """
    outcome, chosen = exchange.outcome, exchange.outcome.chosen
    if outcome.result == "refusal":
        return {"sentence": "The request was refused before rules were asked.", "rules": []}
    facts = exchange.facts
    if facts is None:
        return {"sentence": "The body cannot be read, so no rule was asked.", "rules": []}
    session = service.sessions.find(exchange.session)
    ruleset, state = service.rules_of(exchange.session), session.state
    rules = ruleset.rules
    found = chosen and next(
        (rule for rule in rules if (rule.name, rule.place) == (chosen.rule.name, chosen.rule.place)), None
    )
    fallback = service.fallback
    is_by_fallback = (
        chosen is not None
        and found is None
        and fallback is not None
        and any(rule.key == chosen.rule.key for rule in fallback.rules)
    )
    shown: list[dict[str, Any]] = []
    if chosen is not None:
        if is_by_fallback:
            sentence = f'No rule holds, so "{chosen.rule.name}" of the fallback answered. The nearest come first.'
        elif found is None:
            sentence = f'"{chosen.rule.name}" answered; it is not among the rules that are loaded now.'
        else:
            if found.recorded:
                return {"sentence": "The request is in a recording, which answers before rules are tried.", "rules": []}
            index = ruleset.written.index(found)
            sentence = "It is the first rule whose conditions hold" + (
                f"; {index} stand{'s' if index == 1 else ''} before it." if index else "."
            )
            shown.append(_show_comparison(found, _compare(found, facts, state), answered=True))
            ruleset = replace(ruleset, indexes=(RuleIndex(ruleset.written[:index]),))
    else:
        sentence = "No rule holds. The nearest come first." if outcome.result == "miss" else outcome.report
    if chosen is None and ruleset.recordings:
        sentence = outcome.report
    if ruleset.written and (chosen is None or found is not None or is_by_fallback):
        try:
            miss = explain_miss(ruleset, facts, state)
        except (AnswerError, BudgetError) as error:
            return {"sentence": f"{sentence} The others cannot be compared: {error}", "rules": shown}
        shown += [_show_comparison(near.rule, near.comparisons, used_up=near.used_up) for near in miss.nearest]
        if miss.others:
            sentence += f" {miss.others} more {'is' if miss.others == 1 else 'are'} farther off."
    return {"sentence": clean_line(sentence), "rules": shown}


def _compare(rule: CompiledRule, facts: Facts, state: State) -> tuple[Comparison, ...]:
    try:
        return compare_rule(rule, facts, state)
    except (AnswerError, BudgetError):
        return ()


def _show_comparison(
    rule: CompiledRule, comparisons: Sequence[Comparison], *, answered: bool = False, used_up: bool = False
) -> dict[str, Any]:
    return {
        "name": clean_line(rule.name),
        "place": str(rule.place),
        "answered": answered,
        "used_up": used_up,
        "conditions": [
            {
                "field": one.field.rstrip("_"),
                "holds": one.holds,
                "wanted": redact(one.wanted),
                "got": redact(one.got),
                "details": list(map(redact, one.details)),
            }
            for one in comparisons
        ],
    }


def estimate_cost(exchange: Exchange) -> dict[str, Any] | None:
    """What an answer would cost by the catalogue's list prices of its day and location, in USD; None where usage or prices are not known."""
    model, usage = exchange.model, exchange.outcome.usage
    price, rates = models.find_price(model), find_rates(model, exchange.target, usage, exchange.started)
    if price is None or rates is None or usage is None:
        return None
    fresh, written = usage.prompt - usage.cached, usage.sum - usage.prompt
    dollars = (fresh * rates.input + usage.cached * rates.cached + written * rates.output) / _MILLION
    shown = {"input": round(rates.input, 6), "output": round(rates.output, 6)}
    return {"usd": round(dollars, 8), **shown, "source": price.source, "date": price.date}


def show_rules(service: Service, project: str | None) -> dict[str, Any]:
    """The rules of a session, or the server's with the uses of all sessions that share them; and why the last edit was not taken over."""
    sessions = service.sessions.all()
    if project is None:
        ruleset, flags = service.ruleset, []
        uses: Counter[str] = Counter()
        for _, session in sessions:
            if session.ruleset is None:
                uses.update(dict(session.uses))
    else:
        session = service.sessions.find(project)
        ruleset, flags, uses = service.rules_of(project), sorted(session.flags), Counter(dict(session.uses))
    return {
        "session": project,
        "sessions": [clean_line(name) for name, _ in sessions][-MAX_SESSIONS_SHOWN:],
        "scenarios": list(ruleset.scenarios),
        "pushed": project is not None and service.sessions.find(project).ruleset is not None,
        "problems": list(service.reload_problems),
        "flags": flags,
        "rules": [_show_rule(rule, uses, per_session=project is not None) for rule in ruleset.rules],
    }


def _show_rule(rule: CompiledRule, uses: Counter[str], *, per_session: bool) -> dict[str, Any]:
    used, expect = uses[rule.key], rule.expect
    expected = None
    if expect is not None:
        expected = f"exactly {expect.times}" if expect.times is not None else f"at least {expect.at_least}"
    is_sequence = len(rule.recorded or rule.replies) > 1 and rule.conversation is None
    return {
        "name": clean_line(rule.name),
        "place": str(rule.place),
        "scenario": rule.scenario,
        "uses": used,
        "limit": rule.limit,
        "left": max(0, rule.limit - used) if rule.limit is not None and per_session else None,
        "used_up": per_session and is_used_up(rule, uses),
        "expect": expected,
        "next": rule.position(used + 1) + 1 if is_sequence and per_session and not is_used_up(rule, uses) else None,
        "replies": len(rule.recorded or rule.replies),
        "kind": "conversation" if rule.conversation is not None else "sequence" if is_sequence else "reply",
        "then": rule.then if is_sequence else None,
        "requires": rule.flags.wanted if rule.flags is not None else "",
        "sets": _show_flag_change(rule),
        "when": [{"field": one.field.rstrip("_"), "wanted": redact(one.wanted)} for one in rule.conditions],
    }


def _show_flag_change(rule: CompiledRule) -> str:
    if rule.flags is None:
        return ""
    return ", ".join([*sorted(rule.flags.set_), *(f"not {name}" for name in sorted(rule.flags.cleared))])


def show_clients(service: Service, project: str | None) -> dict[str, Any]:
    """The verdicts on clients, errors first, each with the project of its exchanges."""
    sessions = {exchange.number: exchange.session for exchange in service.journal}
    verdicts = [
        {**asdict(verdict), "session": clean_line(sessions.get(verdict.exchanges[0], "") if verdict.exchanges else "")}
        for verdict in service.verdicts(project)
    ]
    verdicts.sort(key=lambda one: (one["severity"] != "error", one["exchanges"]))
    return {
        "verdicts": verdicts,
        "exchanges": len(sessions),
        "sessions": sorted(set(map(clean_line, sessions.values()))),
    }


def show_options(service: Service) -> dict[str, Any]:
    """The catalogue's models with their abilities, the names of paces, and the default project."""
    return {
        "project": service.settings.project,
        "paces": [{"name": pace.name, "effect": pace.effect} for pace in PACES.values()],
        "models": [
            {
                "id": card.id,
                "thinking": card.thinking,
                "levels": list(card.levels),
                "budget": None if card.levels or card.budget_max is None else [card.budget_min or 0, card.budget_max],
                "media": list(card.input_media),
                "retired": card.retired,
            }
            for card in models.all_models()
            if "/" in card.id
        ],
    }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
