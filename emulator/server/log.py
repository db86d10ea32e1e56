"""Log lines: one for each exchange, for a person at a terminal."""

from datetime import datetime

from emulator.store.exchange import Entry, Exchange, TokenExchange


def log_line(exchange: Entry) -> str:
    """Time, project, rule (or why none), status, tokens, how it ended; further lines explain what went wrong."""
    return _log_token(exchange) if isinstance(exchange, TokenExchange) else _log_exchange(exchange)


def _log_token(exchange: TokenExchange) -> str:
    when = datetime.fromtimestamp(exchange.started).astimezone().strftime("%H:%M:%S")
    facts = [exchange.session, exchange.result, str(exchange.status), exchange.path.rpartition("/")[2]]
    facts += [f"{exchange.duration * 1000:.1f} ms", exchange.ended]
    line = f"{when}  {'  '.join(fact for fact in facts if fact)}"
    return f"{line}\n          {exchange.refusal}: {exchange.explanation}" if exchange.refusal else line


def _log_exchange(exchange: Exchange) -> str:
    outcome = exchange.outcome
    usage = outcome.usage
    when = datetime.fromtimestamp(exchange.started).astimezone().strftime("%H:%M:%S")
    who = f'"{outcome.chosen.rule.name}"' if outcome.chosen else outcome.result
    tokens = (
        f"{usage.prompt}+{usage.completion}{f'+{usage.reasoning}' if usage.reasoning else ''} tokens" if usage else ""
    )
    frames = len(outcome.timeline.frames)
    how = f"{frames} events" if frames > 1 else "plain"
    facts = [str(outcome.timeline.status), tokens, how, f"{exchange.duration * 1000:.1f} ms", exchange.ended]
    lines = [f"{when}  {exchange.target.project}  {who}  {'  '.join(fact for fact in facts if fact)}"]
    lines += [f"          warning: {warning}" for warning in exchange.warnings]
    if outcome.result == "refusal" and outcome.refusal is not None:
        lines.append(f"          Vertex refuses this ({outcome.refusal.rule}): {outcome.refusal.explanation}")
    lines += [f"          {line}" for line in outcome.report.splitlines()]
    return "\n".join(lines)
